"""Vectors by the content of their texts, in one SQLite file per encoder: a vector that was paid for is never lost."""

import hashlib
import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from plait.data.artifacts import fingerprint
from plait.errors import ArtifactError

_ASKED_AT_A_TIME = 500


def text_key(text: str) -> bytes:
    """16 bytes that name a text."""
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()


class VectorCache:
    """The vectors of one version of one encoder.

    A chunk of vectors becomes durable in one transaction. Several processes may share the file.
    """

    def __init__(self, path: Path, width: int) -> None:
        """Open the file, or begin it.

        Args:
            path: the SQLite file.
            width: of its vectors.

        Raises:
            ArtifactError: the file is no cache.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._width = path, width
        self._file = sqlite3.connect(path, timeout=60)
        try:
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID")
        except sqlite3.DatabaseError as error:
            raise ArtifactError(f"{path}: no vector cache ({error}); delete it and run again") from error

    @classmethod
    def of(cls, folder: Path, name: str, version: str, width: int) -> Self:
        """The cache of an encoder in a folder of caches; another version of the encoder has a cache of its own."""
        plain = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:60]
        return cls(folder / f"{plain}-{fingerprint({'name': name, 'version': version})}.sqlite", width)

    def read_into(self, keys: Sequence[bytes], vectors_MD: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Fill the rows of the keys that are known; True where one is."""
        found_M = np.zeros(len(keys), np.bool_)
        places = {key: place for place, key in enumerate(keys)}
        for start in range(0, len(keys), _ASKED_AT_A_TIME):
            asked = keys[start : start + _ASKED_AT_A_TIME]
            marks = ",".join("?" * len(asked))
            rows = self._file.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", asked)  # noqa: S608
            for key, vector in rows:
                if len(vector) != 4 * self._width:
                    raise ArtifactError(
                        f"{self._path}: found a vector of {len(vector)} bytes, expected {4 * self._width}; delete the "
                        "file and encode again"
                    )
                vectors_MD[places[key]] = np.frombuffer(vector, "<f4")
                found_M[places[key]] = True
        return found_M

    def write(self, keys: Sequence[bytes], vectors_ND: NDArray[np.float32]) -> None:
        """Keep vectors by their keys, all or (after a kill) none of them."""
        rows = ((key, vector_D.astype("<f4").tobytes()) for key, vector_D in zip(keys, vectors_ND, strict=True))
        with self._file:
            self._file.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

    def __len__(self) -> int:
        """How many vectors it holds."""
        count: int = self._file.execute("SELECT count(*) FROM vectors").fetchone()[0]
        return count

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
