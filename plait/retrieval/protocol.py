"""What every candidate source takes and gives. Items are rows of the item table throughout."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Items = NDArray[np.int64]
Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RetrievalQuery:
    """For whom and where candidates are wanted."""

    scenario: int
    """Index into the feature specification's scenarios; -1 is unknown."""
    recent_items_R: Items
    """Rows of the user's latest items, newest first, without repeats; empty for a new user."""
    recent_weights_R: Scores
    """How much each counts: 1 for the newest, less for older ones."""


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Items of one source, best first, with the source's own scores (comparable within the source only)."""

    items_K: Items
    scores_K: Scores

    def __len__(self) -> int:
        return len(self.items_K)

    @classmethod
    def nothing(cls) -> "Retrieved":
        """What a source gives that knows nothing of this user."""
        return cls(np.empty(0, np.int64), np.empty(0, np.float32))


class Source(Protocol):
    """One way to find candidates."""

    name: str
    """How the source is called in responses and metrics."""

    def retrieve(self, query: RetrievalQuery, limit: int) -> Retrieved:
        """At most `limit` items, best first, without repeats."""
        ...


def recency_weights(count: int, half_life: float = 10.0) -> Scores:
    """Weights of `count` items, newest first: `w_r = 2 ** (-r / half_life)`, with `half_life` in items."""
    weights_R: Scores = np.exp2(-np.arange(count, dtype=np.float32) / np.float32(half_life))
    return weights_R


def best(scores_V: Scores, limit: int) -> Items:
    """Indices of the `limit` largest finite scores, largest first; ties by index, so that the order is one."""
    limit = min(limit, len(scores_V))
    if limit == 0:
        return np.empty(0, np.int64)
    if limit < len(scores_V):
        floor = np.partition(scores_V, len(scores_V) - limit)[len(scores_V) - limit]
        kept = np.flatnonzero(scores_V >= floor)
    else:
        kept = np.arange(len(scores_V))
    kept = kept[np.isfinite(scores_V[kept])]
    return kept[np.argsort(-scores_V[kept], kind="stable")][:limit].astype(np.int64)
