"""Orders by user and time through fused integer keys: one machine word per row, one sort, ties settled by columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

_KEY_BITS = 63


@dataclass(frozen=True, slots=True)
class Timeline:
    """Fuses (user, time) into one int64 whose order is by user, then time: `key = user * 2^bits + tick(time)`.

    A tick is the milliseconds since `origin`; where users and span do not fit into 63 bits together, it is the rank
    of the time among `moments` instead, which always fits.
    """

    bits: int
    origin: int
    moments: NDArray[np.int64] | None = None

    @classmethod
    def over(cls, users: int, *times: NDArray[np.int64]) -> "Timeline":
        """A timeline for `users` users and all of `times` (epoch milliseconds)."""
        present = [time for time in times if len(time)]
        if not present:
            return cls(1, 0)
        origin = min(int(time.min()) for time in present)
        bits = bits_for(max(int(time.max()) for time in present) - origin + 1)
        if bits + bits_for(users) <= _KEY_BITS:
            return cls(bits, origin)
        moments = np.unique(np.concatenate(present))
        return cls(bits_for(len(moments)), 0, moments)

    def key(self, user_N: NDArray[np.int64], time_N: NDArray[np.int64]) -> NDArray[np.int64]:
        """One key per row."""
        tick_N = time_N - self.origin if self.moments is None else np.searchsorted(self.moments, time_N)
        return np.asarray((user_N << self.bits) | tick_N)

    def starts(self, users: int, sorted_key_N: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where each user's rows begin among sorted keys: `users + 1` offsets."""
        return np.searchsorted(sorted_key_N, np.arange(users + 1, dtype=np.int64) << self.bits)


def bits_for(count: int) -> int:
    """Bits that hold the numbers 0 to `count` - 1 (at least one)."""
    return max(1, (count - 1).bit_length())


def order_by(
    key_N: NDArray[np.int64], frame: pl.DataFrame, ties: Sequence[str], unique: Sequence[str]
) -> NDArray[np.int64]:
    """Rows of `frame` in order of `key_N`, then of the columns `ties`; rows equal in key and `unique` appear once.

    Args:
        key_N: non-negative keys, one per row.
        frame: the rows.
        ties: columns that order rows of equal key (null first).
        unique: columns that tell rows of equal key apart.
    """
    order_N, sorted_N = _argsort(key_N)
    equal_N = sorted_N[1:] == sorted_N[:-1]
    if not equal_N.any():
        return order_N
    tied_N = np.zeros(len(order_N), dtype=bool)
    tied_N[1:] |= equal_N
    tied_N[:-1] |= equal_N
    places = np.flatnonzero(tied_N)
    rows = order_N[places]
    columns = list(dict.fromkeys([*ties, *unique]))
    tied = frame.select(columns)[rows].with_columns(key=pl.Series(sorted_N[places]), row=pl.Series(rows))
    tied = tied.sort("key", *ties)
    order_N[places] = tied["row"].to_numpy()
    kept = tied.with_columns(place=pl.Series(places)).unique(["key", *unique], keep="first")["place"].to_numpy()
    keep_N = ~tied_N
    keep_N[kept] = True
    return order_N[keep_N]


def _argsort(key_N: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order and sorted keys. Where key and row number fit into one word, sorting values beats sorting indices."""
    rows = len(key_N)
    row_bits = bits_for(rows)
    if rows and bits_for(int(key_N.max()) + 1) + row_bits <= _KEY_BITS:
        packed_N = (key_N << row_bits) | np.arange(rows, dtype=np.int64)
        packed_N.sort()
        return packed_N & ((1 << row_bits) - 1), packed_N >> row_bits
    order_N = np.argsort(key_N)
    return order_N, key_N[order_N]


def shared_codes(*columns: pl.Series) -> tuple[pl.Series, list[NDArray[np.int64]]]:
    """The distinct values of all `columns` in order, and each column as places in them (ids: integers or text)."""
    values = pl.concat([column.unique() for column in columns]).unique().sort()
    if values.dtype.is_integer():
        distinct = values.to_numpy()
        return values, [np.searchsorted(distinct, column.to_numpy()) for column in columns]
    kind = pl.Enum(values)
    return values, [column.cast(kind).to_physical().cast(pl.Int64).to_numpy() for column in columns]
