"""Answers of language models by the content of what was asked, in one SQLite file: no paid call is made twice."""

import hashlib
import json
import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from plait.errors import ArtifactError


def question_key(model: str, body: Mapping[str, Any]) -> bytes:
    """16 bytes that name a question: the model with its version, and all of the prompt and its settings."""
    text = json.dumps({"model": model, "body": body}, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()


class AnswerCache:
    """Answers that were paid for. Each is durable before the next is asked for; threads and processes may share it."""

    def __init__(self, path: Path) -> None:
        """Open the file, or begin it.

        Raises:
            ArtifactError: the file is no cache.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._file = sqlite3.connect(path, timeout=60, check_same_thread=False)
        try:
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer TEXT) WITHOUT ROWID")
        except sqlite3.DatabaseError as error:
            raise ArtifactError(f"{path}: no answer cache ({error}); delete it and run again") from error

    def get(self, key: bytes) -> Any:
        """The answer as it came, or None."""
        with self._lock:
            row = self._file.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, key: bytes, answer: object) -> None:
        """Keep an answer."""
        with self._lock, self._file:
            self._file.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, json.dumps(answer, ensure_ascii=False))
            )

    def __len__(self) -> int:
        """Answers that are kept."""
        with self._lock:
            return int(self._file.execute("SELECT count(*) FROM answers").fetchone()[0])

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
