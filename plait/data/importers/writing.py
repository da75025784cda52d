"""A workspace folder in the making: Parquet parts, rejected lines and a manifest, written aside."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from plait.data.artifacts import write_atomically
from plait.data.importers.source import SourceFile
from plait.telemetry import Advance

REJECTED_FILE = "rejected.csv"
MANIFEST_FILE = "import.json"
ROW_GROUP = 1 << 18
_TEXT_CHARACTERS = 200
_MEGABYTE = 1 << 20


class WorkspaceWriter:
    """Writes the tables of a workspace into `folder` part by part; also told what became of each input file."""

    def __init__(self, folder: Path, advance: Advance) -> None:
        self.folder = folder
        self.rows: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self.inputs: dict[str, dict[str, Any]] = {}
        self._parts: Counter[str] = Counter()
        self._advance = advance
        self._done = 0
        (folder / REJECTED_FILE).write_text("file,line,reason,text\n", encoding="utf-8")

    def append(self, table: str, frame: pl.DataFrame) -> None:
        """Write `frame` as the next part of `table`."""
        path = self.folder / table / f"part-{self._parts[table]:05d}.parquet"
        path.parent.mkdir(exist_ok=True)
        frame.rechunk().write_parquet(path, compression="zstd", row_group_size=ROW_GROUP, statistics=True)
        self._parts[table] += 1
        self.rows[str(table)] += frame.height

    def advance(self, size: int) -> None:
        """`size` more stored bytes are done."""
        before = self._done // _MEGABYTE
        self._done += size
        self._advance(self._done // _MEGABYTE - before)

    def reject(self, file: str, lines: pl.DataFrame) -> None:
        """Keep lines (`line`, `reason`, `text`) that do not fit, with their reasons."""
        kept = lines.select(pl.lit(file).alias("file"), "line", "reason", pl.col("text").str.slice(0, _TEXT_CHARACTERS))
        with (self.folder / REJECTED_FILE).open("ab") as output:
            kept.write_csv(output, include_header=False)
        self.rejected[file] += lines.height

    def finished(self, file: SourceFile, digest: str) -> None:
        """Note a file that was read to its end."""
        self.inputs[file.name] = {"digest": digest}

    def write_manifest(self, source: str, options: dict[str, Any]) -> None:
        """Write what was read and written; no times and no paths, so that equal input gives equal bytes."""
        for name, entry in self.inputs.items():
            entry["rejected_lines"] = self.rejected[name]
        content = {"source": source, "options": options, "files": self.inputs, "rows": dict(self.rows)}
        write_atomically(self.folder / MANIFEST_FILE, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
