"""Photographs that scikit-image and scikit-learn carry, by what they show."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

_SIDE = 256

SUBJECTS: dict[str, tuple[str, ...]] = {
    "person": ("astronaut", "camera"),
    "cat": ("chelsea",),
    "drink": ("coffee",),
    "rocket": ("rocket",),
    "flower": ("flower.jpg",),
    "building": ("china.jpg",),
    "vehicle": ("stereo_motorcycle",),
    "sky": ("hubble_deep_field", "moon"),
    "coins": ("coins",),
}
"""The photographs of each object type; names with a suffix are scikit-learn's."""


@cache
def photograph(name: str) -> NDArray[np.uint8]:
    """The middle square of a photograph, RGB, 256 x 256."""
    image = _read(name)
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    steps = (np.arange(_SIDE) * side) // _SIDE
    return np.ascontiguousarray(image[top + steps][:, left + steps, :3], dtype=np.uint8)


def _read(name: str) -> NDArray[np.uint8]:
    if "." in name:
        from sklearn.datasets import load_sample_image  # noqa: PLC0415 (the `simulation` extra)

        return np.asarray(load_sample_image(name), dtype=np.uint8)
    from skimage import data  # noqa: PLC0415 (the `simulation` extra)

    image = getattr(data, name)()
    return np.asarray(image[0] if isinstance(image, tuple) else image, dtype=np.uint8)
