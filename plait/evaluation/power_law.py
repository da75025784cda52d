"""Power laws of loss against compute: the best that any model reached for its compute, and the line through it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plait import seeding

Curve = Sequence[tuple[float, float]]
"""One model's training: compute so far and loss, both above 0."""


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """`loss = scale * compute ** -exponent`."""

    scale: float
    exponent: float
    r2: float
    """Share of the variance of log loss over the fitted points that the line explains."""

    def at(self, compute: float) -> float:
        """The loss on the line."""
        return float(self.scale * compute**-self.exponent)


@dataclass(frozen=True, slots=True)
class FittedLaw:
    """A power law through a frontier, with intervals."""

    law: PowerLaw
    frontier: list[tuple[float, float]]
    exponent_interval: tuple[float, float] | None
    """95 %, over resampled curves; None without resamples that could be fitted."""
    r2_interval: tuple[float, float] | None


def frontier(curves: Sequence[Curve]) -> list[tuple[float, float]]:
    """The points of all curves that no point of as little compute comes up to, by compute: losses fall."""
    best: list[tuple[float, float]] = []
    for compute, loss in sorted(point for curve in curves for point in curve):
        if not best or loss < best[-1][1]:
            best.append((compute, loss))
    return best


def power_law(points: Curve) -> PowerLaw:
    """Least squares on the logarithms of both.

    Raises:
        ValueError: fewer than two different amounts of compute.
    """
    log_M2 = np.log(np.array(points, dtype=np.float64).reshape(-1, 2))
    if len(np.unique(log_M2[:, 0])) < 2:
        raise ValueError(f"found {len(points)} points, expected two different amounts of compute at least")
    slope, start = np.polyfit(log_M2[:, 0], log_M2[:, 1], 1)
    residual = log_M2[:, 1] - (slope * log_M2[:, 0] + start)
    variance = float(log_M2[:, 1].var())
    r2 = 1.0 - float(residual.var()) / variance if variance > 0 else 1.0
    return PowerLaw(float(np.exp(start)), -float(slope), r2)


def fit_frontier(curves: Sequence[Curve], *, bootstrap: int = 1000, seed: int = 0) -> FittedLaw:
    """The power law through the frontier of all curves; intervals over resampled curves.

    Args:
        curves: one for each model that was trained.
        bootstrap: how many resamples; 0 for no intervals.
        seed: of the resamples.

    Raises:
        ValueError: the frontier has fewer than two points.
    """
    best = frontier(curves)
    random = seeding.generator(seed, "power law")
    found = []
    for _ in range(bootstrap):
        drawn = frontier([curves[place] for place in random.integers(0, len(curves), len(curves))])
        if len(drawn) > 1:
            law = power_law(drawn)
            found.append((law.exponent, law.r2))
    bounds = np.quantile(np.array(found), [0.025, 0.975], axis=0) if found else None
    return FittedLaw(power_law(best), best, _column(bounds, 0), _column(bounds, 1))


def effects(factors_MF: NDArray[np.float64], loss_M: NDArray[np.float64]) -> NDArray[np.float64]:
    """What doubling each factor does to the loss, the others unchanged: least squares of `log2 loss` on `log2` factors.

    Args:
        factors_MF: sizes of each of the M models, above 0.
        loss_M: what they came to.

    Returns:
        `[F]`: the share by which the loss changes; -.02 is 2 % less.
    """
    design_MX = np.column_stack([np.ones(len(loss_M)), np.log2(factors_MF)])
    solution_X = np.linalg.lstsq(design_MX, np.log2(loss_M), rcond=None)[0]
    return np.asarray(2.0 ** solution_X[1:] - 1.0)


def _column(bounds: NDArray[np.float64] | None, column: int) -> tuple[float, float] | None:
    return None if bounds is None else (float(bounds[0, column]), float(bounds[1, column]))
