"""Which creatives an item has."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from plait.data.arrays import load_arrays


@dataclass(frozen=True, slots=True)
class ItemCreatives:
    """Jagged lists: item row v has the creative rows `rows[offsets_V1[v]:offsets_V1[v + 1]]`."""

    offsets_V1: NDArray[np.int64]
    rows: NDArray[np.int64]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The lists that `build_retrieval` wrote to `folder`."""
        arrays = load_arrays(folder, "offsets", "rows")
        return cls(arrays["offsets"], arrays["rows"])

    def first(self, items_K: NDArray[np.int64]) -> NDArray[np.int64]:
        """The first creative of each item; 0 for an item without."""
        if not len(self.rows):
            return np.zeros(len(items_K), np.int64)
        start_K = self.offsets_V1[items_K]
        has_K = self.offsets_V1[items_K + 1] > start_K
        return np.where(has_K, self.rows[np.minimum(start_K, len(self.rows) - 1)], 0)

    def others(self, items_K: NDArray[np.int64], limit: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The further creatives of these items, item after item, at most `limit` in all.

        Returns:
            For each, the place of its item in `items_K`, and its row.
        """
        start_K = self.offsets_V1[items_K] + 1
        count_K = np.maximum(self.offsets_V1[items_K + 1] - start_K, 0)
        place_R = np.repeat(np.arange(len(items_K)), count_K)[:limit]
        within_R = np.arange(len(place_R)) - (np.cumsum(count_K) - count_K)[place_R]
        return place_R, np.asarray(self.rows[start_K[place_R] + within_R])
