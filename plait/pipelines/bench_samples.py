"""How fast samples are made, beside plain pandas and plain DuckDB on the same input, and in how much memory."""

import json
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from plait.config import Workspace, load_workspace
from plait.data.samples import data_horizon
from plait.data.splits import make_plan
from plait.errors import DataError, PlaitError
from plait.pipelines.results import Metric, write_result
from plait.schema import Columns as C
from plait.simulation import Strengths, simulate, stream_size
from plait.telemetry import console

_VERSIONS = Path("benchmarks/samples")
_RIVALS = ("duckdb", "pandas")
_EXPOSURES_PER_USER = 300
_EVENTS_PER_USER = 1_676
"""Exposures and behaviours of a user of this world, about."""
_SEED = 7


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one version."""

    seconds: float
    exposures_seconds: float
    """Until the exposure samples were written, where a version makes the user samples after them."""
    peak_rss_gb: float


def measure_samples(*, events: int, runs: int, large: int, folder: Path) -> Path:
    """Measure, compare the outputs, and write the result file `samples_throughput`.

    Args:
        events: exposures and behaviours of the world that all three versions get, about.
        runs: runs of each version; they take turns, so that all see the same machine.
        large: events of the world on which Plait's peak memory is measured; 0 leaves it out.
        folder: where worlds and outputs go.

    Raises:
        PlaitError: not in a checkout, a version failed, or the outputs differ.
    """
    if not _VERSIONS.is_dir():
        raise PlaitError(f"{_VERSIONS}: not found; run this in a checkout, where the pandas and DuckDB versions lie")
    folder = folder.resolve()
    world = make_world(folder, events)
    measured: dict[str, list[Run]] = {name: [] for name in ("plait", *_RIVALS)}
    for number in range(runs):
        for name, of in measured.items():
            of.append(run_version(name, world, folder / f"out-{name}"))
            console.print(f"run {number + 1}: {name}: {of[-1].seconds:.1f} s, {of[-1].peak_rss_gb:.2f} GB")
    for name in _RIVALS:
        compare_outputs(folder / "out-plait", folder / f"out-{name}")
    metrics = _metrics(measured, count_rows(world))
    if large:
        metrics |= _large(folder, large)
    return write_result(
        "samples_throughput",
        command=f"plait bench samples --events {events} --runs {runs} --large {large}",
        data=f"simulated market (seed {_SEED}): {count_rows(world):,} exposures and behaviours; "
        f"at the large size {count_rows(make_world(folder, large)) if large else 0:,}",
        seeds=[_SEED],
        metrics=metrics,
        notes=_NOTES,
    )


_NOTES = (
    "From Parquet to Parquet: exposure samples (13 objectives by last touch, maturity, histories, splits) and user "
    "samples (ordered lists). Each run is a process of its own; imports are not timed; the versions take turns, and "
    "their outputs were equal value by value. low and high are the smallest and largest run; a speed-up is the ratio "
    "of medians, its low and high the smallest and largest ratio within one turn; `_exposures_alone` compares Plait's "
    "time for both views with the other's time for the exposure samples only. DuckDB and Plait use all cores. The "
    "pandas and DuckDB versions do not look for repeated rows, which the input does not have; Plait does."
)


def make_world(folder: Path, events: int) -> Path:
    """A simulated market of about this many events, exposures and behaviours together; made once."""
    world = folder / f"world-{events}"
    size = stream_size(events)
    users = max(2, round(events / _EVENTS_PER_USER))
    simulate(
        size.model_copy(update={"users": users, "exposures_per_user": _EXPOSURES_PER_USER}),
        world,
        seed=_SEED,
        strengths=Strengths(),
        media=False,
        name="simulated-samples",
    )
    write_specification(world)
    return world


def write_specification(world: Path) -> Path:
    """What the three versions are told, as `specification.json`: all objectives by last touch, the harder join."""
    workspace = load_workspace(world)
    objectives = [each.model_copy(update={"attribution": "last_touch"}) for each in workspace.objectives]
    workspace = workspace.model_copy(update={"objectives": objectives})
    plan = make_plan(data_horizon(world), workspace.split)
    content = {
        "workspace": workspace.model_dump(mode="json"),
        "objectives": plain_objectives(workspace),
        "cuts": plan.cuts,
        "as_of": plan.as_of,
        "threads": pl.thread_pool_size(),
    }
    path = world / "specification.json"
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def plain_objectives(workspace: Workspace) -> list[dict[str, object]]:
    """Objectives with windows in milliseconds, parents before children."""
    plain: dict[str, dict[str, object]] = {}
    waiting = list(workspace.objectives)
    while waiting:
        objective = waiting.pop(0)
        if objective.parent is not None and objective.parent not in plain:
            waiting.append(objective)
            continue
        plain[objective.name] = {
            "name": objective.name,
            "action": objective.action,
            "parent": objective.parent,
            "window": objective.window,
            "attribution": objective.attribution,
            "min_value": objective.min_value,
        }
    return list(plain.values())


def count_rows(world: Path) -> int:
    """Exposures and behaviours in the input."""
    files = [file for name in ("exposures", "behaviours") for file in (world / name).glob("*.parquet")]
    return sum(pq.read_metadata(file).num_rows for file in files)


def run_version(name: str, world: Path, out: Path) -> Run:
    """One run of one version in a process of its own.

    Raises:
        PlaitError: it failed; its last words are in the message.
    """
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, str(_VERSIONS / f"{name}_version.py"), str(world), str(world / "specification.json")]
    done = subprocess.run([*command, str(out)], check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode != 0:
        raise PlaitError(f"{name}: failed: {done.stderr[-500:]}")
    return Run(**json.loads(done.stdout.splitlines()[-1]))


def compare_outputs(ours: Path, theirs: Path) -> None:
    """Both views, value by value.

    Raises:
        DataError: they differ; the message says where.
    """
    for view, key in (("exposures", C.EXPOSURE_ID), ("users", C.USER_ID)):
        left, right = (pl.scan_parquet(folder / view / "*.parquet") for folder in (ours, theirs))
        for column, kind in left.collect_schema().items():
            pair = [frame.select({key, column}).sort(key).collect()[column] for frame in (left, right)]
            if kind.is_nested():
                if not pair[0].list.len().equals(pair[1].list.len()):
                    raise DataError(f"{theirs / view}: lists of column '{column}' differ in length from Plait's")
                pair = [side.explode(keep_nulls=True, empty_as_null=True) for side in pair]
            other = pair[1].cast(pair[0].dtype)
            if pair[0].dtype.is_float():
                other = other.fill_nan(None)  # pandas has no other way to say "none"
            if not pair[0].equals(other, null_equal=True):
                raise DataError(f"{theirs / view}: column '{column}' differs from Plait's")


def _metrics(measured: dict[str, list[Run]], rows: int) -> dict[str, Metric]:
    metrics: dict[str, Metric] = {}
    for name, of in measured.items():
        rates = [rows / run.seconds for run in of]
        key = "rows_per_s" if name == "plait" else f"{name}_rows_per_s"
        metrics[key] = Metric(statistics.median(rates), min(rates), max(rates), "rows/s")
    ours = measured["plait"]
    for name in _RIVALS:
        whole = [run.seconds for run in measured[name]]
        exposures = [run.exposures_seconds for run in measured[name]]
        metrics[f"speedup_vs_{name}"] = _speedup(ours, whole)
        metrics[f"speedup_vs_{name}_exposures_alone"] = _speedup(ours, exposures)
    for name, of in measured.items():
        metrics[f"{name}_peak_rss_gb_small"] = Metric(max(run.peak_rss_gb for run in of), unit="GB")
    return metrics


def _speedup(ours: list[Run], theirs: list[float]) -> Metric:
    """Ratio of medians, with the smallest and largest ratio within one turn."""
    own = [run.seconds for run in ours]
    ratio = statistics.median(theirs) / statistics.median(own)
    turns = [other / mine for mine, other in zip(own, theirs, strict=True)]
    return Metric(ratio, min([ratio, *turns]), max([ratio, *turns]), "x")


def _large(folder: Path, events: int) -> dict[str, Metric]:
    world = make_world(folder, events)
    run = run_version("plait", world, folder / "out-large")
    shutil.rmtree(folder / "out-large")
    return {
        "peak_rss_gb": Metric(run.peak_rss_gb, unit="GB"),
        "rows_per_s_large": Metric(count_rows(world) / run.seconds, unit="rows/s"),
    }
