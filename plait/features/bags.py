"""Any number of codes per row ("bags"), behind one another in one array."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait.features.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Bags:
    """J bags of codes: those of bag j are `codes_N[offsets_J1[j] : offsets_J1[j + 1]]`."""

    offsets_J1: NDArray[np.int64]
    codes_N: NDArray[np.int32]

    @classmethod
    def empty(cls, count: int = 0) -> "Bags":
        """`count` bags without codes."""
        return cls(np.zeros(count + 1, np.int64), np.empty(0, np.int32))

    @classmethod
    def encode(cls, lists: pl.Series, vocabulary: Vocabulary, first_code: int) -> "Bags":
        """A bag per list of values; the vocabulary's code 0 (unknown) is `first_code`."""
        lengths_J = lists.list.len().fill_null(0).to_numpy()
        flat = lists.explode(empty_as_null=False, keep_nulls=False)
        codes_N = vocabulary.encode(flat) + np.int32(first_code)
        return cls(offsets_of(lengths_J), codes_N)

    @classmethod
    def join(cls, parts: Sequence["Bags"]) -> "Bags":
        """The bags of all parts, in order."""
        if len(parts) == 1:
            return parts[0]
        lengths_J = np.concatenate([part.lengths() for part in parts])
        return cls(offsets_of(lengths_J), np.concatenate([part.codes_N for part in parts]))

    @classmethod
    def interleave(cls, columns: Sequence["Bags"], rows: int) -> "Bags":
        """Columns of `rows` bags each as one: bag `row * len(columns) + column`."""
        if not columns:
            return cls.empty()
        return cls.join(columns).take(np.arange(rows * len(columns)).reshape(len(columns), rows).T.ravel())

    def __len__(self) -> int:
        return len(self.offsets_J1) - 1

    def lengths(self) -> NDArray[np.int64]:
        """How many codes each bag has."""
        return np.diff(self.offsets_J1)

    def rows(self) -> NDArray[np.int64]:
        """The bag of each code."""
        return np.repeat(np.arange(len(self)), self.lengths())

    def take(self, chosen_J: NDArray[np.integer]) -> "Bags":
        """Some of the bags, in the order of `chosen_J`."""
        start_J = self.offsets_J1[chosen_J]
        lengths_J = self.offsets_J1[chosen_J + 1] - start_J
        offsets_J1 = offsets_of(lengths_J)
        places_N = np.arange(offsets_J1[-1]) + np.repeat(start_J - offsets_J1[:-1], lengths_J)
        return Bags(offsets_J1, np.asarray(self.codes_N[places_N]))

    def padded(self, width: int) -> NDArray[np.int32]:
        """`[J, width]`: the first codes of each bag, 0 behind them."""
        lengths_J = np.minimum(self.lengths(), width)
        present_JC = np.arange(width) < lengths_J[:, None]
        codes_JC = np.zeros(present_JC.shape, np.int32)
        places_JC = self.offsets_J1[:-1, None] + np.arange(width)
        codes_JC[present_JC] = self.codes_N[places_JC[present_JC]]
        return codes_JC


def offsets_of(lengths_J: NDArray[np.integer]) -> NDArray[np.int64]:
    """Where rows of these lengths begin when they stand behind one another, and where the last one ends."""
    offsets_J1 = np.zeros(len(lengths_J) + 1, np.int64)
    np.cumsum(lengths_J, out=offsets_J1[1:])
    return offsets_J1
