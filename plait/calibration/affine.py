"""Temperature and Platt scaling: the line through logits under which outcomes are most likely."""

import numpy as np

from plait.calibration.curves import Floats
from plait.calibration.outcomes import Outcomes

_PRIOR_DEVIATION = np.array([0.5, 1.0])
"""How far slope and bias may be from 1 and 0 before the data must say so: matters below some tens of positives only."""
_STEPS = 50
_CLOSE = 1e-8


def fit_affine(logits_B: Floats, outcomes: Outcomes, *, bias: bool) -> tuple[float, float]:
    """Slope a and bias b of `P(y) = sigmoid(a z + b)`, by Fisher's scoring with halved steps.

    The posterior mode under a ~ N(1, 0.5^2), b ~ N(0, 1): with few labels it stays at the identity, with many it is
    the maximum of the likelihood. (Platt 1999, "Probabilistic Outputs for Support Vector Machines"; without a bias,
    1 / a is the temperature of Guo et al. 2017, "On Calibration of Modern Neural Networks".)

    Args:
        logits_B: the model's.
        outcomes: what is known of them.
        bias: False for temperature scaling, b = 0.
    """
    design_2B = np.stack([logits_B, np.ones_like(logits_B)])[: 1 + bias]
    first_2 = np.array([1.0, 0.0])[: 1 + bias]
    precision_2 = _PRIOR_DEVIATION[: 1 + bias] ** -2
    found_2 = first_2.copy()

    def cost(at_2: Floats) -> float:
        return outcomes.loss(at_2 @ design_2B) + 0.5 * float((precision_2 * (at_2 - first_2) ** 2).sum())

    now = cost(found_2)
    for _ in range(_STEPS):
        slope_B, information_B = outcomes.derivatives(found_2 @ design_2B)
        gradient_2 = precision_2 * (found_2 - first_2) - design_2B @ slope_B
        curvature_22 = (design_2B * information_B) @ design_2B.T + np.diag(precision_2)
        step_2 = np.linalg.solve(curvature_22, gradient_2)
        while (then := cost(found_2 - step_2)) > now + 1e-9 * abs(now) and np.abs(step_2).max() > _CLOSE:
            step_2 = step_2 / 2
        found_2, now = found_2 - step_2, then
        if np.abs(step_2).max() <= _CLOSE:
            break
    return float(found_2[0]), float(found_2[1]) if bias else 0.0
