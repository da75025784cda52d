"""Measurements on disk: one JSON file per result, rendered to one page by `plait bench report`."""

import datetime
import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from plait.data.artifacts import write_atomically
from plait.errors import ArtifactError

RESULTS_FOLDER = Path("benchmarks/results")
"""Where results go, relative to the checkout."""


_MEASURED = ("--", ".", f":(exclude){RESULTS_FOLDER}", f":(exclude){RESULTS_FOLDER.parent}/RESULTS.md")
"""All that a measurement depends on: results that were just written are no change to it."""
_FACTS = ("command", "commit", "date", "hardware", "data", "seeds")


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured number: `low` and `high` are a 95 % interval or the spread over seeds or runs, None for one run."""

    value: float
    low: float | None = None
    high: float | None = None
    unit: str = ""


def share_metric(count: int, rows: int) -> Metric:
    """`count` of `rows`, with Wilson's 95 % interval."""
    z, share = 1.959964, count / rows
    middle = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    reach = z / (1 + z**2 / rows) * math.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2))
    return Metric(share, max(0.0, middle - reach), min(1.0, middle + reach), "fraction")


def git_commit() -> str:
    """The checked-out commit, with `+changes` where the tree differs from it; "unknown" outside a checkout."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        return commit + ("+changes" if _git("status", "--porcelain", "--untracked-files=no", *_MEASURED) else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def hardware() -> str:
    """Cores, processor and memory of this machine, in words."""
    memory_gb = psutil.virtual_memory().total / 1e9
    return (
        f"{os.cpu_count()} cores, {_processor()}, {memory_gb:.0f} GB memory, {platform.system()}, no accelerator used"
    )


def write_result(
    name: str,
    *,
    command: str,
    data: str,
    seeds: Sequence[int],
    metrics: Mapping[str, Metric],
    notes: str = "",
    folder: Path = RESULTS_FOLDER,
) -> Path:
    """Write one measurement as `<folder>/<name>.json`.

    Args:
        name: the result's name, such as "serve_latency".
        command: what anyone can run to measure it again.
        data: what it was measured on; says "simulated" where it is.
        seeds: every seed that entered.
        metrics: the numbers, by name; shares and accuracies as fractions.
        notes: what a reader must know to read the numbers right.
        folder: where results are kept.
    """
    content = {
        "name": name,
        "command": command,
        "commit": git_commit(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "hardware": hardware(),
        "data": data,
        "seeds": list(seeds),
        "metrics": {key: asdict(metric) for key, metric in metrics.items()},
        "notes": notes,
    }
    path = folder / f"{name}.json"
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return path


def render_results(folder: Path = RESULTS_FOLDER) -> Path:
    """Render every result in `folder` to one Markdown page beside it, `RESULTS.md`.

    Raises:
        ArtifactError: a file is not a result.
    """
    path = folder.parent / "RESULTS.md"
    write_atomically(path, results_page(folder))
    return path


def results_page(folder: Path = RESULTS_FOLDER) -> str:
    """The page of every result in `folder`, as `render_results` writes it.

    Raises:
        ArtifactError: a file is not a result.
    """
    parts = [_render(path) for path in sorted(folder.glob("*.json"))] or ["There are none yet.\n"]
    return "# Results\n\nWritten by `plait bench report` from `benchmarks/results/`.\n\n" + "\n".join(parts)


def _render(path: Path) -> str:
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        rows = [_row(key, Metric(**metric)) for key, metric in result["metrics"].items()]
        facts = [f"- {key}: {_fact(key, result[key])}" for key in _FACTS]
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: not a result file: {error}") from error
    table = ["| metric | value | low | high | unit |", "|---|---:|---:|---:|---|", *rows]
    parts = [f"## {result['name']}", "", *facts, "", *table, ""]
    return "\n".join([*parts, result["notes"], ""] if result["notes"] else parts)


def _row(key: str, metric: Metric) -> str:
    low, high = (("" if bound is None else f"{bound:,.5g}") for bound in (metric.low, metric.high))
    return f"| {key} | {metric.value:,.5g} | {low} | {high} | {metric.unit} |"


def _fact(key: str, value: object) -> str:
    return f"`{value}`" if key in ("command", "commit") else str(value)


def _git(*arguments: str) -> str:
    return subprocess.run(  # noqa: S603
        ["git", *arguments],  # noqa: S607
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
