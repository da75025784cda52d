"""Clean tables into exposure samples and user samples, bucket by bucket, in bounded memory.

Two passes: the tables are cut into buckets by user (in memory where they are small, through the disk where not), then
each bucket is labelled on its own. Every finished bucket is kept, so that a killed run goes on where it was.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from plait.config import Workspace
from plait.data.artifacts import fingerprint, write_atomically
from plait.data.buckets import BEHAVIOUR_COLUMNS, BucketSamples, bucket_samples
from plait.data.partitioning import Unit, bucket_count, gather, read_unit, spill, units
from plait.data.splits import Horizon, Plan, make_plan
from plait.errors import DataError
from plait.schema import Columns as C
from plait.schema import TableName, label_column, mature_column
from plait.telemetry import progress

IN_MEMORY_ROWS = 15_000_000
"""Exposures and behaviours together up to which the tables are cut in memory."""
ROWS_PER_BUCKET = 500_000
"""Rows of a bucket, about: what bounds memory, and what keeps sorts and searches within the processor's caches."""

_WORK = "_work"
_SUMMARY_FILE = "summary.json"


@dataclass(frozen=True, slots=True)
class _Job:
    """Everything that the samples depend on, and where they go."""

    tables: Path
    workspace: Workspace
    plan: Plan
    buckets: int
    out: Path

    @property
    def work(self) -> Path:
        """What only an unfinished run needs; its name changes with the job, so that no run goes on from another's."""
        content = {
            "objectives": [objective.model_dump(mode="json") for objective in self.workspace.objectives],
            "plan": repr(self.plan),
            "buckets": self.buckets,
            "files": [[file.name, file.stat().st_size] for name in _TABLES for file in _files(self.tables, name)],
            "polars": pl.__version__,  # its hash of ids is the same within one version only
        }
        return self.out / _WORK / fingerprint(content)


def build_samples(
    tables: Path,
    workspace: Workspace,
    out: Path,
    *,
    as_of: int | None = None,
    in_memory_rows: int = IN_MEMORY_ROWS,
    rows_per_bucket: int = ROWS_PER_BUCKET,
) -> None:
    """Write `exposures/part-*.parquet`, `users/part-*.parquet` and `summary.json` to `out`.

    Neither the order of rows, nor repeated rows, nor the sizes below change a sample; the sizes change only which users
    share a part.

    Args:
        tables: folder with clean `exposures/part-*.parquet` and `behaviours/part-*.parquet`.
        workspace: objectives and splits.
        out: folder to fill; what an unfinished run left there is used.
        as_of: label every row as known at this time (epoch milliseconds); by default at the end of its split.
        in_memory_rows: up to how many rows both tables are held in memory.
        rows_per_bucket: about how many rows are labelled at once.

    Raises:
        DataError: a table is empty or missing, has a column that samples reserve, or ids differ in type.
    """
    rows = sum(pq.read_metadata(file).num_rows for name in _TABLES for file in _files(tables, name))
    _check_columns(tables, workspace)
    plan = make_plan(data_horizon(tables), workspace.split, as_of)
    job = _Job(tables, workspace, plan, bucket_count(rows, rows_per_bucket), out)
    _make_room(job)
    if rows <= in_memory_rows:
        _build_in_memory(job)
    else:
        _build_through_disk(job)
    _write_summary(job)
    shutil.rmtree(out / _WORK)


def read_summary(samples: Path) -> dict[str, Any]:
    """What `build_samples` counted: objectives, cuts, rows, and per split and objective mature and positive labels."""
    summary: dict[str, Any] = json.loads((samples / _SUMMARY_FILE).read_text(encoding="utf-8"))
    return summary


_TABLES = (TableName.EXPOSURES, TableName.BEHAVIOURS)


def _files(tables: Path, name: TableName) -> list[Path]:
    files = sorted((tables / name).glob("*.parquet"))
    if not files:
        raise DataError(f"{tables / name}: no Parquet file found; expected the clean tables that `plait check` writes")
    return files


def _columns(tables: Path, name: TableName) -> list[str]:
    present: list[str] = pq.read_schema(_files(tables, name)[0]).names
    return [column for column in BEHAVIOUR_COLUMNS if column in present] if name is TableName.BEHAVIOURS else present


def _check_columns(tables: Path, workspace: Workspace) -> None:
    exposures, behaviours = (pl.scan_parquet(_files(tables, name)).collect_schema() for name in _TABLES)
    reserved = {C.BEFORE, C.SPLIT}
    for name in workspace.objective_names():
        reserved |= {label_column(name), mature_column(name)}
    if clash := sorted(reserved & set(exposures)):
        raise DataError(f"{tables / 'exposures'}: column '{clash[0]}' is one that samples add; rename it")
    for column in (C.USER_ID, C.ITEM_ID):
        if exposures[column] != behaviours[column]:
            raise DataError(
                f"{tables}: '{column}' is {exposures[column]} in exposures and {behaviours[column]} in behaviours; "
                "ids of one kind must have one type"
            )


def data_horizon(tables: Path) -> Horizon:
    """First and last times, from the tables themselves."""
    time = pl.col(C.TIME)
    shown = pl.scan_parquet(_files(tables, TableName.EXPOSURES)).select(first=time.min(), last=time.max())
    arrivals = [name for name in (C.TIME, C.RECEIVED_TIME) if name in _columns(tables, TableName.BEHAVIOURS)]
    done = pl.scan_parquet(_files(tables, TableName.BEHAVIOURS)).select(pl.col(arrivals).max())
    first, last = shown.collect(engine="streaming").row(0)
    if first is None:
        raise DataError(f"{tables / 'exposures'}: found no rows, expected at least one exposure")
    known = [last, *done.collect(engine="streaming").row(0)]
    return Horizon(first, last, max(time for time in known if time is not None))


