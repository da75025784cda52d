"""Which curves are fitted: one per objective, and what scenarios add to it."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from plait.calibration.affine import fit_affine
from plait.calibration.cells import fit_shifts
from plait.calibration.curves import Curve, Curves, Floats
from plait.calibration.isotonic import fit_isotonic

Method = Literal["temperature", "platt", "isotonic", "field", "field-isotonic"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, slots=True)
class CalibrationRows:
    """Labelled logits of a window that training did not see."""

    logits_BT: Floats
    labels_BT: NDArray[np.bool_]
    mask_BT: NDArray[np.bool_]
    """True where the label is mature."""
    scenario_B: NDArray[np.int64]
    """Index of the scenario; -1 where it is not known."""
    scenarios: int
    """S, how many there are."""


def fit_curves(rows: CalibrationRows, method: Method) -> Curves:
    """The curves that make probabilities agree with outcomes on these rows.

    Args:
        rows: what to fit on.
        method: `temperature`: a slope per objective; `platt`: slope and bias; `isotonic`: a curve of up to 24 knots;
            `field`: platt, and a shift per scenario x objective; `field-isotonic`: isotonic, and that shift.
    """
    objectives: list[Curve] = []
    shift_ST = np.zeros((rows.scenarios + 1, rows.logits_BT.shape[1]))
    for objective in range(rows.logits_BT.shape[1]):
        mature_B = rows.mask_BT[:, objective]
        logits_B, labels_B = rows.logits_BT[mature_B, objective], rows.labels_BT[mature_B, objective]
        curve = _objective_curve(logits_B, labels_B, method)
        objectives.append(curve)
        if method.startswith("field"):
            cell_B = rows.scenario_B[mature_B] + 1
            shift_ST[:, objective] = fit_shifts(curve(logits_B), labels_B, cell_B, rows.scenarios + 1)
    return Curves.of(objectives, shift_ST)


def _objective_curve(logits_B: Floats, labels_B: NDArray[np.bool_], method: Method) -> Curve:
    """One objective's curve over all scenarios; the identity where there are no outcomes."""
    if method.endswith("isotonic"):
        curve = fit_isotonic(logits_B, labels_B)
        if curve is not None:
            return curve
    return Curve.affine(*fit_affine(logits_B, labels_B, bias=method != "temperature"))
