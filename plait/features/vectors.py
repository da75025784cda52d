"""Vectors of users, items or creatives that were made from time to time, as numbers: never one from later on.

An exposure at time t reads the latest vector of its user (item, creative) that was available strictly before t, and
zeros, the mean, where there is none yet.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plait.errors import DataError

_LIMIT = np.float32(8.0)


@dataclass(frozen=True)
class DatedVectors:
    """R snapshots, sorted by whose they are and when they became available; of a pair of equals the last one counts."""

    entity_R: NDArray[np.int32]
    """Row of the user, item or creative in its table."""
    available_R: NDArray[np.int64]
    """When it could be used first (strictly after), epoch milliseconds."""
    standard_RG: NDArray[np.float32]
    """Standardised values, cut to -8..8."""

    @classmethod
    def fit(
        cls,
        entity_R: NDArray[np.integer],
        available_R: NDArray[np.int64],
        vectors_RG: NDArray[np.floating],
        *,
        train_end: int,
    ) -> "DatedVectors":
        """Sort and standardise snapshots.

        Args:
            entity_R: rows in the table of users, items or creatives; those of row 0 (unknown) are left out.
            available_R: when each could be used first, epoch milliseconds.
            vectors_RG: their values.
            train_end: mean and deviation are those of the snapshots available before this time; of all, if none is.

        Raises:
            DataError: a value is not finite.
        """
        if not np.isfinite(vectors_RG).all():
            raise DataError("vectors: found a value that is not a finite number; make them again")
        order_R = np.lexsort((available_R, entity_R))
        order_R = order_R[entity_R[order_R] > 0]
        available_R, vectors_RG = available_R[order_R], vectors_RG[order_R]
        fitted_R = available_R < train_end
        sample_RG = (vectors_RG[fitted_R] if fitted_R.any() else vectors_RG).astype(np.float64)
        mean_G, std_G = (sample_RG.mean(0), sample_RG.std(0)) if len(sample_RG) else (0.0, 1.0)
        standard_RG = (vectors_RG - mean_G) / np.where(std_G > 1e-12, std_G, 1.0)
        cut_RG: NDArray[np.float32] = np.clip(standard_RG, -_LIMIT, _LIMIT).astype(np.float32)
        return cls(entity_R[order_R].astype(np.int32), available_R, cut_RG)

    def at(self, entity_B: NDArray[np.integer], time_B: NDArray[np.int64]) -> NDArray[np.float32]:
        """`[B, G]`: each one's latest vector before its time; either argument may be one row that all share."""
        keys_B = entity_B.astype(np.int64) * self._span + np.searchsorted(self._times_T, time_B, side="left")
        place_B = np.searchsorted(self._keys_R, keys_B, side="left") - 1
        found_B = place_B >= 0
        found_B[found_B] = self.entity_R[place_B[found_B]] == np.broadcast_to(entity_B, place_B.shape)[found_B]
        numbers_BG = np.zeros((len(place_B), self.standard_RG.shape[1]), np.float32)
        numbers_BG[found_B] = self.standard_RG[place_B[found_B]]
        return numbers_BG

    def save(self, folder: Path, source: str) -> None:
        """Write three files to `folder`."""
        arrays: tuple[NDArray[Any], ...] = (self.entity_R, self.available_R, self.standard_RG)
        for kind, array in zip(_KINDS, arrays, strict=True):
            np.save(folder / f"{source}.vector_{kind}.npy", array)

    @classmethod
    def load(cls, folder: Path, source: str) -> "DatedVectors":
        """What `save` wrote; the values are mapped, not read."""
        entity_R, available_R = (
            np.load(folder / f"{source}.vector_{kind}.npy", allow_pickle=False) for kind in _KINDS[:2]
        )
        values_RG = np.load(folder / f"{source}.vector_{_KINDS[2]}.npy", mmap_mode="r", allow_pickle=False)
        return cls(entity_R, available_R, values_RG)

    @cached_property
    def _times_T(self) -> NDArray[np.int64]:
        return np.unique(self.available_R)

    @property
    def _span(self) -> int:
        return len(self._times_T) + 1

    @cached_property
    def _keys_R(self) -> NDArray[np.int64]:
        """Ascending: whose, then the place of its time among all times."""
        return self.entity_R.astype(np.int64) * self._span + np.searchsorted(self._times_T, self.available_R)


_KINDS = ("entities", "times", "values")
