"""Names of colours: the eleven basic terms, by hue, saturation and value relative to the picture's own white."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plait.content.measures.regions import Mask, Pixels, split_regions
from plait.schema import Color

TERMS = tuple(Color)
LEAST_WHITE = 0.5
"""A picture without any light spot is not taken for one whose white is darker than this (value in [0, 1])."""
_HUES = ((14, Color.RED), (41, Color.ORANGE), (68, Color.YELLOW), (170, Color.GREEN), (256, Color.BLUE))
_LAST_HUES = ((305, Color.PURPLE), (342, Color.PINK), (361, Color.RED))
_BORDERS = np.array([border for border, _ in (*_HUES, *_LAST_HUES)])
_NAMES = np.array([TERMS.index(name) for _, name in (*_HUES, *_LAST_HUES)])


def white_of(level: float) -> float:
    """The value that counts as white in a picture of this light level."""
    return min(1.0, max(LEAST_WHITE, level))


def name_colors(colors: NDArray[np.floating] | NDArray[np.uint8], white: float = 1.0) -> NDArray[np.int64]:
    """Place in `TERMS` of every colour [..., 3] (RGB, 0 to 255); `white` is the value that counts as white.

    Hue decides among the chromatic terms. Black is what reflects under a fifth of the white, grey and white what has
    next to no saturation. Brown is dark orange, pink is pale red, beside a lighter surround.
    """
    relative = np.clip(np.asarray(colors, dtype=np.float64) / (255 * white), 0, 1)
    value, least = relative.max(axis=-1), relative.min(axis=-1)
    spread = value - least
    saturation = spread / np.maximum(value, 1e-9)
    hue = _hue(relative, value, spread)
    names = _NAMES[np.searchsorted(_BORDERS, hue, side="right")]
    reddish = (hue < 14) | (hue >= 342)
    earthy = np.where(reddish, saturation < 0.55, hue < 50) & (saturation > 0.2) & (value < 0.55)
    names = np.where(earthy, _at(Color.BROWN), names)
    names = np.where(reddish & (value > 0.75) & (saturation < 0.5), _at(Color.PINK), names)
    flat = (saturation < 0.13) | (spread < 0.07)
    grey = np.where(value > 0.82, _at(Color.WHITE), _at(Color.GREY))
    names = np.where(flat, grey, names)
    return np.asarray(np.where(value < 0.2, _at(Color.BLACK), names), dtype=np.int64)


def dominant_color(pixels: Pixels, seen: Mask, white: float) -> tuple[Color, float]:
    """The term that covers the most of the area `seen`, and its share of it."""
    step = max(1, min(pixels.shape[:2]) // 240)
    some = pixels[::step, ::step][seen[::step, ::step]]
    if not len(some):
        some = pixels.reshape(-1, 3)
    counts = np.bincount(name_colors(some, white), minlength=len(TERMS))
    return TERMS[int(counts.argmax())], float(counts.max() / counts.sum())


def letter_color(
    pixels: Pixels, lines: Sequence[Sequence[Sequence[float]]], white: float
) -> tuple[Color, float] | None:
    """The term of the letters in these boxes: of the pixels that differ most from what lies around them."""
    votes = np.zeros(len(TERMS))
    for line in lines:
        corners = np.asarray(line, dtype=np.float64)
        left, top = np.floor(corners.min(axis=0)).astype(int).clip(min=0)
        right, bottom = np.ceil(corners.max(axis=0)).astype(int)
        patch = pixels[top:bottom, left:right]
        if patch.size == 0:
            continue
        around = split_regions(patch).ground_color
        distance = np.abs(patch.astype(np.float64) - around).sum(axis=2)
        strokes = patch[distance >= 0.8 * distance.max()] if distance.max() > 0 else patch[:0].reshape(-1, 3)
        votes += np.bincount(name_colors(strokes, white), minlength=len(TERMS))
    if not votes.sum():
        return None
    return TERMS[int(votes.argmax())], float(votes.max() / votes.sum())


def _hue(relative: NDArray[np.float64], value: NDArray[np.float64], spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """Degrees in [0, 360)."""
    red, green, blue = relative[..., 0], relative[..., 1], relative[..., 2]
    safe = np.maximum(spread, 1e-9)
    sector = np.where(
        value == red,
        ((green - blue) / safe) % 6,
        np.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    return np.asarray(60 * sector % 360, dtype=np.float64)


def _at(term: Color) -> int:
    return TERMS.index(term)
