"""What ink tells about lines of text: letters that a reader has passed over, and things that it took for letters."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plait.content.measures.regions import FLATNESS, Box, Mask, Pixels, split_regions
from plait.content.opencv import opencv

SAME_INK = 40
"""Largest difference in any channel (of 255 levels) between two strokes of one colour; rims of letters differ more."""
_STROKE_FROM = 0.8
"""Of the largest distance to the ground, what the middle of a stroke has."""
_LEAST_SHARE = 0.3
"""Share of its own ink that a letter has, beside rims that mix with the ground; photographs hold many colours."""
_LEAST_AREA = 0.01
"""Ink of a letter in squares of a line's height: a Chinese "one", a single thin stroke, has over twice that."""
_HIGHEST = 2.0
"""Of a line's height, the most that a letter of that ink has; dark and light pictures are higher."""
_ROW_GAP = 0.05
"""Of a line's height, what parts two rows of letters."""
_LETTER = 0.6
"""Of a line's height, that of its letters: detectors' boxes reach beyond them."""
_AROUND = 0.1
"""Of a line's height, how far a row is read beyond its letters."""
_CLOSE = 0.06
"""Of a line's height, the ground left at its ends: wider gaps between two lines set in a row are read as spaces."""
_BROADEST = 0.2
"""Of its line's height (that of the box), more than the breadth of any stroke; fat letters have an eighth."""
ON_A_PICTURE = 0.28
"""Share of a box that is broader than strokes where it lies on a picture: lines on the ground have less than .23 even
where their boxes reach into a picture, things that were read as text more than .32."""
_SOLID = 0.5
"""Share of a part that is broader than strokes where it is a picture, though its colour and height would fit a letter:
letters have less than .05, pictures on a flat ground over .95."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """The connected parts of a mask; number 0 is what lies outside of it."""

    number: NDArray[np.int32]
    """[height, width]: of the part that a pixel belongs to."""
    size_P: NDArray[np.int32]
    height_P: NDArray[np.int32]


def passed_over(pixels: Pixels, lines: Sequence[Box]) -> list[Box]:
    """The rows of letters that hold more than these lines: something on the ground, in their colour and in no box.

    Args:
        pixels: the picture, [height, width, 3].
        lines: the boxes of the lines found.

    Returns:
        The boxes of whole rows, each once.
    """
    regions = split_regions(pixels, lines)
    ground = regions.ground_color.round().astype(np.int16)
    drawn = np.abs(pixels.astype(np.int16) - ground).max(axis=2) > FLATNESS
    apart, whole = _parts(~regions.ground & ~regions.letters), _parts(drawn)
    held: dict[tuple[int, ...], tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
    rows: list[Box] = []
    for box in lines:
        height, color = _line_ink(pixels, box)
        if color is None:
            continue
        shade = tuple(color.round().astype(int).tolist())
        if shade not in held:  # the lines of a page have few colours, and a page has many lines
            held[shade] = (_ink_of(apart, pixels, shade), _ink_of(whole, pixels, shade))
        missed_P = _letters(apart, held[shade][0], height)
        if not missed_P.any():
            continue
        broad = _broader_than_strokes(drawn, _HIGHEST * height)
        missed = (missed_P & ~_solid(apart, broad))[apart.number]
        if missed.any():
            letters_P = _letters(whole, held[shade][1], height) & ~_solid(whole, broad)
            found = _rows_with(missed, missed | letters_P[whole.number], height)
            rows += [row for row in found if not any(_shares_middle(row, one) for one in rows)]
    return rows


def lies_on_a_picture(pixels: Pixels, ground_color: NDArray[np.float64], box: Box) -> bool:
    """Whether much of a box is neither ground nor as narrow as strokes are: what was read there may be a thing."""
    left, top, right, bottom = bounds(box)
    patch = pixels[top:bottom, left:right].astype(np.int16)
    if not patch.size:
        return False
    drawn = np.abs(patch - ground_color.round().astype(np.int16)).max(axis=2) > FLATNESS
    return float(_broader_than_strokes(drawn, bottom - top).mean()) > ON_A_PICTURE


def between_ink(patch: Pixels) -> Pixels:
    """The columns of a line's pixels from its first to its last letter, with a little ground at both ends.

    What its neighbours above and below reach in with does not count: only the middle half of the rows is looked at.
    """
    quarter = len(patch) // 4
    middle = patch[quarter : len(patch) - quarter].astype(np.int16)
    ground = split_regions(patch).ground_color.round().astype(np.int16)
    across = np.flatnonzero((np.abs(middle - ground).max(axis=2) > FLATNESS).any(axis=0))
    if not len(across):
        return patch
    room = round(_CLOSE * len(patch))
    return patch[:, max(0, int(across[0]) - room) : int(across[-1]) + 1 + room]


def _parts(mask: Mask) -> _Parts:
    _, part, sizes, _ = opencv().connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return _Parts(np.asarray(part), np.asarray(sizes[:, opencv().CC_STAT_AREA]), sizes[:, opencv().CC_STAT_HEIGHT])


def _broader_than_strokes(drawn: Mask, height: float) -> Mask:
    """What of a mask no stroke of a line of this height can be, since it is too broad."""
    side = max(3, round(_BROADEST * height))
    square, cv2 = np.ones((side, side), np.uint8), opencv()
    broad = cv2.morphologyEx(
        drawn.astype(np.uint8), cv2.MORPH_OPEN, square, borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    return np.asarray(broad, dtype=np.bool_)


def _solid(parts: _Parts, broad: Mask) -> Mask:
    """[P]: the parts that are mostly broader than strokes: a picture beside rows of text would join them into one."""
    broad_P = np.bincount(parts.number[broad], minlength=len(parts.size_P))
    return np.asarray(broad_P > _SOLID * parts.size_P, dtype=np.bool_)


def _ink_of(parts: _Parts, pixels: Pixels, shade: tuple[int, ...]) -> NDArray[np.int64]:
    """[P]: the pixels of each part that have this colour."""
    ink = np.abs(pixels.astype(np.int16) - np.array(shade, np.int16)).max(axis=2) <= SAME_INK
    return np.bincount(parts.number[ink], minlength=len(parts.size_P))


def _letters(parts: _Parts, ink_P: NDArray[np.int64], height: float) -> Mask:
    """[P]: the parts with enough ink for a letter beside a line of this height, and not much higher than it."""
    letters_P = (ink_P >= _LEAST_AREA * height**2) & (ink_P >= _LEAST_SHARE * parts.size_P)
    letters_P &= parts.height_P <= _HIGHEST * height
    letters_P[0] = False
    return np.asarray(letters_P, dtype=np.bool_)


def _rows_with(missed: Mask, letters: Mask, height: float) -> list[Box]:
    """The rows of letters, parted by empty rows of pixels, that something was missed in."""
    filled = np.flatnonzero(letters.any(axis=1))
    rows: list[Box] = []
    for run in np.split(filled, np.flatnonzero(np.diff(filled) > _ROW_GAP * height) + 1):
        top, bottom = int(run[0]), int(run[-1]) + 1
        if not missed[top:bottom].any():
            continue
        across = np.flatnonzero(letters[top:bottom].any(axis=0))
        thin = max(0.0, (_LETTER * height - (bottom - top)) / 2)
        margin = thin + _AROUND * height
        left, right = int(across[0]) - _AROUND * height, int(across[-1]) + 1 + _AROUND * height
        rows.append(((left, top - margin), (right, top - margin), (right, bottom + margin), (left, bottom + margin)))
    return rows


def _shares_middle(row: Box, other: Box) -> bool:
    """Lines of nearly one height give nearly the same row."""
    return other[0][1] < (row[0][1] + row[2][1]) / 2 < other[2][1]


def bounds(box: Box) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in whole pixels."""
    corners = np.asarray(box, dtype=np.float64)
    left, top = np.floor(corners.min(axis=0)).astype(int).clip(min=0)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int)
    return int(left), int(top), int(right), int(bottom)


def _line_ink(pixels: Pixels, box: Box) -> tuple[float, NDArray[np.float64] | None]:
    """(height of the line, colour of its strokes); no colour where nothing stands out."""
    left, top, right, bottom = bounds(box)
    patch = pixels[top:bottom, left:right]
    if not patch.size:
        return 0.0, None
    distance = np.abs(patch.astype(np.float64) - split_regions(patch).ground_color).sum(axis=2)
    if not distance.max():
        return 0.0, None
    strokes = patch[distance >= _STROKE_FROM * distance.max()]
    return float(bottom - top), np.asarray(np.median(strokes, axis=0), dtype=np.float64)
