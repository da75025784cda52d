"""Letters that a reader has passed over: strokes of the colour of its lines, outside of their boxes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plait.content.measures.regions import Box, Pixels, split_regions
from plait.content.opencv import opencv

SAME_INK = 40
"""Largest difference in any channel (of 255 levels) between two strokes of one colour; rims of letters differ more."""
_STROKE_FROM = 0.8
"""Of the largest distance to the ground, what the middle of a stroke has."""
_LEAST_SHARE = 0.3
"""Share of its own ink that a letter has, beside rims that mix with the ground; photographs hold many colours."""
_LEAST_AREA = 0.01
"""Ink of a letter in squares of a line's height: a Chinese "one", a single thin stroke, has over twice that."""


def leaves_ink(pixels: Pixels, lines: Sequence[Box]) -> bool:
    """Whether something on the ground of a picture has the colour of the letters in these boxes and is in none.

    Args:
        pixels: the picture, [height, width, 3].
        lines: the boxes of the lines found.
    """
    cv2 = opencv()
    regions = split_regions(pixels, lines)
    apart = (~regions.ground & ~regions.letters).astype(np.uint8)
    count, part = cv2.connectedComponents(apart, connectivity=8)
    size_P = np.bincount(part.ravel(), minlength=count)
    for box in lines:
        height, color = _line_ink(pixels, box)
        if color is None:
            continue
        ink = np.abs(pixels.astype(np.int16) - color.round().astype(np.int16)).max(axis=2) <= SAME_INK
        ink_P = np.bincount(part[ink], minlength=count)
        letters_P = (ink_P >= _LEAST_AREA * height**2) & (ink_P >= _LEAST_SHARE * size_P)
        if letters_P[1:].any():
            return True
    return False


def _line_ink(pixels: Pixels, box: Box) -> tuple[float, NDArray[np.float64] | None]:
    """(height of the line, colour of its strokes); no colour where nothing stands out."""
    corners = np.asarray(box, dtype=np.float64)
    left, top = np.floor(corners.min(axis=0)).astype(int).clip(min=0)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int)
    patch = pixels[top:bottom, left:right]
    if not patch.size:
        return 0.0, None
    distance = np.abs(patch.astype(np.float64) - split_regions(patch).ground_color).sum(axis=2)
    if not distance.max():
        return 0.0, None
    strokes = patch[distance >= _STROKE_FROM * distance.max()]
    return float(bottom - top), np.asarray(np.median(strokes, axis=0), dtype=np.float64)
