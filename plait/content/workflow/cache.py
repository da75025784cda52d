"""Answers on disk: one SQLite file, a row per step and hash of what it read."""

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from plait.content.workflow.sheet import Kept, to_json
from plait.content.workflow.step import Failed

_LOOKED_UP = 500
"""Keys of one query: fewer than SQLite's oldest limit on variables."""
_TABLE = """
CREATE TABLE IF NOT EXISTS answers (
    step TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL, answer TEXT, reason TEXT, PRIMARY KEY (step, key)
) WITHOUT ROWID
"""


class StepCache:
    """Outcomes by step and key. Each is on disk as soon as it is put: a kill at any moment loses none of them."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._rows = sqlite3.connect(path, isolation_level=None, timeout=60)
        self._rows.execute("PRAGMA journal_mode = WAL")
        self._rows.execute("PRAGMA synchronous = NORMAL")
        self._rows.execute(_TABLE)

    def get(self, step: str, keys: Iterable[str]) -> dict[str, Kept]:
        """What is kept of `step` under these keys."""
        wanted, found = list(keys), {}
        for first in range(0, len(wanted), _LOOKED_UP):
            some = wanted[first : first + _LOOKED_UP]
            query = f"SELECT key, digest, answer, reason FROM answers WHERE step = ? AND key IN ({_marks(some)})"  # noqa: S608
            for key, digest, answer, reason in self._rows.execute(query, (step, *some)):
                found[key] = Kept(Failed(reason) if answer is None else json.loads(answer), digest)
        return found

    def put(self, step: str, key: str, kept: Kept) -> None:
        """Keep an outcome; a failure that may pass is not kept."""
        outcome = kept.outcome
        if isinstance(outcome, Failed):
            if not outcome.passing:
                self._insert(step, key, kept.digest, None, outcome.reason)
        else:
            self._insert(step, key, kept.digest, to_json(outcome), None)

    def close(self) -> None:
        self._rows.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _insert(self, *row: str | None) -> None:
        self._rows.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", row)


def _marks(keys: list[str]) -> str:
    return ",".join("?" * len(keys))
