"""What a picture shows and where, for classifiers that a few labels teach: a network's maps, and outlines."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plait.content.measures.regions import Pixels
from plait.content.opencv import opencv
from plait.content.vision.things import SIDE, network

FEATURES, OUTLINE = 2_720, 2_268
"""Numbers of a picture's features and of its outline."""
_CELLS = (4, 3)
_OUTLINE_SIZE = (64, 80)
"""Width and height at which outlines are looked at."""


@dataclass(frozen=True, slots=True)
class Layout:
    """B pictures."""

    tag_BV: NDArray[np.float32]
    """Probabilities of the network's thousand classes."""
    feature_BD: NDArray[np.float32]
    """Means of the last maps, then of the middle maps in 4 x 3 cells."""
    outline_BO: NDArray[np.float32]
    """Histograms of oriented gradients."""


def layout_of(pictures: Sequence[Pixels]) -> Layout:
    """What pictures [height, width, 3] show.

    The whole picture is stretched to the network's square: unlike a cut to the middle, nothing of a tall dress is lost.
    The middle stage still knows edges and texture, which tell a kurta from a tunic better than ImageNet's classes do;
    histograms of oriented gradients (Dalal and Triggs 2005) know the outline, which ImageNet's network looks past.
    """
    import torch  # noqa: PLC0415 (slow to import)
    import torch.nn.functional as F  # noqa: N812, PLC0415 (slow to import; what everybody calls it)

    net = network()
    batch = torch.from_numpy(np.stack([_stretched(picture) for picture in pictures]))
    with torch.inference_mode():
        maps = net._swish(net._bn0(net._conv_stem(batch.to(memory_format=torch.channels_last))))
        stages = []
        for block in net._blocks:
            smaller = block(maps)
            if smaller.shape[2] != maps.shape[2]:
                stages.append(maps)
            maps = smaller
        last_BD = net._swish(net._bn1(net._conv_head(maps))).mean(dim=(2, 3))
        tag_BV = net._fc(last_BD).softmax(dim=1)
        cells_BD = F.adaptive_avg_pool2d(stages[-1], _CELLS).flatten(1)
    feature_BD = torch.cat([last_BD, cells_BD], dim=1).numpy()
    return Layout(tag_BV.numpy(), feature_BD, np.stack([_outline(picture) for picture in pictures]))


def _outline(picture: Pixels) -> NDArray[np.float32]:
    """Nine directions in cells of 8 x 8 pixels, in overlapping blocks of four."""
    cv2 = opencv()
    looker = cv2.HOGDescriptor(_OUTLINE_SIZE, (16, 16), (8, 8), (8, 8), 9)
    found: NDArray[np.float32] = looker.compute(cv2.resize(picture, _OUTLINE_SIZE, interpolation=cv2.INTER_AREA))
    return found.ravel()


def _stretched(picture: Pixels) -> NDArray[np.float32]:
    from PIL import Image  # noqa: PLC0415 (the `content` extra)

    resized = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(((np.asarray(resized, np.float32) - 127.0) / 128.0).transpose(2, 0, 1))
