"""How far each scenario's outcomes are from an objective's curve, shrunk by as much as the data cannot tell."""

import numpy as np
from numpy.typing import NDArray

from plait.calibration.curves import Floats
from plait.calibration.outcomes import Outcomes

_ROUNDS = 40
_NEWTON_STEPS = 3
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
        for _ in range(_NEWTON_STEPS):
            slope_B, information_B = outcomes.derivatives(logits_B + shift_C[cell_B])
            slope_C = np.bincount(cell_B, weights=slope_B, minlength=cells)
            information_C = np.bincount(cell_B, weights=information_B, minlength=cells)
            step_C = (slope_C - shift_C / variance) / (information_C + 1 / variance)
            shift_C = shift_C + np.clip(step_C, -1.0, 1.0)
            if np.abs(step_C).max() < 1e-6:
                break
        before, posterior_C = variance, 1 / (information_C + 1 / variance)
        variance = float((shift_C**2 + posterior_C)[rows_C > 0].mean()) if rows_C.any() else 0.0
        if variance < _NARROWEST**2:
            return np.zeros(cells)
        if abs(variance - before) < 1e-4 * before:
            break
    return shift_C
