"""Sampled negatives for data that lists only what users chose."""

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


def draw_negatives(
    users_P: IntArray, items_P: IntArray, item_count: int, each: int, stream: np.random.Generator
) -> IntArray:
    """For every positive pair, `each` items that its user never chose, none of them twice for one user.

    Uniform over the items that are left to the user. Where a user runs out of items, the rest is -1.

    Args:
        users_P: user code of each pair, ascending.
        items_P: item code of each pair, 0 <= code < item_count.
        item_count: how many items there are.
        each: how many negatives a pair gets.
        stream: the random stream.

    Returns:
        Item codes [P, each].
    """
    drawn = np.full((len(users_P), each), -1, dtype=np.int64)
    starts = np.flatnonzero(np.diff(users_P, prepend=-1))
    for start, end in zip(starts, np.append(starts, len(users_P))[1:], strict=True):
        chosen = np.unique(items_P[start:end])
        wanted = min((end - start) * each, item_count - len(chosen))
        ranks = stream.choice(item_count - len(chosen), size=wanted, replace=False)
        # The r-th item outside `chosen` is r plus the number of chosen items that come before it.
        codes = ranks + np.searchsorted(chosen - np.arange(len(chosen)), ranks, side="right")
        drawn[start:end].reshape(-1)[:wanted] = codes
    return drawn
