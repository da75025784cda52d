"""Numbers on one scale: fitted on what training sees, the same for a table of values and for one request."""

import numpy as np
from numpy.typing import NDArray

from plait.features.spec import Number, NumberSource

_LIMIT = 8.0


def fit_number(
    name: str, source: NumberSource, values_R: NDArray[np.float64], weights_R: NDArray[np.float64]
) -> Number:
    """Mean and deviation of the values as training sees them, on a log scale where they are heavy-tailed.

    `log1p` is taken where no value is negative and the deviation exceeds the mean: an exponential distribution has
    them equal; money, counts and durations usually spread wider.

    Args:
        name: of the number.
        source: where it comes from.
        values_R: one value per row; NaN is null.
        weights_R: how often training sees each row.
    """
    seen = np.isfinite(values_R) & (weights_R > 0)
    if not seen.any():
        return Number(name, source)
    values, weights = values_R[seen], weights_R[seen]
    mean, std = _moments(values, weights)
    log = bool(values.min() >= 0) and bool(values.min() < values.max()) and std > mean
    if log:
        mean, std = _moments(np.log1p(values), weights)
    return Number(name, source, mean, std, log)


def standardise(values: NDArray[np.float64], number: Number) -> NDArray[np.float32]:
    """`(x - mean) / std` with x on the number's scale, cut to -8..8; null (NaN) becomes 0, the mean.

    Negative values of a number on a log scale, which training never saw, count as 0.
    """
    scaled = np.log1p(np.maximum(values, 0.0)) if number.log else values
    standard = np.clip((scaled - number.mean) / number.std, -_LIMIT, _LIMIT)
    return np.nan_to_num(standard, nan=0.0).astype(np.float32)


def _moments(values: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[float, float]:
    mean = float(np.average(values, weights=weights))
    variance = float(np.average((values - mean) ** 2, weights=weights))
    constant = variance <= 1e-12 * max(mean * mean, 1e-12)
    return mean, 1.0 if constant else float(np.sqrt(variance))
