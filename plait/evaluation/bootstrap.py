"""Uncertainty by resampling users: rows of one user are alike, so users, not rows, are drawn."""

import numpy as np
from numpy.typing import NDArray

from plait.seeding import generator

_TAILS = (0.025, 0.975)
_BLOCK = 64


def draw_users(num_users: int, resamples: int, seed: int) -> NDArray[np.uint8]:
    """How often each user stands in each resample, when as many users as there are get drawn with replacement.

    The draw depends on nothing but the arguments, so that two models measured on the same rows with the same seed meet
    the same resamples: the differences of their metrics are paired. (Cluster bootstrap: Davison & Hinkley, "Bootstrap
    Methods and their Application", 1997, section 3.8.)

    Args:
        num_users: U.
        resamples: R.
        seed: of the stream "bootstrap".

    Returns:
        Multiplicities, `[R, U]`; every row adds up to U.
    """
    random = generator(seed, "bootstrap", num_users)
    weights_RU = np.zeros((resamples, num_users), np.uint8)
    for r in range(resamples):
        drawn_U = np.bincount(random.integers(0, num_users, num_users), minlength=num_users)
        weights_RU[r] = np.minimum(drawn_U, 255)  # 255 draws of one user: less likely than 1 in 10^500
    return weights_RU


def resampled_totals(weights_RU: NDArray[np.uint8], sums_UK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Totals over users in each resample, `[R, K]`, of quantities that add up over users."""
    blocks = [
        weights_RU[start : start + _BLOCK].astype(np.float64) @ sums_UK for start in range(0, len(weights_RU), _BLOCK)
    ]
    return np.concatenate(blocks) if blocks else np.zeros((0, sums_UK.shape[1]))


def interval(values_R: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """The middle 95 % of resampled values (percentile interval).

    Resamples in which the metric is undefined (NaN) are left out; where they are half or more, or fewer than 20 are
    left, there is no interval.
    """
    known_R = values_R[~np.isnan(values_R)]
    if len(known_R) < max(20, len(values_R) / 2):
        return None, None
    low, high = np.quantile(known_R, _TAILS)
    return float(low), float(high)
