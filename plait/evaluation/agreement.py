"""How far two orders of the same things agree."""

import numpy as np
from numpy.typing import NDArray


def spearman(a_F: NDArray[np.floating], b_F: NDArray[np.floating]) -> float:
    """Correlation of the ranks, equal values sharing the mean of theirs; NaN where one side is all equal."""
    a_F, b_F = (mean_ranks(each) - (len(each) - 1) / 2 for each in (a_F, b_F))
    size = np.sqrt((a_F**2).sum() * (b_F**2).sum())
    return float((a_F * b_F).sum() / size) if size > 0 else float("nan")


def kendall(a_F: NDArray[np.floating], b_F: NDArray[np.floating]) -> float:
    """tau-b: pairs in the same order less pairs in the opposite one, over the pairs that are not equal on either side.

    (C - D) / sqrt((pairs unequal in a) (pairs unequal in b)); NaN where one side is all equal. For up to a few
    thousand things: all pairs are looked at (Kendall 1945, "The Treatment of Ties in Ranking Problems").
    """
    sign_a, sign_b = (np.sign(each[:, None] - each[None, :]) for each in (a_F, b_F))
    size = np.sqrt((sign_a**2).sum() * (sign_b**2).sum())
    return float((sign_a * sign_b).sum() / size) if size > 0 else float("nan")


def mean_ranks(values_F: NDArray[np.floating]) -> NDArray[np.float64]:
    """Ranks from 0, ascending; equal values share the mean of theirs."""
    _, place_F, count_V = np.unique(values_F, return_inverse=True, return_counts=True)
    first_V = np.cumsum(count_V) - count_V
    return np.asarray((first_V + (count_V - 1) / 2)[place_F], np.float64)
