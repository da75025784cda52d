"""Users, items and creatives as rows of codes and numbers. Row 0 of every table is "unknown": all zeros."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait.features.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class EntityTable:
    """One table: R rows, F categorical fields (the first is the id), G standardised numbers."""

    ids: Vocabulary
    """Every id of the table, its "code" here being its row."""
    codes_RF: NDArray[np.int32]
    numbers_RG: NDArray[np.float32]

    @classmethod
    def absent(cls) -> "EntityTable":
        """The table of a workspace that has none: only the unknown row, no fields, no numbers."""
        none = pl.Series([], dtype=pl.Int64)
        return cls(Vocabulary(none), np.zeros((1, 0), np.int32), np.zeros((1, 0), np.float32))

    def __len__(self) -> int:
        """Number of rows, the unknown one included."""
        return self.ids.size

    def codes_by_id_code(self) -> NDArray[np.int32]:
        """Codes of all fields by the code of the id, `[V, F]`; rows without an id code of their own are left out."""
        known = self.codes_RF[:, 0] > 0
        codes_VF = np.zeros((int(np.count_nonzero(known)) + 1, self.codes_RF.shape[1]), np.int32)
        codes_VF[self.codes_RF[known, 0]] = self.codes_RF[known]
        return codes_VF

    def save(self, folder: Path, name: str) -> None:
        """Write the table as three files called `name` in `folder`."""
        self.ids.save(folder / f"{name}.ids.parquet")
        np.save(folder / f"{name}.codes.npy", self.codes_RF)
        np.save(folder / f"{name}.numbers.npy", self.numbers_RG)

    @classmethod
    def load(cls, folder: Path, name: str) -> "EntityTable":
        """The table that `save` wrote.

        Raises:
            ArtifactError: it is missing or damaged.
        """
        ids = Vocabulary.load(folder / f"{name}.ids.parquet")
        codes_RF = np.load(folder / f"{name}.codes.npy", allow_pickle=False)
        return cls(ids, codes_RF, np.load(folder / f"{name}.numbers.npy", allow_pickle=False))
