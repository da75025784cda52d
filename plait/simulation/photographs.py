"""Photographs that scikit-image and scikit-learn carry, by what they show."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plait.errors import ConfigError

_SIDE = 256
_LIGHT_END = 99
"""Percentile of a channel that white things have."""

SUBJECTS: dict[str, tuple[str, ...]] = {
    "person": ("skimage/data/astronaut.png", "skimage/data/camera.png"),
    "cat": ("skimage/data/chelsea.png",),
    "drink": ("skimage/data/coffee.png",),
    "rocket": ("skimage/data/rocket.jpg",),
    "flower": ("sklearn/datasets/images/flower.jpg",),
    "building": ("sklearn/datasets/images/china.jpg",),
    "vehicle": ("skimage/data/motorcycle_left.png",),
    "sky": ("skimage/data/hubble_deep_field.jpg", "skimage/data/moon.png"),
    "coins": ("skimage/data/coins.png",),
}
"""The photographs of each object type: files that the packages install, read without importing the packages."""


@cache
def photograph(name: str) -> NDArray[np.uint8]:
    """The middle square of a photograph, RGB, 256 x 256, in neutral light.

    White balance as a picture editor's automatic levels have it: each channel's light end is brought to the mean of the
    three. Without it a sunset stays warm whatever tone is planned, and the plan is not what the file shows.

    Raises:
        ConfigError: the package that carries it is not installed.
    """
    from PIL import Image  # noqa: PLC0415 (the `simulation` extra)

    with Image.open(package_file(name)) as image:
        pixels = np.asarray(image.convert("RGB"))
    side = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    steps = (np.arange(_SIDE) * side) // _SIDE
    square = pixels[top + steps][:, left + steps]
    light = np.percentile(square, _LIGHT_END, axis=(0, 1))
    return np.asarray(np.clip(square * (light.mean() / light), 0, 255), dtype=np.uint8)


def package_file(name: str) -> Path:
    """Where "package/path" lies.

    Raises:
        ConfigError: the package is not installed, or does not carry the file.
    """
    package, _, rest = name.partition("/")
    found = find_spec(package)
    path = Path(found.origin).parent / rest if found is not None and found.origin is not None else None
    if path is None or not path.exists():
        raise ConfigError(
            f"found no {name}, which the creatives are drawn with; install plait[simulation], or simulate without media"
        )
    return path
