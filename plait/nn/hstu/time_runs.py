"""Time buckets of all pairs of events in memory that grows with the events, not with the pairs.

Column times do not fall, so the time that lies between a row and its columns falls with the column, and columns of one
bucket are neighbours: a row has at most 129 runs of columns.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from plait.nn.time_buckets import FIRST_MS, TIME_BUCKETS

_FIRST_MS = np.array(FIRST_MS, np.int64)


@dataclass(frozen=True, slots=True)
class TimeRuns:
    """For each of N rows, its columns 0..row as runs of one bucket."""

    first_N: NDArray[np.int64]
    """Where each row's runs begin; those of neighbouring rows mostly lie side by side."""
    end_R: NDArray[np.int32]
    """The column behind each run."""
    bucket_R: NDArray[np.uint8]
    """The bucket of each run."""

    @classmethod
    def empty(cls, events: int) -> "TimeRuns":
        """Room for `events` rows; memory that no run needs is never touched."""
        room = TIME_BUCKETS * events
        return cls(np.empty(events, np.int64), np.empty(room, np.int32), np.empty(room, np.uint8))


@njit(nogil=True, cache=True)
def find_runs(row_time_N, column_time_N, offsets_U1, user, first, last, first_N, end_R, bucket_R):
    """Fill the runs of rows `first` to `last` one behind the other; `user` is that of row `first`."""
    here = TIME_BUCKETS * first
    for row in range(first, last):
        while row >= offsets_U1[user + 1]:
            user += 1
        start = offsets_U1[user]
        first_N[row] = here
        column, length = 0, row - start + 1
        while column < length:
            difference = row_time_N[row] - column_time_N[start + column]
            bucket = np.searchsorted(_FIRST_MS, difference, side="right") - 1
            begin = row_time_N[row] - _FIRST_MS[bucket]
            column = _first_after(column_time_N, start, column, length, begin)
            end_R[here] = column
            bucket_R[here] = bucket
            here += 1


@njit(nogil=True, cache=True)
def _first_after(time_N, start, low, high, moment):
    """The first column in `low..high` whose time is later than `moment`: by doubling, then by halving."""
    step = 1
    while low + step < high and time_N[start + low + step] <= moment:
        low += step
        step *= 2
    high = min(high, low + step)
    while high - low > 1:
        middle = (low + high) // 2
        if time_N[start + middle] <= moment:
            low = middle
        else:
            high = middle
    return high
