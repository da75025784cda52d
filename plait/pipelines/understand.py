"""Creatives into profiles: the workflow over a workspace, and the table that it leaves."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from plait.config.workspace import ContentSettings
from plait.content.media.opened import MediaLimits
from plait.content.profile import profile_of
from plait.content.steps import creative_steps
from plait.content.workflow import Run, Sheet, Source, StepCache, StepTally, Workflow
from plait.content.workflow.workers import FileWorkers
from plait.data.artifacts import file_digests, fingerprint, write_atomically
from plait.errors import ArtifactError, DataError
from plait.pipelines.check import checked_tables
from plait.pipelines.project import Project
from plait.schema import Columns as C
from plait.schema import CreativeProfile, profile_table_schema
from plait.schema.creative_profile import FIELDS
from plait.telemetry import progress

STAGE = "creative_profiles"
CHUNK = 512
"""Creatives that are worked on, and written, at a time."""
_VERSION = 1
"""Raised when the same answers give another table."""
_SUMMARY = "summary.json"
_ITEM_COLUMNS = (C.NAME, C.CATEGORY_1, C.CATEGORY_2, C.CATEGORY_3, C.DESCRIPTION)


@dataclass(slots=True)
class Summary:
    """What a table of profiles holds."""

    creatives: int = 0
    filled: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FIELDS, 0))
    """How many creatives have each field."""
    failures: dict[str, list[Any]] = field(default_factory=dict)
    """"step: reason" -> [how many creatives, the first one's id]."""
    passing: int = 0
    """Failures that may pass: the next run tries them again."""

    def add(self, profile: CreativeProfile, sheet: Sheet) -> None:
        """Count one creative."""
        self.creatives += 1
        for name in FIELDS:
            self.filled[name] += getattr(profile, name) is not None
        for step, failed in sheet.failures().items():
            count = self.failures.setdefault(f"{step}: {failed.reason}", [0, profile.creative_id])
            count[0] += 1
            self.passing += failed.passing


@dataclass(frozen=True, slots=True)
class Understood:
    """The profiles of a workspace's creatives."""

    folder: Path
    """`part-*.parquet` in the order of the creatives table, and `summary.json`."""
    summary: Summary
    tallies: Mapping[str, StepTally]
    """How each step fared in this run; empty where the table was there already."""


def understand_creatives(project: Project, limit: int | None = None) -> Understood:
    """The profiles of all creatives, or of the first `limit`; only what is not known yet is worked out.

    Raises:
        DataError: the workspace has no creatives.
        ConfigError: a package that a step needs is missing.
    """
    creatives = _creatives(project, limit)
    workflow = _workflow(project.workspace.content)
    inputs = _inputs(project, workflow, creatives)
    tallies: dict[str, StepTally] = {}

    def make(folder: Path) -> None:
        tallies.update(_write(project, workflow, creatives, folder))

    number, last = _attempts(project, inputs)
    if last is None or read_summary(last).passing:
        last = project.store.build(STAGE, {**inputs, "attempt": number}, make)
    return Understood(last, read_summary(last), tallies)


def find_profiles(project: Project, limit: int | None = None) -> Path:
    """The folder with the profiles of the workspace's creatives as they stand now.

    Raises:
        ArtifactError: there is none yet.
    """
    creatives = _creatives(project, limit)
    _, found = _attempts(project, _inputs(project, _workflow(project.workspace.content), creatives))
    if found is None:
        raise ArtifactError(f"no profiles of the creatives as they stand now; run `plait understand -w {project.root}`")
    return found


def read_profiles(folder: Path) -> pl.DataFrame:
    """The table `creative_profiles` in `folder`."""
    return pl.read_parquet(sorted(folder.glob("part-*.parquet")))


def read_summary(folder: Path) -> Summary:
    """What `summary.json` in `folder` says."""
    plain = json.loads((folder / _SUMMARY).read_text(encoding="utf-8"))
    return Summary(plain["creatives"], plain["filled"], plain["failures"], plain["passing"])


def _attempts(project: Project, inputs: Mapping[str, Any]) -> tuple[int, Path | None]:
    """How often the table was made, and the last one. It is made again while failures may pass."""
    number, last = 0, None
    while (folder := project.store.path(STAGE, {**inputs, "attempt": number})).exists():
        number, last = number + 1, folder
    return number, last


def _workflow(settings: ContentSettings) -> Workflow:
    return Workflow(creative_steps(settings.shots, int(settings.max_text_kb * 1000)))


def _limits(settings: ContentSettings) -> MediaLimits:
    return MediaLimits(
        file_bytes=int(settings.max_file_mb * 1e6),
        pixels=int(settings.max_megapixels * 1e6),
        video_seconds=settings.max_video_seconds,
        step_seconds=settings.step_seconds,
        shots=settings.shots,
    )


def _creatives(project: Project, limit: int | None) -> pl.DataFrame:
    """creative_id, media, media_digest, copy, and the item's columns, in the order of the creatives table."""
    tables = checked_tables(project)
    files = sorted((tables / "creatives").glob("part-*.parquet"))
    if not files:
        raise DataError(f"{project.root}: no creatives to understand; declare [tables.creatives] in plait.toml")
    creatives = pl.read_parquet(files).head(limit) if limit is not None else pl.read_parquet(files)
    items = pl.read_parquet(sorted((tables / "items").glob("part-*.parquet")))
    about = [column for column in _ITEM_COLUMNS if column in items.columns]
    renamed = items.select(C.ITEM_ID, *(pl.col(column).alias(f"item_{column}") for column in about))
    for column in (C.MEDIA, C.TEXT):
        if column not in creatives.columns:
            creatives = creatives.with_columns(pl.lit(None, pl.String).alias(column))
    creatives = creatives.join(renamed, on=C.ITEM_ID, how="left", maintain_order="left")
    return creatives.with_columns(_digests(project, creatives[C.MEDIA]).alias("media_digest"))


def _digests(project: Project, media: pl.Series) -> pl.Series:
    """The hash of each creative's file; of its name where there is none, for a step to say so; null without media."""
    names = [name for name in media.drop_nulls().unique().sort() if name]
    paths = {name: project.root / name for name in names}
    there = [path for path in paths.values() if path.is_file()]
    digests = file_digests(there, project.hidden / "content" / "files.json")
    known = {name: digests.get(path) or fingerprint({"missing": name}) for name, path in paths.items()}
    return pl.Series([known.get(name) for name in media], dtype=pl.String)


def _inputs(project: Project, workflow: Workflow, creatives: pl.DataFrame) -> dict[str, Any]:
    """Everything the table depends on."""
    content = {key: value for key, value in project.workspace.content.model_dump().items() if key != "workers"}
    rows = hashlib.blake2b(creatives.write_ndjson().encode(), digest_size=16).hexdigest()
    return {"version": _VERSION, "steps": workflow.describe(), "content": content, "creatives": rows}


def _write(project: Project, workflow: Workflow, creatives: pl.DataFrame, folder: Path) -> Mapping[str, StepTally]:
    """Run the workflow over all creatives and write the table, a part per chunk."""
    settings = project.workspace.content
    summary = Summary()
    schema = profile_table_schema(creatives.schema[C.CREATIVE_ID])
    workers = FileWorkers(workflow.files, _limits(settings), settings.workers or os.cpu_count() or 1)
    with StepCache(project.hidden / "content" / "answers.sqlite") as cache, workers:
        stages = 1 + len(workflow.batches)
        with progress("Understanding creatives", creatives.height * stages) as advance:
            run = Run(workflow, cache, workers, attempts=settings.attempts, advance=advance)
            for number, chunk in enumerate(creatives.iter_slices(CHUNK)):
                rows = []
                for creative_id, sheet in _filled(project, run, chunk):
                    profile = profile_of(creative_id, sheet, workflow)
                    summary.add(profile, sheet)
                    rows.append(profile.row())
                pl.DataFrame(rows, schema=schema).write_parquet(folder / f"part-{number:05d}.parquet")
    plain = {name: getattr(summary, name) for name in ("creatives", "filled", "failures", "passing")}
    write_atomically(folder / _SUMMARY, json.dumps(plain, indent=1, ensure_ascii=False))
    return run.tallies


def _filled(project: Project, run: Run, chunk: pl.DataFrame) -> Iterator[tuple[int | str, Sheet]]:
    """(id, sheet with all answers) of every creative."""
    rows = list(chunk.iter_rows(named=True))
    sheets = [Sheet(_sources(project, row)) for row in rows]
    run.fill(sheets)
    return zip((row[C.CREATIVE_ID] for row in rows), sheets, strict=True)


def _sources(project: Project, row: Mapping[str, Any]) -> dict[str, Source | None]:
    item = {column: row.get(f"item_{column}") for column in _ITEM_COLUMNS}
    path = None if not row[C.MEDIA] else str(project.root / row[C.MEDIA])
    return {
        "media": None if path is None else Source(path, row["media_digest"]),
        "copy": Source.of(row[C.TEXT]) if row[C.TEXT] else None,
        "item": Source.of(item),
    }
