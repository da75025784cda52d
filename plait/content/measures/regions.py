"""A picture's parts: the flat ground, the letters on it, and the rest, which is what was photographed or drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plait.content.opencv import opencv

Mask = NDArray[np.bool_]
Pixels = NDArray[np.uint8]
Box = Sequence[Sequence[float]]
"""Corners (x, y) of a line of text, in pixels."""

FLATNESS = 20
"""Largest difference to the ground's colour, in levels of any channel, that a pixel of the ground has."""
LETTER_MARGIN = 0.15
"""Letters reach this share of their line's height beyond the box that a detector draws around it."""


@dataclass(frozen=True, slots=True)
class Regions:
    """Masks [height, width] over one picture."""

    letters: Mask
    ground: Mask
    """Pixels of the most frequent colour."""
    picture: Mask
    """Everything else, without specks."""
    ground_color: NDArray[np.float64]
    """RGB of the ground."""


def split_regions(pixels: Pixels, lines: Sequence[Box] = ()) -> Regions:
    """The parts of `pixels` [height, width, 3], with the boxes of the lines of text that are known to be on it."""
    letters = letter_mask(pixels.shape[:2], lines)
    seen = pixels[~letters] if not letters.all() else pixels.reshape(-1, 3)
    color = _most_frequent(seen)
    ground = (np.abs(pixels.astype(np.int16) - color.round().astype(np.int16)).max(axis=2) <= FLATNESS) & ~letters
    rest = (~ground & ~letters).astype(np.uint8)
    cv2 = opencv()
    picture = cv2.morphologyEx(rest, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).astype(np.bool_)
    return Regions(letters, ground, picture, color)


def letter_mask(shape: tuple[int, ...], lines: Sequence[Box]) -> Mask:
    """Where letters are: the boxes of the lines, a little widened."""
    mask = np.zeros(shape[:2], dtype=np.bool_)
    for line in lines:
        corners = np.asarray(line, dtype=np.float64)
        margin = LETTER_MARGIN * min(np.ptp(corners[:, 0]), np.ptp(corners[:, 1])) + 1
        left, top = np.floor(corners.min(axis=0) - margin).astype(int).clip(min=0)
        right, bottom = np.ceil(corners.max(axis=0) + margin).astype(int)
        mask[top:bottom, left:right] = True
    return mask


def _most_frequent(colors: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Median of the pixels in the fullest of 16 x 16 x 16 bins of RGB."""
    codes = (colors.astype(np.int32) // 16) @ np.array([256, 16, 1])
    fullest = np.bincount(codes, minlength=4096).argmax()
    return np.asarray(np.median(colors[codes == fullest], axis=0), dtype=np.float64)
