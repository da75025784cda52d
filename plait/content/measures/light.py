"""How light a picture is, and whether its light is warm or cool."""

import numpy as np
from numpy.typing import NDArray

from plait.content.measures.regions import Mask, Pixels, Regions
from plait.content.opencv import opencv
from plait.schema import Brightness, Color, Tone

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
"""Weights of R, G and B (ITU-R BT.709)."""
DARK_BELOW, BRIGHT_FROM = 0.46, 0.72
"""Light levels between which a picture is of medium brightness."""
COOL_BELOW, WARM_FROM = -0.11, 0.16
"""Log ratios of red to blue in the light between which it is neutral: balanced pictures lean to red a little."""
WARM_COLORS = frozenset({Color.RED, Color.ORANGE, Color.YELLOW, Color.PINK, Color.BROWN})
COOL_COLORS = frozenset({Color.GREEN, Color.BLUE, Color.PURPLE})
LEAST_PIXELS = 300
"""Fewer pixels say nothing about a picture's highlights."""
LEAST_LIT = 50
"""Fewer pixels say nothing about the colour of their light."""
_CLIPPED = 250
"""A channel from here on (0 to 255) may have been cut off, and with it the colour."""
_RIM = 0.05
"""Share of a picture's shorter side along its rim where the ground shines through a blur."""
_EDGE_BLUR = 2.0
"""Standard deviation in pixels: files keep colours at half the resolution, so that finer edges have lost theirs."""


def light_level(pixels: Pixels, regions: Regions) -> float:
    """In [0, 1]: the larger of the ground's value, max(R, G, B), and the 99th percentile of the picture's luminance."""
    ground = float(regions.ground_color.max()) / 255
    if regions.picture.sum() < LEAST_PIXELS:
        return ground
    highlights = np.percentile(pixels[regions.picture] @ LUMINANCE, 99) / 255
    return max(ground, float(highlights))


def brightness_of(level: float) -> tuple[Brightness, float]:
    """The name of a light level, and how sure it is: by the distance to the nearest border."""
    name = Brightness.DARK if level < DARK_BELOW else Brightness.MEDIUM if level < BRIGHT_FROM else Brightness.BRIGHT
    return name, _sure(min(abs(level - DARK_BELOW), abs(level - BRIGHT_FROM)), 0.04)


def warmth(pixels: Pixels, regions: Regions) -> float | None:
    """ln(R / B) of the light that fell on the picture; None where there is no picture to judge by.

    The mean of two estimates of the illuminant: white patch (the mean of the lightest twentieth; Land, 1977) and grey
    edge (the mean colour difference at edges; van de Weijer et al., 2007). The mean colour itself (grey world) is left
    out: it is that of the things shown.
    """
    cv2 = opencv()
    inside = _photographed(regions)
    clear = inside & (pixels.max(axis=2) < _CLIPPED)
    inside = clear if clear.sum() >= LEAST_LIT else inside
    if inside.sum() < LEAST_LIT:
        return None
    colors = pixels[inside].astype(np.float64)
    smooth = cv2.GaussianBlur(pixels, (0, 0), _EDGE_BLUR).astype(np.float64)
    edges = np.hypot(cv2.Sobel(smooth, cv2.CV_64F, 1, 0), cv2.Sobel(smooth, cv2.CV_64F, 0, 1))
    luminance = colors @ LUMINANCE
    lightest = colors[luminance >= np.percentile(luminance, 95)]
    return float(np.mean([_red_to_blue(light) for light in (lightest.mean(axis=0), edges[inside].mean(axis=0))]))


def tone_of(color: Color, light: float | None) -> tuple[Tone, float]:
    """Warm or cool as the dominant colour is; where that is black, grey or white, as the light is."""
    if color in WARM_COLORS:
        return Tone.WARM, 0.99
    if color in COOL_COLORS:
        return Tone.COOL, 0.99
    if light is None:
        return Tone.NEUTRAL, 0.4
    name = Tone.COOL if light < COOL_BELOW else Tone.NEUTRAL if light < WARM_FROM else Tone.WARM
    return name, _sure(min(abs(light - COOL_BELOW), abs(light - WARM_FROM)), 0.15)


def _photographed(regions: Regions) -> Mask:
    """What differs from the ground and is no letter within the rim of the picture."""
    rows, columns = np.flatnonzero(regions.picture.any(axis=1)), np.flatnonzero(regions.picture.any(axis=0))
    inside = np.zeros_like(regions.picture)
    if len(rows):
        rim = max(2, round(_RIM * min(np.ptp(rows), np.ptp(columns))))
        inside[rows[0] + rim : rows[-1] + 1 - rim, columns[0] + rim : columns[-1] + 1 - rim] = True
    return inside & ~regions.ground & ~regions.letters


def _red_to_blue(color: NDArray[np.float64]) -> float:
    return float(np.log((color[0] + 1e-3) / (color[2] + 1e-3)))


def _sure(distance: float, scale: float) -> float:
    """From 0.5 on a border to 1 far from it: the logistic function."""
    return float(1 / (1 + np.exp(-distance / scale)))
