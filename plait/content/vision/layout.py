"""What a picture shows and where: averages of EfficientNet-lite0's maps, for classifiers that a few labels teach."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plait.content.measures.regions import Pixels
from plait.content.vision.things import network

_SIDE = 224
_MIDDLE = 14
"""Rows and columns of the maps of the middle stage."""
_CELLS = (4, 3)


def layout_features(pictures: Sequence[Pixels]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """(tag probabilities [B, 1000], last maps' means [B, 1280], middle maps' means in 4 x 3 cells [B, 1344]).

    The whole picture is stretched to the network's square: unlike a cut to the middle, nothing of a tall dress is lost.
    The middle stage still knows edges and texture, which tell a kurta from a tunic better than ImageNet's classes do.
    """
    import torch  # noqa: PLC0415 (slow to import)
    import torch.nn.functional as F  # noqa: N812, PLC0415 (slow to import; what everybody calls it)

    net = network()
    batch = torch.from_numpy(np.stack([_stretched(picture) for picture in pictures]))
    with torch.inference_mode():
        maps = net._swish(net._bn0(net._conv_stem(batch)))
        middle = maps
        for block in net._blocks:
            maps = block(maps)
            middle = maps if maps.shape[2] == _MIDDLE else middle
        last_BD = net._swish(net._bn1(net._conv_head(maps))).mean(dim=(2, 3))
        tag_BV = net._fc(last_BD).softmax(dim=1)
        cells_BD = F.adaptive_avg_pool2d(middle, _CELLS).flatten(1)
    return tag_BV.numpy(), last_BD.numpy(), cells_BD.numpy()


def _stretched(picture: Pixels) -> NDArray[np.float32]:
    from PIL import Image  # noqa: PLC0415 (the `content` extra)

    resized = Image.fromarray(picture).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(((np.asarray(resized, np.float32) - 127.0) / 128.0).transpose(2, 0, 1))
