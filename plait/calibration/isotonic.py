"""Isotonic regression: the rising step function closest to the outcomes, and a curve through its steps."""

import numpy as np
from numpy.typing import NDArray

from plait.calibration.curves import Curve, Floats, logit, sigmoid
from plait.calibration.outcomes import Outcomes

_BINS = 24
"""Rows are first put into this many bins at most: what a curve is evaluated for with every candidate."""
_RARER = 50
"""Outcomes of the rarer kind that a bin must hold on average: its rate then deviates by about 14 %."""


def pool_adjacent(value_K: Floats, weight_K: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The rising sequence closest to `value_K` in weighted squares, by pooling adjacent violators.

    Returns:
        The value of each block, strictly rising, and where each block begins.
    """
    means: list[float] = []
    weights: list[float] = []
    starts: list[int] = []
    for start, (value, weight) in enumerate(zip(value_K.tolist(), weight_K.tolist(), strict=True)):
        mean, mass, first = value, weight, start
        while means and means[-1] >= mean:
            before, before_mass = means.pop(), weights.pop()
            mean = (before * before_mass + mean * mass) / (before_mass + mass)
            mass, first = mass + before_mass, starts.pop()
        means.append(mean)
        weights.append(mass)
        starts.append(first)
    return np.array(means), np.array(starts, np.int64)


def fit_isotonic(logits_B: Floats, outcomes: Outcomes) -> Curve | None:
    """A curve through the steps of the isotonic regression of outcomes on logits.

    A step is a point at its mean logit and the logit of its rate; between points the curve is linear, so that it rises
    strictly and keeps the order of exposures. None where there are too few outcomes for two steps.
    (Zadrozny & Elkan 2002, "Transforming Classifier Scores into Accurate Multiclass Probability Estimates".)
    """
    labels_B = outcomes.labels_B
    rarer = int(min(labels_B.sum(), len(labels_B) - labels_B.sum()))
    bins = min(_BINS, rarer // _RARER)
    if bins < 2:
        return None
    order_B = np.argsort(logits_B, kind="stable")
    starts_K = _cuts(logits_B[order_B], bins)
    rows_K = np.add.reduceat((outcomes.weight_B * outcomes.share_B)[order_B], starts_K)
    rate_K = np.add.reduceat((outcomes.weight_B * labels_B)[order_B], starts_K) / rows_K
    block_rate_K, block_K = pool_adjacent(rate_K, rows_K)
    first_K = starts_K[block_K]
    block_rows_K = np.diff(np.append(first_K, len(order_B)))
    mean_K = np.add.reduceat(logits_B[order_B], first_K) / block_rows_K
    inside_K = (block_rate_K > 0) & (block_rate_K < 1) & np.append(True, np.diff(mean_K) > 0)
    if inside_K.sum() < 2:
        return None
    return Curve.through(mean_K[inside_K], logit(block_rate_K[inside_K]))


def _cuts(sorted_logits_B: Floats, bins: int) -> NDArray[np.int64]:
    """Where bins begin that promise about equally many of the rarer outcome; labels have no say in it."""
    probability_B = sigmoid(sorted_logits_B)
    passed_B = np.cumsum(probability_B * (1 - probability_B))
    wanted_K = passed_B[-1] * np.arange(1, bins) / bins
    return np.unique(np.append(0, np.searchsorted(passed_B, wanted_K)))
