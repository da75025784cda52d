"""Every response with the features it used, as Parquet files that the next training run or a replay can read."""

import json
import logging
import os
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from plait.serving.answer import Answer, Identifier, Query

_log = logging.getLogger("plait.serving")

SCHEMA = pa.schema(
    {
        "request_id": pa.string(),
        "model": pa.string(),
        "version": pa.string(),
        "time": pa.int64(),
        "user_id": pa.string(),
        "scenario": pa.string(),
        "context": pa.string(),
        "objective": pa.string(),
        "k": pa.int32(),
        "history": pa.int64(),
        "item_id": pa.list_(pa.string()),
        "creative_id": pa.list_(pa.string()),
        "categorical": pa.list_(pa.int32()),
        "numeric": pa.list_(pa.float32()),
        "bag": pa.list_(pa.int64()),
        "token_offset": pa.list_(pa.int64()),
        "token": pa.list_(pa.int32()),
        "probability": pa.list_(pa.float32()),
        "answered_item_id": pa.list_(pa.string()),
        "answered_score": pa.list_(pa.float64()),
    }
)
"""A row per request. `item_id` and `creative_id` have one entry per scored row; `categorical`, `numeric`,
`bag` and `probability` hold as many rows of fields, numbers, multi-valued fields and objectives, flattened row by row;
the codes of bag j are `token[token_offset[j]:token_offset[j + 1]]`."""


@dataclass(frozen=True, slots=True)
class RequestLogSettings:
    """Bounds of the log."""

    rows_per_file: int = 500
    seconds_per_file: float = 10.0
    """A file is finished after this time: what a killed server can lose."""
    max_files: int = 1_000
    """The oldest files beyond them are removed."""
    max_waiting: int = 1_000
    """Records that wait for the writer; beyond them records are dropped and counted, never a request delayed."""


class RequestLog:
    """Writes records in a thread of its own."""

    def __init__(self, folder: Path, settings: RequestLogSettings | None = None) -> None:
        """Start the writer; it makes `folder` and finished files `requests-<time>-<process>-<n>.parquet` in it."""
        self._folder = folder
        self._settings = settings or RequestLogSettings()
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue(self._settings.max_waiting)
        self._files = 0
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob("*.partial"):
            left.unlink(missing_ok=True)
        self._thread = threading.Thread(target=self._run, name="plait-request-log", daemon=True)
        self._thread.start()

    def write(self, request_id: str, model: str, version: str, query: Query, answer: Answer) -> bool:
        """Hand one answered request to the writer; False where it cannot keep up and the record is dropped."""
        if answer.record is None:
            return False
        try:
            self._queue.put_nowait(_row(request_id, model, version, query, answer))
        except queue.Full:
            return False
        return True

    def close(self) -> None:
        """Write what waits and stop."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        rows: list[dict[str, Any]] = []
        due = time.monotonic() + self._settings.seconds_per_file
        while True:
            try:
                row = self._queue.get(timeout=max(due - time.monotonic(), 0.01))
            except queue.Empty:
                row = {}
            if row:
                rows.append(row)
            if row is None or len(rows) >= self._settings.rows_per_file or time.monotonic() >= due:
                self._finish(rows)
                rows, due = [], time.monotonic() + self._settings.seconds_per_file
            if row is None:
                return

    def _finish(self, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        try:
            name = f"requests-{time.time_ns() // 1_000_000}-{os.getpid()}-{self._files:06d}.parquet"
            self._files += 1
            aside = self._folder / f"{name}.partial"
            pq.write_table(pa.Table.from_pylist(rows, SCHEMA), aside, compression="zstd")
            aside.rename(self._folder / name)
            for old in sorted(self._folder.glob("requests-*.parquet"))[: -self._settings.max_files]:
                old.unlink(missing_ok=True)
        except OSError as error:
            _log.error("the request log cannot be written: %s; %d records are lost", error, len(rows))


def _row(request_id: str, model: str, version: str, query: Query, answer: Answer) -> dict[str, Any]:
    record = answer.record
    assert record is not None  # noqa: S101 (the caller asked)
    context = dict(query.context) if query.query is None else {**query.context, "query": query.query}
    return {
        "request_id": request_id,
        "model": model,
        "version": version,
        "time": query.time_ms,
        "user_id": str(query.user_id),
        "scenario": query.scenario,
        "context": json.dumps(context, ensure_ascii=False),
        "objective": query.objective,
        "k": query.k,
        "history": record.before,
        "item_id": _texts(record.items_R),
        "creative_id": _texts(record.creatives_R),
        "categorical": record.categorical_RF.ravel(),
        "numeric": record.numeric_RG.ravel(),
        "bag": record.bag_RP.ravel(),
        "token_offset": record.token_offsets_J1,
        "token": record.token_codes_N,
        "probability": record.probabilities_RT.ravel(),
        "answered_item_id": _texts(answer.items),
        "answered_score": list(answer.scores),
    }


def _texts(ids: Sequence[Identifier | None]) -> list[str | None]:
    return [None if each is None else str(each) for each in ids]
