"""Which curves are fitted: one per objective, and what scenarios add to it."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from plait.calibration.affine import fit_affine
from plait.calibration.cells import fit_shifts
from plait.calibration.curves import Curve, Curves, Floats
from plait.calibration.isotonic import fit_isotonic
from plait.calibration.outcomes import Outcomes

Method = Literal["temperature", "platt", "isotonic", "field", "field-isotonic"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, slots=True)
class CalibrationRows:
    """Labelled logits of a window that training did not see."""

    logits_BT: Floats
    labels_BT: NDArray[np.bool_]
    """As they stand: whether they are 1 by now."""
    mask_BT: NDArray[np.bool_]
    """True where the label says something."""
    scenario_B: NDArray[np.int64]
    """Index of the scenario; -1 where it is not known."""
    scenarios: int
    """S, how many there are."""
    share_BT: Floats | None = None
    """Share of the positives that is known by now, of exposures as old as each; None where all labels are final."""
    weight_B: Floats | None = None
    """What each exposure counts; None for 1."""

    def of(self, objective: int) -> tuple[Floats, Outcomes, NDArray[np.int64]]:
        """One objective's logits, what is known of the outcomes, and the row of each in tables of curves."""
        says_B = self.mask_BT[:, objective]
        labels_B = self.labels_BT[says_B, objective]
        ones_B = np.ones(len(labels_B))
        share_B = ones_B if self.share_BT is None else self.share_BT[says_B, objective]
        weight_B = ones_B if self.weight_B is None else self.weight_B[says_B]
        return self.logits_BT[says_B, objective], Outcomes(labels_B, share_B, weight_B), self.scenario_B[says_B] + 1


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
        logits_B, outcomes, cell_B = rows.of(objective)
        curve = _objective_curve(logits_B, outcomes, method)
        objectives.append(curve)
        if method.startswith("field"):
            shift_ST[:, objective] = fit_shifts(curve(logits_B), outcomes, cell_B, rows.scenarios + 1)
    return Curves.of(objectives, shift_ST)


def _objective_curve(logits_B: Floats, outcomes: Outcomes, method: Method) -> Curve:
    """One objective's curve over all scenarios; the identity where there are no outcomes."""
    if method.endswith("isotonic"):
        curve = fit_isotonic(logits_B, outcomes)
        if curve is not None:
            return curve
    return Curve.affine(*fit_affine(logits_B, outcomes, bias=method != "temperature"))
