"""How blurred a picture is, measured at its own edges, and the picture without that blur."""

import numpy as np
from numpy.typing import NDArray

from plait.content.measures.light import LUMINANCE
from plait.content.measures.regions import Pixels, Regions
from plait.content.opencv import opencv
from plait.schema import Clarity

SCREEN_SIDE = 640
"""Pixels of the longer side at which blur is judged: about what a phone's screen resolves at arm's length."""
SOFT_FROM, BLURRY_FROM = 1.1, 2.6
"""Standard deviations of the blur, in pixels, between which a picture is soft."""
_REBLUR = (1.0, 2.0, 4.0)
_LEAST_EDGES = 20
_FAINTEST = 0.5
"""Levels per pixel below which a gradient is noise."""

_NOISE = 0.003
"""Of what a picture holds, the share that is noise, about what JPEG leaves: sharpening does not raise what is less."""
_MOST_BLUR = 6.0
"""Standard deviation in pixels beyond which nothing is left to be sharpened."""


def blur_of(pixels: Pixels, regions: Regions) -> float | None:
    """Standard deviation of the blur in pixels, as if Gaussian; None where there is no edge to judge by.

    A step edge under a Gaussian blur s has the gradient c / (s sqrt(2 pi)). Blurred again with s0, it falls by
    R = sqrt(s^2 + s0^2) / s, so s = s0 / sqrt(R^2 - 1) (Zhuo and Sim, "Defocus map estimation from a single image",
    2011). The median over the clearest edges outside of letters; s0 is the nearest of 1, 2 and 4 to the result.
    """
    cv2 = opencv()
    gray = (pixels @ LUMINANCE).astype(np.float64)
    scale = min(1.0, SCREEN_SIDE / max(gray.shape))
    letters = regions.letters
    if scale < 1:
        size = (max(1, round(gray.shape[1] * scale)), max(1, round(gray.shape[0] * scale)))
        gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
        letters = cv2.resize(letters.astype(np.uint8), size).astype(np.bool_)
    steep = _steepness(gray)
    edges = (steep >= cv2.dilate(steep, np.ones((3, 3)))) & (steep > _FAINTEST) & ~letters
    if edges.sum() < _LEAST_EDGES:
        return None
    edges &= steep >= np.percentile(steep[edges], 80)
    found = 0.0
    for again in _REBLUR:
        found = _deconvolved(steep[edges], _steepness(cv2.GaussianBlur(gray, (0, 0), again))[edges], again)
        if found <= 1.5 * again:
            break
    return found


def clarity_of(blur: float | None) -> tuple[Clarity, float]:
    """The name of a blur, and how sure it is; a picture without edges has nothing that could be blurred."""
    if blur is None:
        return Clarity.SHARP, 0.6
    name = Clarity.SHARP if blur < SOFT_FROM else Clarity.SOFT if blur < BLURRY_FROM else Clarity.BLURRY
    distance = min(abs(np.log(blur / SOFT_FROM)), abs(np.log(blur / BLURRY_FROM)))
    return name, float(1 / (1 + np.exp(-distance / 0.1)))


def sharpened(pixels: Pixels, blur: float) -> Pixels:
    """The picture [height, width, 3] before a Gaussian blur of that standard deviation, as far as noise allows.

    Wiener's filter: each frequency that the blur weakened to H is multiplied by H / (H^2 + noise).
    """
    blur = min(blur, _MOST_BLUR)
    height, width = pixels.shape[:2]
    rim = int(3 * blur) + 1
    bordered = opencv().copyMakeBorder(pixels, rim, rim, rim, rim, opencv().BORDER_REFLECT)
    down, across = np.fft.fftfreq(bordered.shape[0])[:, None], np.fft.rfftfreq(bordered.shape[1])[None]
    left = np.exp(-2 * (np.pi * blur) ** 2 * (down**2 + across**2))
    gain = left / (left**2 + _NOISE) * (1 + _NOISE)
    spectrum = np.fft.rfft2(bordered.astype(np.float64), axes=(0, 1)) * gain[..., None]
    clear = np.fft.irfft2(spectrum, s=bordered.shape[:2], axes=(0, 1))[rim : rim + height, rim : rim + width]
    return np.clip(clear.round(), 0, 255).astype(np.uint8)


def _steepness(gray: NDArray[np.float64]) -> NDArray[np.float64]:
    """Length of the gradient, in levels per pixel."""
    cv2 = opencv()
    across, down = cv2.Sobel(gray, cv2.CV_64F, 1, 0), cv2.Sobel(gray, cv2.CV_64F, 0, 1)
    return np.asarray(np.hypot(across, down) / 8)


def _deconvolved(before: NDArray[np.float64], after: NDArray[np.float64], again: float) -> float:
    ratio = np.median(before / np.maximum(after, 1e-9))
    return float(again / np.sqrt(max(ratio**2 - 1, 1e-6)))
