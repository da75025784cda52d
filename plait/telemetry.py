"""What a run tells its user while it works: progress bars with estimates, and a JSON-lines event log."""

import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console(stderr=True, highlight=False)
"""Where progress and notes go: standard error, so that standard output stays machine-readable."""


class Advance(Protocol):
    """Reports `steps` more units of work as done, with an optional short note beside the bar."""

    def __call__(self, steps: int = 1, note: str = "") -> None: ...


@contextmanager
def progress(label: str, total: int) -> Iterator[Advance]:
    """A progress bar over `total` units with elapsed and remaining time; silent when standard error is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(label, total=total, note="")

        def advance(steps: int = 1, note: str = "") -> None:
            bar.update(task, advance=steps, note=note)

        yield advance


class EventLog:
    """An append-only JSON-lines file: one event a line, flushed at once, so that a killed run keeps what it wrote."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        cut = _ends_within_a_line(path)
        self._file = path.open("a", encoding="utf-8")
        if cut:
            self._file.write("\n")

    def write(self, event: str, **fields: Any) -> None:
        """Append `{"event": event, "time": <epoch seconds>, **fields}`."""
        record = {"event": event, "time": round(time.time(), 3), **fields}
        self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "EventLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _ends_within_a_line(path: Path) -> bool:
    """Whether a killed run has left half a line at the end, which the next event must not be glued to."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def peak_memory_gb() -> float:
    """This program's peak resident memory so far, in GB (10^9 bytes)."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux the other count begins with what the process held that started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9
