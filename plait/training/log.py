"""What a run writes down while it trains: `log.jsonl`, and curves for TensorBoard."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from plait.data.artifacts import write_atomically
from plait.telemetry import EventLog

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOG_FILE = "log.jsonl"


class RunLog:
    """The log of one run.

    A resumed run first forgets what the killed one wrote after the checkpoint, so that the finished log is that of an
    uninterrupted run, times apart.

    Args:
        run: the run's folder.
        step: the checkpoint's step, 0 for a new run.
        tensorboard: also write event files for TensorBoard, if it is installed.
    """

    def __init__(self, run: Path, *, step: int, tensorboard: bool) -> None:
        _forget_after(run / LOG_FILE, step)
        self._events = EventLog(run / LOG_FILE)
        self._curves = _writer(run / "tensorboard", step) if tensorboard else None

    def write(self, event: str, step: int, **numbers: float) -> None:
        """One line, and one point of each curve `<event>/<name>`."""
        self._events.write(event, step=step, **numbers)
        if self._curves is not None:
            for name, number in numbers.items():
                self._curves.add_scalar(f"{event}/{name}", number, step)

    def close(self) -> None:
        self._events.close()
        if self._curves is not None:
            self._curves.close()


def read_log(run: Path, event: str) -> list[dict[str, float]]:
    """The lines of one kind in a run's log, oldest first; a line that a kill cut short is left out."""
    path = run / LOG_FILE
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    records = [record for line in lines if (record := _parse(line)) is not None]
    return [record for record in records if str(record.get("event")) == event]


def _forget_after(path: Path, step: int) -> None:
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if (record := _parse(line)) is not None and record.get("step", 0) <= step]
        write_atomically(path, "".join(f"{line}\n" for line in kept) if step else "")


def _parse(line: str) -> dict[str, float] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _writer(folder: Path, step: int) -> "SummaryWriter | None":
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 (optional, and slow to import)
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)
