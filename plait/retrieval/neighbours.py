"""Items near the user's recent ones in the trained model's own space, by exact search."""

from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from plait.data.arrays import load_arrays, save_arrays
from plait.retrieval.protocol import RetrievalQuery, Retrieved, Scores, best
from plait.retrieval.vector_index import unit_vectors

_ROWS_AT_A_TIME = 262_144


class EmbeddingNeighbours:
    """Exact cosine search around the recency-weighted mean of the user's recent items.

    Work is one pass over all vectors per request: right up to some hundred thousand items.
    """

    name = "embedding"

    def __init__(self, vectors_VD: NDArray[np.float32]) -> None:
        """Take the vectors.

        Args:
            vectors_VD: per item row its vector, of length 1; an all-zero row is never retrieved.
        """
        self._vectors_VD = vectors_VD
        self._absent_V = ~np.asarray(vectors_VD).any(axis=1)

    @classmethod
    def from_embeddings(cls, embeddings_VD: NDArray[np.float32]) -> Self:
        """Vectors of length 1 from a model's item embeddings, centred: a shared offset says nothing about nearness."""
        return cls(unit_vectors(embeddings_VD))

    def retrieve(self, query: RetrievalQuery, limit: int) -> Retrieved:
        """Items by cosine to `sum_r w_r x_r`, the recent items themselves left out."""
        if not len(query.recent_items_R):
            return Retrieved.nothing()
        wanted_D = query.recent_weights_R @ self._vectors_VD[query.recent_items_R]
        norm = float(np.linalg.norm(wanted_D))
        if norm == 0.0:
            return Retrieved.nothing()
        scores_V = self._score(wanted_D / norm)
        scores_V[self._absent_V] = -np.inf
        scores_V[query.recent_items_R] = -np.inf
        order = best(scores_V, limit)
        return Retrieved(order, scores_V[order])

    def _score(self, wanted_D: Scores) -> Scores:
        scores_V = np.empty(len(self._vectors_VD), np.float32)
        for start in range(0, len(scores_V), _ROWS_AT_A_TIME):
            part = slice(start, start + _ROWS_AT_A_TIME)
            np.matmul(self._vectors_VD[part], wanted_D, out=scores_V[part])
        return scores_V

    def save(self, folder: Path) -> None:
        """Write the vectors as an `.npy` file."""
        save_arrays(folder, vectors=self._vectors_VD)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The vectors in `folder`, memory-mapped."""
        return cls(load_arrays(folder, "vectors")["vectors"])
