"""User samples: each user's behaviours in order of arrival, and how many of them came before each exposure."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from plait.data.ordering import order_by
from plait.schema import Columns as C

ARRIVAL_TIES: tuple[str, ...] = (C.TIME, C.ITEM_ID, C.ACTION, C.VALUE, C.SCENARIO)
"""What orders a user's behaviours that arrive in one moment (null first)."""

SEQUENCE_COLUMNS: tuple[str, ...] = (C.ITEM_ID, C.ACTION, C.VALUE, C.SCENARIO, C.TIME, C.AVAILABLE_TIME)
"""The list columns of a user sample."""


def arrival_order(behaviours: pl.DataFrame, key_N: NDArray[np.int64], unique: Sequence[str]) -> NDArray[np.int64]:
    """Rows of `behaviours` by user, arrival (the larger of time and received time) and `ARRIVAL_TIES`, repeats dropped.

    Args:
        behaviours: the rows.
        key_N: (user, arrival) of each row, fused by a `Timeline`.
        unique: rows that agree in all of these columns are one behaviour that was logged more than once.
    """
    return order_by(key_N, behaviours, ARRIVAL_TIES, unique)


def behaviours_before(
    exposure_key_B: NDArray[np.int64],
    exposure_user_B: NDArray[np.int64],
    arrival_key_N: NDArray[np.int64],
    starts_U1: NDArray[np.int64],
) -> NDArray[np.int32]:
    """For each exposure, how many behaviours of its user arrived strictly before it: a prefix of the user's sample.

    `before(e) = |{ b of the same user : b.available_time < e.time }|`

    Args:
        exposure_key_B: (user, exposure time), fused by a `Timeline`.
        exposure_user_B: user of each exposure.
        arrival_key_N: (user, arrival) of every behaviour, sorted, fused by the same timeline.
        starts_U1: where each user's behaviours begin.
    """
    place_B = np.searchsorted(arrival_key_N, exposure_key_B, side="left")
    return (place_B - starts_U1[exposure_user_B]).astype(np.int32)


def user_samples(users: pl.Series, behaviours: pl.DataFrame, starts_U1: NDArray[np.int64]) -> pl.DataFrame:
    """One row per user: the id and the list columns `SEQUENCE_COLUMNS`, in order of arrival.

    Args:
        users: ids, U rows.
        behaviours: rows by user and arrival.
        starts_U1: user u's behaviours are rows `starts_U1[u]:starts_U1[u + 1]`.
    """
    offsets = pa.array(starts_U1, type=pa.int64())
    lists = {
        name: pl.Series(name, pl.from_arrow(pa.LargeListArray.from_arrays(offsets, behaviours[name].to_arrow())))
        for name in SEQUENCE_COLUMNS
    }
    return pl.DataFrame({C.USER_ID: users, **lists})
