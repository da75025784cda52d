"""Which frames of a moving picture to look at: the middle ones of its longest shots."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HELD = 32
"""Frames held at a time; longer videos are thinned to every second, fourth, ... frame."""
CUT_DISTANCE = 0.35
"""Share of pixels that must change their histogram bin from one frame to the next to make a cut."""
_BINS = 8


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that stands for its shot."""

    pixels: NDArray[np.uint8]
    """RGB [height, width, 3]."""
    share: float
    """Of the whole that its shot takes."""


@dataclass(slots=True)
class _Candidate:
    pixels: NDArray[np.uint8]
    number: int
    shot: int


class FrameSampler:
    """Sees all frames in order, holds few, and chooses one of each of the longest shots.

    A cut is where the colour histogram jumps: half the L1 distance of the two frames' histograms, that is the share of
    pixels in another bin, above `CUT_DISTANCE` (Boreczky and Rowe, 1996).
    """

    def __init__(self, shots: int) -> None:
        self._shots = shots
        self._lengths = [0]
        self._held: list[_Candidate] = []
        self._stride = 1
        self._seen = 0
        self._last: NDArray[np.float64] | None = None

    def see(self, pixels: NDArray[np.uint8]) -> None:
        """The next frame."""
        histogram = _histogram(pixels)
        if self._last is not None and np.abs(histogram - self._last).sum() / 2 > CUT_DISTANCE:
            self._lengths.append(0)
        self._last = histogram
        if self._lengths[-1] == 0 or self._seen % self._stride == 0:
            self._held.append(_Candidate(pixels, self._seen, len(self._lengths) - 1))
        self._lengths[-1] += 1
        self._seen += 1
        if len(self._held) > HELD:
            self._thin()

    def chosen(self) -> tuple[Frame, ...]:
        """The frame nearest to the middle of each of the longest shots, in the order of time."""
        starts = np.concatenate([[0], np.cumsum(self._lengths)])
        present = sorted({one.shot for one in self._held})
        longest = sorted(sorted(present, key=lambda shot: -self._lengths[shot])[: self._shots])
        frames = []
        for shot in longest:
            middle = (starts[shot] + starts[shot + 1] - 1) / 2
            nearest = min((one for one in self._held if one.shot == shot), key=lambda one: abs(one.number - middle))
            frames.append(Frame(nearest.pixels, self._lengths[shot] / self._seen))
        return tuple(frames)

    def _thin(self) -> None:
        """Hold every second frame only, but keep the first of every shot while there is room."""
        self._stride *= 2
        firsts: dict[int, int] = {}
        for one in self._held:
            firsts.setdefault(one.shot, one.number)
        kept = [one for one in self._held if one.number % self._stride == 0 or one.number == firsts[one.shot]]
        if len(kept) > HELD:  # as many shots as frames: the shortest ones go
            kept = sorted(sorted(kept, key=lambda one: -self._lengths[one.shot])[:HELD], key=lambda one: one.number)
        self._held = kept


def _histogram(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Shares of the pixels in 8 x 8 x 8 bins of RGB, from every fourth row and column of larger frames."""
    step = max(1, min(pixels.shape[:2]) // 64)
    small = pixels[::step, ::step].reshape(-1, 3).astype(np.int64) // (256 // _BINS)
    codes = (small[:, 0] * _BINS + small[:, 1]) * _BINS + small[:, 2]
    counts = np.bincount(codes, minlength=_BINS**3)
    return np.asarray(counts / counts.sum(), dtype=np.float64)
