"""How far each scenario's outcomes are from an objective's curve, shrunk by as much as the data cannot tell."""

import numpy as np
from numpy.typing import NDArray

from plait.calibration.curves import Floats
from plait.calibration.outcomes import Outcomes

_ROUNDS = 12
_INNER_ROUNDS = 200
_WIDEST = 0.5
"""First guess of the deviation of shifts."""
_NARROWEST = 1e-3
"""A deviation below this is none: every cell is as its objective."""


def fit_shifts(logits_B: Floats, outcomes: Outcomes, cell_B: NDArray[np.int64], cells: int) -> Floats:
    """A shift for every cell: `P(y) = sigmoid(z + b_c)`, b_c ~ N(0, s^2), with s from the data too.

    b is the posterior mode given s. s is found by expectation and maximisation, `s^2 = mean_c(b_c^2 + v_c)` with v_c
    the posterior variance: where cells differ by no more than chance, s falls to 0 and all follow the objective; where
    they differ, a cell with many outcomes follows these and a thin one stays. (Empirical Bayes; Morris 1983,
    "Parametric Empirical Bayes Inference".)

    Args:
        logits_B: calibrated for the objective as a whole.
        outcomes: what is known of them.
        cell_B: cell of each row, 0 <= cell < cells.
        cells: how many there are; those without rows get no shift.
    """
    rows_C = np.bincount(cell_B, minlength=cells)
    shift_C, variance = np.zeros(cells), _WIDEST**2
    for _ in range(_ROUNDS):
        slope_B, information_B = outcomes.derivatives(logits_B + shift_C[cell_B])
        slope_C = np.bincount(cell_B, weights=slope_B, minlength=cells)
        information_C: Floats = np.bincount(cell_B, weights=information_B, minlength=cells).astype(np.float64)
        said_C = information_C * shift_C + slope_C
        before, variance = variance, _spread(said_C, information_C, rows_C > 0, variance)
        if variance < _NARROWEST**2:
            return np.zeros(cells)
        step_C = np.clip(said_C / (information_C + 1 / variance) - shift_C, -1.0, 1.0)
        shift_C = shift_C + step_C
        if np.abs(step_C).max() < 1e-5 and abs(variance - before) < 1e-3 * before:
            break
    return shift_C


def _spread(said_C: Floats, information_C: Floats, present_C: NDArray[np.bool_], variance: float) -> float:
    """s^2 at which `s^2 = mean(b^2 + v)` holds, b and v of cells observed at `said / information`; 0 if below 1e-6.

    Args:
        said_C: information times what was observed.
        information_C: 1 over the variance of that.
        present_C: cells that have rows.
        variance: to begin with.
    """
    if not present_C.any():
        return 0.0
    for _ in range(_INNER_ROUNDS):
        posterior_C = 1 / (information_C[present_C] + 1 / variance)
        before, variance = variance, float(((said_C[present_C] * posterior_C) ** 2 + posterior_C).mean())
        if variance < _NARROWEST**2:
            return 0.0
        if abs(variance - before) < 1e-4 * before:
            break
    return variance
