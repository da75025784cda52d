"""Users, items and creatives as rows of codes and numbers. Row 0 of every table is "unknown": all zeros."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait.features.bags import Bags
from plait.features.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class EntityTable:
    """One table: R rows, F categorical fields (the first is the id), G standardised numbers, P multi-valued fields."""

    ids: Vocabulary
    """Every id of the table, its "code" here being its row."""
    codes_RF: NDArray[np.int32]
    numbers_RG: NDArray[np.float32]
    bags: Bags
    """P per row, row by row."""

    @classmethod
    def absent(cls) -> "EntityTable":
        """The table of a workspace that has none: only the unknown row, no fields, no numbers."""
        none = pl.Series([], dtype=pl.Int64)
        return cls(Vocabulary(none), np.zeros((1, 0), np.int32), np.zeros((1, 0), np.float32), Bags.empty())

    def __len__(self) -> int:
        """Number of rows, the unknown one included."""
        return self.ids.size

    def extended(
        self, codes_RF: NDArray[np.int32], numbers_RG: NDArray[np.float32], bags_P: Sequence[Bags]
    ) -> "EntityTable":
        """This table with further fields, numbers and multi-valued fields (a bag per row of each) behind its own."""
        multi = len(self.bags) // len(self)
        own = [self.bags.take(np.arange(place, len(self.bags), multi)) for place in range(multi)]
        return EntityTable(
            self.ids,
            np.concatenate([self.codes_RF, codes_RF], axis=1),
            np.concatenate([self.numbers_RG, numbers_RG], axis=1),
            Bags.interleave([*own, *bags_P], len(self)) if bags_P else self.bags,
        )

    def bags_of(self, rows_R: NDArray[np.integer]) -> Bags:
        """The bags of some rows, P per row."""
        multi = len(self.bags) // len(self)
        if not multi:
            return Bags.empty()
        return self.bags.take((rows_R[:, None] * multi + np.arange(multi)).ravel())

    def codes_and_tokens(self, most_P: Sequence[int]) -> NDArray[np.int32]:
        """`[R, F + sum(most_P)]`: every row's codes, then each multi-valued field's, with 0 behind the last of them.

        Args:
            most_P: width of each multi-valued field.
        """
        bags = (self.bags.take(np.arange(place, len(self.bags), len(most_P))) for place in range(len(most_P)))
        tokens = [bags.padded(most) for bags, most in zip(bags, most_P, strict=True)]
        return np.concatenate([self.codes_RF, *tokens], axis=1)

    def by_id_code(self, values_RX: NDArray[np.int32]) -> NDArray[np.int32]:
        """`[V, X]`: the rows by the code of their id; those without an id code of their own are left out."""
        known_R = self.codes_RF[:, 0] > 0
        values_VX = np.zeros((int(np.count_nonzero(known_R)) + 1, values_RX.shape[1]), np.int32)
        values_VX[self.codes_RF[known_R, 0]] = values_RX[known_R]
        return values_VX

    def save(self, folder: Path, name: str) -> None:
        """Write the table as files called `name` in `folder`."""
        self.ids.save(folder / f"{name}.ids.parquet")
        np.save(folder / f"{name}.codes.npy", self.codes_RF)
        np.save(folder / f"{name}.numbers.npy", self.numbers_RG)
        np.save(folder / f"{name}.token_offsets.npy", self.bags.offsets_J1)
        np.save(folder / f"{name}.tokens.npy", self.bags.codes_N)

    @classmethod
    def load(cls, folder: Path, name: str) -> "EntityTable":
        """The table that `save` wrote.

        Raises:
            ArtifactError: it is missing or damaged.
        """
        ids = Vocabulary.load(folder / f"{name}.ids.parquet")
        kinds = ("codes", "numbers", "token_offsets", "tokens")
        codes_RF, numbers_RG, offsets_J1, tokens_N = (
            np.load(folder / f"{name}.{kind}.npy", allow_pickle=False) for kind in kinds
        )
        return cls(ids, codes_RF, numbers_RG, Bags(offsets_J1, tokens_N))
