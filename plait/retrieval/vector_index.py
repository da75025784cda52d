"""Nearest vectors: an exact index and an approximate one behind one interface, and the candidate source over them."""

from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from plait.data.arrays import load_arrays, save_arrays
from plait.errors import ArtifactError, ConfigError
from plait.retrieval.protocol import Items, RetrievalQuery, Retrieved, Scores, best

_INDEX_FILE = "text.usearch"


class VectorIndex(Protocol):
    """Finds the vectors with the largest cosine to a query."""

    def search(self, query_D: Scores, limit: int) -> tuple[Items, Scores]:
        """Rows of at most `limit` vectors and their cosines, best first.

        Args:
            query_D: of length 1.
            limit: how many are wanted.
        """


class ExactIndex:
    """One pass over all vectors per query: the reference, and right up to some hundred thousand vectors.

    Args:
        vectors_VD: of length 1; a row of zeros is never found.
    """

    def __init__(self, vectors_VD: NDArray[np.float32]) -> None:
        self._vectors_VD = vectors_VD
        self._absent_V = ~np.asarray(vectors_VD).any(axis=1)

    def search(self, query_D: Scores, limit: int) -> tuple[Items, Scores]:
        """See `VectorIndex`."""
        scores_V = self._vectors_VD @ query_D
        scores_V[self._absent_V] = -np.inf
        order = best(scores_V, limit)
        return order, scores_V[order]


class GraphIndex:
    """A navigable graph of near vectors (HNSW: Malkov and Yashunin 2020), by usearch: some thousandths are looked at.

    Args:
        index: usearch's.

    Raises:
        ConfigError: usearch is not installed.
    """

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def of(cls, vectors_VD: NDArray[np.float32], *, connections: int = 16, effort: int = 128) -> Self:
        """Build the graph; rows of zeros are left out.

        Args:
            vectors_VD: of length 1.
            connections: neighbours that each vector keeps.
            effort: vectors that are compared while building and while searching; more finds more of the nearest.
        """
        index = _usearch().Index(
            ndim=vectors_VD.shape[1],
            metric="cos",
            dtype="f32",
            connectivity=connections,
            expansion_add=effort,
            expansion_search=effort,
        )
        rows = np.flatnonzero(np.asarray(vectors_VD).any(axis=1))
        # With one thread, the same vectors always give the same graph.
        index.add(rows, np.ascontiguousarray(vectors_VD[rows]), threads=1)
        return cls(index)

    def search(self, query_D: Scores, limit: int) -> tuple[Items, Scores]:
        """See `VectorIndex`; may miss some of the nearest."""
        found = self._index.search(query_D, limit, threads=1)
        return found.keys.astype(np.int64), (1.0 - found.distances).astype(np.float32)

    def save(self, path: Path) -> None:
        """Write the graph, vectors included."""
        aside = path.with_name(path.name + ".partial")
        self._index.save(str(aside))
        aside.rename(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The graph that `save` wrote, mapped.

        Raises:
            ArtifactError: the file is missing or is something else.
        """
        try:
            index = _usearch().Index.restore(str(path), view=True)
        except (OSError, RuntimeError, ValueError) as error:
            raise ArtifactError(f"{path}: no index ({error}); build the retrieval again") from error
        if index is None:
            raise ArtifactError(f"{path}: no index; build the retrieval again")
        return cls(index)


class TextNeighbours:
    """Items whose texts are near those of the user's recent items: it finds items that nobody has touched yet.

    Args:
        vectors_VD: per item row the vector of its text, of length 1; zeros where there is none.
        index: over the same vectors; None to look at all of them.
    """

    name = "text"

    def __init__(self, vectors_VD: NDArray[np.float32], index: VectorIndex | None = None) -> None:
        self._vectors_VD = vectors_VD
        self._index = index or ExactIndex(vectors_VD)

    def retrieve(self, query: RetrievalQuery, limit: int) -> Retrieved:
        """Items by cosine to the recency-weighted mean of the recent items' texts, these left out."""
        wanted_D = query.recent_weights_R @ self._vectors_VD[query.recent_items_R]
        norm = float(np.linalg.norm(wanted_D))
        if not norm:
            return Retrieved.nothing()
        items_K, scores_K = self._index.search(wanted_D / norm, limit + len(query.recent_items_R))
        new_K = ~np.isin(items_K, query.recent_items_R)
        return Retrieved(items_K[new_K][:limit], scores_K[new_K][:limit])

    def save(self, folder: Path) -> None:
        """Write the vectors, and the graph where the index is one."""
        save_arrays(folder, vectors=self._vectors_VD)
        if isinstance(self._index, GraphIndex):
            self._index.save(folder / _INDEX_FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote, memory-mapped."""
        path = folder / _INDEX_FILE
        vectors_VD = load_arrays(folder, "vectors")["vectors"]
        return cls(vectors_VD, GraphIndex.load(path) if path.exists() else None)


def unit_vectors(vectors_VD: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors centred (a shared part says nothing about nearness) and of length 1; rows of zeros stay so."""
    present_V1 = vectors_VD.any(axis=1, keepdims=True)
    centre_D = vectors_VD.sum(axis=0) / max(int(present_V1.sum()), 1)
    centred_VD = np.where(present_V1, vectors_VD - centre_D, 0.0)
    norms_V1 = np.linalg.norm(centred_VD, axis=1, keepdims=True)
    return np.asarray(centred_VD / np.maximum(norms_V1, 1e-12), np.float32)


def _usearch() -> Any:
    try:
        from usearch import index  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise ConfigError(f"the graph index needs `pip install plait[embedding]` ({error})") from error
    return index