def _make_room(job: _Job) -> None:
    """The folders to fill; what another job left there goes."""
    if not job.work.exists():
        for folder in (_WORK, "exposures", "users"):
            shutil.rmtree(job.out / folder, ignore_errors=True)
    for path in (job.out / "exposures", job.out / "users", job.work):
        path.mkdir(parents=True, exist_ok=True)


def _build_in_memory(job: _Job) -> None:
    pieces: dict[TableName, list[list[pl.DataFrame]]] = {name: [] for name in _TABLES}

    def read(name: TableName, unit: Unit, columns: list[str]) -> None:
        pieces[name].append(read_unit(unit, columns, job.buckets))

    _run("read", [partial(read, *source) for source in _sources(job)])

    def take(name: TableName, bucket: int) -> pl.DataFrame:
        taken = [unit[bucket] for unit in pieces[name]]
        for unit in pieces[name]:
            unit[bucket] = pl.DataFrame()  # not needed any longer
        return pl.concat(taken)

    _label_buckets(job, take)


def _build_through_disk(job: _Job) -> None:
    paths: dict[TableName, list[Path]] = {name: [] for name in _TABLES}
    pending: list[Callable[[], None]] = []
    for name, unit, columns in _sources(job):
        path = job.work / f"{name}-{len(paths[name]):05d}.arrow"
        paths[name].append(path)
        if not path.exists():
            pending.append(partial(spill, unit, columns, job.buckets, path))
    _run("cut by user", pending)
    _label_buckets(job, lambda name, bucket: gather(paths[name], bucket))


def _sources(job: _Job) -> Iterator[tuple[TableName, Unit, list[str]]]:
    """Everything to read: table, unit, and the columns that samples use."""
    for name in _TABLES:
        columns = _columns(job.tables, name)
        for unit in units(_files(job.tables, name)):
            yield name, unit, columns


def _label_buckets(job: _Job, load: Callable[[TableName, int], pl.DataFrame]) -> None:
    def label(bucket: int) -> None:
        exposures, behaviours = (load(name, bucket) for name in _TABLES)
        _write_part(job, bucket, bucket_samples(exposures, behaviours, job.workspace.objectives, job.plan))

    missing = [bucket for bucket in range(job.buckets) if not _note(job, bucket).exists()]
    _run("label", [partial(label, bucket) for bucket in missing])


def _run(label: str, tasks: Iterable[Callable[[], None]]) -> None:
    """Run tasks on as many threads as Polars has: sorts and searches of one bucket leave the interpreter's lock."""
    tasks = list(tasks)
    with progress(label, len(tasks)) as advance, ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        futures = [pool.submit(task) for task in tasks]
        try:
            for future in as_completed(futures):
                future.result()
                advance()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _note(job: _Job, bucket: int) -> Path:
    """Counts of a bucket, written last: where it is, the bucket is done."""
    return job.work / f"done-{bucket:05d}.json"


def _write_part(job: _Job, bucket: int, samples: BucketSamples) -> None:
    for folder, frame in (("exposures", samples.exposures), ("users", samples.users)):
        path = job.out / folder / f"part-{bucket:05d}.parquet"
        aside = path.with_name(path.name + ".partial")
        frame.write_parquet(aside, compression="lz4", statistics=False)
        aside.rename(path)
    note = _note(job, bucket)
    aside = note.with_name(note.name + ".partial")
    aside.write_text(json.dumps(_counts(job.workspace, samples)), encoding="utf-8")
    aside.rename(note)


def _counts(workspace: Workspace, samples: BucketSamples) -> dict[str, Any]:
    """Row counts of one bucket, and per split and objective how many are mature and how many of those positive."""
    names = workspace.objective_names()
    mature = [pl.col(mature_column(name)).sum().alias(f"mature {name}") for name in names]
    positive = [
        (pl.col(mature_column(name)) & (pl.col(label_column(name)) == 1)).sum().alias(f"positive {name}")
        for name in names
    ]
    splits = {}
    for row in samples.exposures.group_by(C.SPLIT).agg(pl.len(), *mature, *positive).iter_rows(named=True):
        objectives = {name: {"mature": row[f"mature {name}"], "positive": row[f"positive {name}"]} for name in names}
        splits[row[C.SPLIT]] = {"exposures": row["len"], "objectives": objectives}
    behaviours = int(samples.users[C.TIME].list.len().sum())
    return {
        "exposures": len(samples.exposures),
        "users": len(samples.users),
        "behaviours": behaviours,
        "splits": splits,
    }


def _write_summary(job: _Job) -> None:
    total: dict[str, Any] = {}
    for bucket in range(job.buckets):
        _add(total, json.loads(_note(job, bucket).read_text(encoding="utf-8")))
    facts = {
        "objectives": job.workspace.objective_names(),
        "cuts": job.plan.cuts,
        "as_of": job.plan.as_of,
        "parts": job.buckets,
    }
    write_atomically(
        job.out / _SUMMARY_FILE, json.dumps({**facts, **total}, indent=1, sort_keys=True, ensure_ascii=False)
    )


def _add(total: dict[str, Any], counts: dict[str, Any]) -> None:
    """Add nested counts, key by key."""
    for key, count in counts.items():
        if isinstance(count, dict):
            _add(total.setdefault(key, {}), count)
        else:
            total[key] = total.get(key, 0) + count
