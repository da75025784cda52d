"""Several sources into one list of candidates."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plait.retrieval.protocol import Items, Retrieved


@dataclass(frozen=True, slots=True)
class Candidates:
    """Distinct items in the order of the merge, best first."""

    items_K: Items
    source_K: NDArray[np.int64]
    """Index into `sources` of the source that brought the item first."""
    sources: tuple[str, ...]
    counts: dict[str, int]
    """Items that each source brought into the list."""

    def __len__(self) -> int:
        return len(self.items_K)

    def sources_of(self, items: Items) -> list[str]:
        """The name of the source that brought each of these candidates."""
        source_of = dict(zip(self.items_K.tolist(), self.source_K.tolist(), strict=True))
        return [self.sources[source_of[item]] for item in items.tolist()]

    def head(self, limit: int) -> "Candidates":
        """The first `limit` of them; the counts stay those of the whole list."""
        return Candidates(self.items_K[:limit], self.source_K[:limit], self.sources, self.counts)


def merge(retrieved: Mapping[str, Retrieved], shares: Mapping[str, float], exclude: Items, limit: int) -> Candidates:
    """Take turns between the sources, skipping what is excluded or was taken already.

    The n-th item that a source has left (from 1) takes its turn at `n / share`, earliest first, ties in the order of
    `retrieved`: a source with twice the share is asked twice as often, and one that runs dry leaves its turns to the
    others.

    Args:
        retrieved: each source's items, best first.
        shares: a positive weight per source; 1 where none is given.
        exclude: item rows that must not come.
        limit: the most candidates wanted.
    """
    sources = tuple(retrieved)
    kept = [found.items_K for found in retrieved.values()]
    if len(exclude):
        kept = [items_K[~np.isin(items_K, exclude)] for items_K in kept]
    items = np.concatenate(kept) if kept else np.empty(0, np.int64)
    source = np.repeat(np.arange(len(kept)), [len(part) for part in kept])
    turns = [np.arange(1, len(part) + 1) / shares.get(name, 1.0) for name, part in zip(sources, kept, strict=True)]
    order = np.lexsort((source, np.concatenate(turns))) if turns else np.empty(0, np.int64)
    items, source = items[order], source[order]
    _, first = np.unique(items, return_index=True)
    first = np.sort(first)[:limit]
    items, source = items[first], source[first]
    counts = np.bincount(source, minlength=len(sources))
    return Candidates(items, source, sources, {name: int(counts[index]) for index, name in enumerate(sources)})
