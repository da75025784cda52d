"""What a picture shows: EfficientNet-lite2 (Tan and Le, 2019), trained on ImageNet's thousand classes."""

from functools import cache
from typing import Any

from plait.content.vision.network import open_network
from plait.content.words import word_file, word_list
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
    return open_network("lite2")
