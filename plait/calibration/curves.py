"""Calibration curves: a rising piecewise-linear function from logit to logit for every scenario and objective."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CLIP = 1e-7
"""Kept between probabilities and 0 or 1 before logits are taken."""


def logit(probabilities: NDArray[np.floating]) -> Floats:
    """log(p / (1 - p)), of probabilities clipped to [1e-7, 1 - 1e-7]."""
    inner = np.clip(np.asarray(probabilities, np.float64), CLIP, 1 - CLIP)
    return np.asarray(np.log(inner) - np.log1p(-inner))


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + exp(-z)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)))


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve: `f(z) = value + below min(z - x_1, 0) + sum_k slope_k clip(z - x_k, 0, x_{k+1} - x_k)`.

    Between knots it is linear, and beyond the last one too (x_{K+1} is infinite), so that it never stops rising.
    """

    knot_K: Floats
    """Logits where the slope changes, strictly rising."""
    value: float
    """f at the first knot."""
    below: float
    """Slope before the first knot."""
    slope_K: Floats
    """Slope from each knot to the next."""

    @classmethod
    def affine(cls, slope: float, bias: float) -> "Curve":
        """`f(z) = slope z + bias`."""
        return cls(np.zeros(1), bias, slope, np.array([slope]))

    @classmethod
    def through(cls, knot_K: Floats, value_K: Floats) -> "Curve":
        """Linear between the points, parallel to the identity outside of them, and so unchanged in its order there."""
        slope_K = np.append(np.diff(value_K) / np.diff(knot_K), 1.0)
        return cls(np.asarray(knot_K, np.float64), float(value_K[0]), 1.0, slope_K)

    def __call__(self, logits_B: Floats) -> Floats:
        """Calibrated logits."""
        width_K = np.append(np.diff(self.knot_K), np.inf)
        above_BK = np.clip(logits_B[:, None] - self.knot_K, 0.0, width_K)
        below_B = np.minimum(logits_B - self.knot_K[0], 0.0)
        return np.asarray(self.value + self.below * below_B + above_BK @ self.slope_K)


@dataclass(frozen=True, slots=True)
class Curves:
    """A curve for every scenario and objective, of one number of knots; row 0 is for scenarios that are not known.

    Row s + 1 belongs to scenario s. Where a cell was too thin to say anything its curve is that of the objective.
    """

    knot_STK: Floats
    value_ST: Floats
    below_ST: Floats
    slope_STK: Floats

    @classmethod
    def of(cls, objectives: list[Curve], shift_ST: Floats) -> "Curves":
        """The objectives' curves, moved by a shift of its own in every cell, `[S + 1, T]`."""
        most = max(len(curve.knot_K) for curve in objectives)
        padded = [_padded(curve, most) for curve in objectives]
        rows = len(shift_ST)
        return cls(
            np.repeat(np.stack([curve.knot_K for curve in padded])[None], rows, axis=0),
            np.array([curve.value for curve in padded]) + shift_ST,
            np.repeat(np.array([[curve.below for curve in padded]]), rows, axis=0),
            np.repeat(np.stack([curve.slope_K for curve in padded])[None], rows, axis=0),
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """S + 1, T, K."""
        rows, objectives, knots = self.knot_STK.shape
        return rows, objectives, knots

    def cell(self, row: int, objective: int) -> Curve:
        """The curve of one cell; `row` is the scenario's index + 1."""
        at = (row, objective)
        return Curve(self.knot_STK[at], float(self.value_ST[at]), float(self.below_ST[at]), self.slope_STK[at])


def _padded(curve: Curve, knots: int) -> Curve:
    """The same curve with further knots, a unit apart, beyond its last."""
    more = knots - len(curve.knot_K)
    knot_K = np.append(curve.knot_K, curve.knot_K[-1] + np.arange(1, more + 1))
    return Curve(knot_K, curve.value, curve.below, np.append(curve.slope_K, np.full(more, curve.slope_K[-1])))
