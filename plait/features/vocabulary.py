"""Codes of the values that one categorical field can take, fitted on what training sees."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait.errors import ArtifactError

Key = int | str
"""A value of a field: an integer, or text in any language. Other types are taken by their text."""


class Vocabulary:
    """Values and their codes: value i has code i + 1; code 0 is null, rare, or never seen in training.

    Values are all integers or all text; a value of the other kind is converted before it is looked up, so that a
    request may say `"42"` where the table says 42.
    """

    def __init__(self, values: pl.Series) -> None:
        self.values = values.rename("value")

    @classmethod
    def fit(cls, values: pl.Series, counts: NDArray[np.int64], min_count: int) -> "Vocabulary":
        """The values whose counts add up to `min_count` or more, most frequent first, equal ones in value order.

        Args:
            values: any number of rows per value; nulls are left out.
            counts: how often training saw each row of `values`.
            min_count: rarer values share code 0, which gives that code a trained meaning: "rare or new".
        """
        frame = pl.DataFrame({"value": as_keys(values), "count": counts})
        kept = (
            frame.filter(pl.col("value").is_not_null())
            .group_by("value")
            .agg(pl.col("count").sum())
            .filter(pl.col("count") >= max(min_count, 1))
            .sort(["count", "value"], descending=[True, False])
        )
        return cls(kept["value"])

    @classmethod
    def of_rows(cls, ids: pl.Series) -> "Vocabulary":
        """All of these distinct ids, in their order."""
        return cls(as_keys(ids))

    @property
    def size(self) -> int:
        """Number of codes, 0 included."""
        return len(self.values) + 1

    def encode(self, values: pl.Series) -> NDArray[np.int32]:
        """The code of each value."""
        keys = as_keys(values)
        if keys.dtype != self.values.dtype:
            keys = keys.cast(self.values.dtype, strict=False)
        return lookup(keys, self._codes)

    def code(self, value: object) -> int:
        """The code of one value; the same as `encode` gives."""
        if value is None:
            return 0
        key = self._key(value)
        return 0 if key is None else self._code_of.get(key, 0)

    def value(self, code: int) -> Key:
        """The value of a code from 1 on."""
        return self._values[code - 1]

    def save(self, path: Path) -> None:
        """Write the values, in code order, as Parquet."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.values.to_frame().write_parquet(path)

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """The vocabulary that `save` wrote.

        Raises:
            ArtifactError: the file is missing or is something else.
        """
        try:
            return cls(pl.read_parquet(path)["value"])
        except (OSError, pl.exceptions.PolarsError) as error:
            raise ArtifactError(f"{path}: not a vocabulary: {error}; encode the samples again") from error

    @cached_property
    def _codes(self) -> pl.DataFrame:
        return pl.DataFrame({"key": self.values, "code": np.arange(1, self.size, dtype=np.int32)})

    @cached_property
    def _values(self) -> list[Key]:
        return self.values.to_list()

    @cached_property
    def _code_of(self) -> Mapping[Key, int]:
        return dict(zip(self._values, range(1, self.size), strict=True))

    def _key(self, value: object) -> Key | None:
        if self.values.dtype != pl.Int64:
            return _text(value)
        if isinstance(value, float) and not value.is_integer():
            return None
        try:
            return int(value)  # type: ignore[call-overload, no-any-return]
        except (TypeError, ValueError):
            return None


def as_keys(values: pl.Series) -> pl.Series:
    """`values` as Int64 where they are integers of any width, else as String."""
    return values.cast(pl.Int64 if values.dtype.is_integer() else pl.String)


def lookup(keys: pl.Series, codes: pl.DataFrame) -> NDArray[np.int32]:
    """The `code` beside each key in `codes` (columns `key`, `code`); 0 where there is none."""
    joined = keys.alias("key").to_frame().join(codes, on="key", how="left", maintain_order="left")
    return joined["code"].fill_null(0).cast(pl.Int32).to_numpy()


def _text(value: object) -> str:
    """As Polars casts to String: booleans in lower case."""
    return str(value).lower() if isinstance(value, bool) else str(value)
