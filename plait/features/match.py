"""How well a candidate fits what is asked for: the words of a query beside the item's categories, by what was shown.

For a value t of a multi-valued context field and a category k, over the exposures of the training window:

    lift(t, k) = log((n(t, k) + m p(k)) / ((n(t) + m) p(k)))

n counts exposures, p(k) is the share of k among the exposures that have a value at all, and m = 50 exposures draw what
is rarely seen towards 0. No label enters: the platform's own search shows what a word means long before clicks do. A
candidate's number is the mean over the row's values, 0 without any; unknown values and categories count 0.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plait.features.bags import Bags
from plait.features.spec import FeatureSpec, Number

_PRIOR = 50.0
"""m: the exposures that independence is worth."""


class Shown(NamedTuple):
    """Some exposures: their lists and their items."""

    bags: Bags
    """Q per exposure, row by row: the multi-valued context fields."""
    item_fields_BI: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Lift:
    """The lifts of one multi-valued field over one category field."""

    first_token: int
    """Where the field's codes begin among those of all."""
    keys_M: NDArray[np.int64]
    """`value * categories + category` of the pairs that were shown, ascending."""
    lifts_M: NDArray[np.float32]
    absent_V: NDArray[np.float32]
    """Lift of each value over a category that it was never shown with."""
    categories: int

    def of(self, bags: Bags, bag_B: NDArray[np.integer], category_B: NDArray[np.int32]) -> NDArray[np.float32]:
        """The mean lift of each row's bag over its category; each distinct pair is computed once."""
        if not np.any(bags.offsets_J1[bag_B + 1] > bags.offsets_J1[bag_B]):
            return np.zeros(len(bag_B), np.float32)
        distinct_D, slot_B = np.unique(bag_B * self.categories + category_B, return_inverse=True)
        bag_D, category_D = np.divmod(distinct_D, self.categories)
        taken = bags.take(bag_D)
        row_N = taken.rows()
        value_N = taken.codes_N - self.first_token
        lift_N = self._lookup(value_N, category_D[row_N])
        total_D = np.bincount(row_N, weights=lift_N, minlength=len(distinct_D))
        mean_D = total_D / np.maximum(taken.lengths(), 1)
        return mean_D.astype(np.float32)[slot_B]

    def _lookup(self, value_N: NDArray[np.integer], category_N: NDArray[np.integer]) -> NDArray[np.float32]:
        keys_N = value_N * self.categories + category_N
        lift_N = self.absent_V[value_N]
        if len(self.keys_M):
            place_N = np.minimum(np.searchsorted(self.keys_M, keys_N), len(self.keys_M) - 1)
            lift_N = np.where(self.keys_M[place_N] == keys_N, self.lifts_M[place_N], lift_N)
        known_N = (value_N > 0) & (category_N > 0)
        return np.where(known_N, lift_N, np.float32(0.0))


