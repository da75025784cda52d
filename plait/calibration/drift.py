"""Whether calibration holds over time: PCOC of each day or hour, and an alarm where it has left its band."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Z = 1.959964
"""The 97.5 % point of the normal distribution."""


@dataclass(frozen=True, slots=True)
class DriftRule:
    """When drift is an alarm."""

    band: float = 0.05
    """PCOC may leave 1 by this much."""
    windows: int = 2
    """So many windows in a row must be outside, surely and on the same side."""


@dataclass(frozen=True, slots=True)
class Window:
    """One stretch of time."""

    start_ms: int
    rows: int
    positives: int
    pcoc: float
    """Mean prediction over mean outcome; NaN without positives."""
    low: float
    high: float
    """95 % interval: the ratio to outcomes whose number varies by chance."""
    side: int
    """1: the whole interval is above the band (it promises too much); -1: below; 0: neither."""
    alarm: bool
    """This window and those right before it were outside on one side."""


def drift_windows(
    time_B: NDArray[np.int64],
    labels_B: NDArray[np.bool_],
    probabilities_B: NDArray[np.floating],
    *,
    width_ms: int,
    rule: DriftRule | None = None,
) -> list[Window]:
    """PCOC of every window that has mature rows, in order of time, with an alarm by `rule`.

    With P predicted and O observed positives the interval is P / (O +- 1.96 sqrt(O)): given the predictions, O varies
    like a Poisson number (or less). A single window is outside by chance in 1 of 40 at the band's edge; `windows` in
    a row on one side are not.

    Args:
        time_B: epoch milliseconds, of mature rows.
        labels_B: outcomes.
        probabilities_B: predictions.
        width_ms: of a window; windows begin at multiples of it since the epoch.
        rule: when drift is an alarm.
    """
    rule = rule or DriftRule()
    start_W, window_B = np.unique(time_B // width_ms, return_inverse=True)
    rows_W = np.bincount(window_B, minlength=len(start_W))
    predicted_W = np.bincount(window_B, weights=probabilities_B, minlength=len(start_W))
    observed_W = np.bincount(window_B, weights=labels_B, minlength=len(start_W))
    found: list[Window] = []
    run = 0
    for start, rows, predicted, observed in zip(start_W, rows_W, predicted_W, observed_W, strict=True):
        pcoc, low, high = pcoc_of(float(predicted), float(observed))
        side = 1 if low > 1 + rule.band else -1 if high < 1 - rule.band else 0
        run = (run + side if run * side > 0 else side) if side else 0
        alarm = abs(run) >= rule.windows
        found.append(Window(int(start) * width_ms, int(rows), int(observed), pcoc, low, high, side, alarm))
    return found


def pcoc_of(predicted: float, observed: float) -> tuple[float, float, float]:
    """Predicted over observed positives with its 95 % interval, `P / (O +- 1.96 sqrt(O))`."""
    spread = _Z * observed**0.5
    low = predicted / (observed + spread) if observed else 0.0
    high = predicted / (observed - spread) if observed > spread else float("inf")
    return predicted / observed if observed else float("nan"), low, high