@dataclass(frozen=True, slots=True)
class MatchNumbers:
    """The match numbers of one specification: every multi-valued context field over every level of categories."""

    lifts: tuple[Lift, ...]
    """Field by field, and of each level by level."""
    category_columns: tuple[int, ...]
    """Which item fields are the category path."""

    @classmethod
    def fit(cls, spec: FeatureSpec, shown: Iterable[Shown]) -> "MatchNumbers":
        """Count what the training window showed.

        Args:
            spec: of the features.
            shown: the training exposures, in pieces.
        """
        columns = category_columns(spec)
        fields = spec.multi_columns("context")
        counters = [
            _Counter(
                spec.first_tokens[field], spec.multi_fields[field].size, spec.fields[spec.item_columns[column]].size
            )
            for field in fields
            for column in columns
        ]
        for piece in shown:
            for place in range(len(fields)):
                bags = piece.bags.take(np.arange(place, len(piece.bags), len(fields)))
                for level, column in enumerate(columns):
                    counters[place * len(columns) + level].add(bags, piece.item_fields_BI[:, column])
        return cls(tuple(counter.lift() for counter in counters), columns)

    def numbers(
        self, bags: Bags, bag_BQ: NDArray[np.integer], item_fields_BI: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """`[B, len(lifts)]`: how well each row's item fits the bags of its context.

        Args:
            bags: of the rows.
            bag_BQ: the bag of each multi-valued context field.
            item_fields_BI: codes of the rows' item fields.
        """
        numbers_BG = np.empty((len(item_fields_BI), len(self.lifts)), np.float32)
        for place, lift in enumerate(self.lifts):
            field, level = divmod(place, len(self.category_columns))
            category_B = item_fields_BI[:, self.category_columns[level]]
            numbers_BG[:, place] = lift.of(bags, bag_BQ[:, field], category_B)
        return numbers_BG

    def save(self, folder: Path) -> None:
        """Write three files per pair of fields to `folder`."""
        for place, lift in enumerate(self.lifts):
            for kind, array in (("keys", lift.keys_M), ("lifts", lift.lifts_M), ("absent", lift.absent_V)):
                np.save(folder / f"match-{place:03d}.{kind}.npy", array)

    @classmethod
    def load(cls, folder: Path, spec: FeatureSpec) -> "MatchNumbers":
        """What `save` wrote for this specification."""
        columns, lifts = category_columns(spec), []
        for place in range(len(spec.number_columns("match"))):
            field, level = divmod(place, len(columns))
            keys_M, lifts_M, absent_V = (
                np.load(folder / f"match-{place:03d}.{kind}.npy", allow_pickle=False)
                for kind in ("keys", "lifts", "absent")
            )
            first_token = spec.first_tokens[spec.multi_columns("context")[field]]
            categories = spec.fields[spec.item_columns[columns[level]]].size
            lifts.append(Lift(first_token, keys_M, lifts_M, absent_V, categories))
        return cls(tuple(lifts), columns)


def match_numbers(spec: FeatureSpec) -> tuple[Number, ...]:
    """What the match numbers are called; they are as they are, without a scale of their own."""
    names = [spec.fields[spec.item_columns[column]].name for column in category_columns(spec)]
    fields = [spec.multi_fields[index].name for index in spec.multi_columns("context")]
    return tuple(Number(f"match.{field}.{name}", "match") for field in fields for name in names)


def category_columns(spec: FeatureSpec) -> tuple[int, ...]:
    """Which of the item fields are the item's category path."""
    names = [spec.fields[index].name for index in spec.item_columns]
    return tuple(place for place, name in enumerate(names) if name in ("category_1", "category_2", "category_3"))


class _Counter:
    """Counts of one multi-valued field beside one category field."""

    def __init__(self, first_token: int, values: int, categories: int) -> None:
        self._first_token = first_token
        self._values = values
        self._keys_M = np.empty(0, np.int64)
        self._counts_M = np.empty(0, np.int64)
        self._shown_C = np.zeros(categories, np.int64)

    def add(self, bags: Bags, category_B: NDArray[np.int32]) -> None:
        categories = len(self._shown_C)
        self._shown_C += np.bincount(category_B[bags.lengths() > 0], minlength=categories)
        value_N = (bags.codes_N - self._first_token).astype(np.int64)
        keys_M, counts_M = np.unique(value_N * categories + category_B[bags.rows()], return_counts=True)
        self._keys_M, slot = np.unique(np.concatenate([self._keys_M, keys_M]), return_inverse=True)
        both = np.concatenate([self._counts_M, counts_M])
        self._counts_M = np.bincount(slot, weights=both, minlength=len(self._keys_M)).astype(np.int64)

    def lift(self) -> Lift:
        value_M, category_M = np.divmod(self._keys_M, len(self._shown_C))
        count_V = np.bincount(value_M, weights=self._counts_M, minlength=self._values)
        share_M = (self._shown_C / max(int(self._shown_C.sum()), 1))[category_M]
        lifts_M = np.log((self._counts_M + _PRIOR * share_M) / ((count_V[value_M] + _PRIOR) * share_M))
        absent_V = np.log(_PRIOR / (count_V + _PRIOR))
        return Lift(
            self._first_token,
            self._keys_M,
            lifts_M.astype(np.float32),
            absent_V.astype(np.float32),
            len(self._shown_C),
        )
