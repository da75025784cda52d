"""Creatives into profiles: the workflow over a workspace, and the table that it leaves."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from plait.config.content import ContentSettings
from plait.content.label_steps import answer_of
from plait.content.labelling.review_queue import Reviewed
from plait.content.media.opened import MediaLimits
from plait.content.profile import profile_of
from plait.content.steps import creative_steps
from plait.content.workflow import BatchStep, Run, Sheet, Source, StepCache, StepTally, Workflow
from plait.content.workflow.workers import FileWorkers
from plait.data.artifacts import file_digests, fingerprint, write_atomically
from plait.errors import ArtifactError, DataError, PassingError
from plait.llm.generate import Usage
from plait.pipelines.check import checked_tables
from plait.pipelines.content_models import ContentModels
from plait.pipelines.creative_labels import CreativeLabels, Look
from plait.pipelines.project import Project
from plait.schema import Columns as C
from plait.schema import CreativeProfile, Provenance, profile_table_schema
from plait.schema.creative_profile import FIELDS
from plait.seeding import generator
from plait.telemetry import progress

STAGE = "creative_profiles"
REVIEW = "review"
"""Where a label comes from that a person gave."""
CHUNK = 512
"""Creatives that are worked on, and written, at a time."""
_VERSION = 2
"""Raised when the same answers give another table."""
_SUMMARY = "summary.json"
_SHOWN_CHARACTERS = 300
"""Of a creative's text in the review queue."""
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
    review: int = 0
    """Creatives whose label waits for a person."""

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
    paid: Usage
    """What the language model's backend was asked in this run."""
    price: float
    """Of that, by the settings' prices."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be done for some creatives."""

    project: Project
    creatives: pl.DataFrame
    before: Workflow
    """The steps that the classifier of labels needs to have run."""
    workflow: Workflow
    """All steps."""
    labels: CreativeLabels | None
    models: ContentModels
    inputs: dict[str, Any]
    """Everything that the table depends on."""


def understand_creatives(project: Project, limit: int | None = None) -> Understood:
    """The profiles of all creatives, or of the first `limit`; only what is not known yet is worked out.

    Raises:
        DataError: the workspace has no creatives.
        ConfigError: a package that a step needs is missing.
    """
    plan = _planned(project, limit)
    tallies: dict[str, StepTally] = {}

    def make(folder: Path) -> None:
        tallies.update(_write(plan, folder))

    number, last = _attempts(plan)
    if last is None or read_summary(last).passing:
        last = project.store.build(STAGE, {**plan.inputs, "attempt": number}, make)
    paid = plan.models.paid
    return Understood(last, read_summary(last), tallies, paid, price_of(project, paid))


def ask_for(project: Project, sample: int) -> tuple[int, int, Usage, Usage]:
    """Work on some creatives, drawn at random, as `understand_creatives` will.

    No table is made, and answers of steps are not looked up, so that every question is counted; what the language model
    answers is kept. Others are drawn when there are more answers than before, so that those drawn are as likely to be
    answered already as all are.

    Returns:
        (creatives of the table, creatives that were worked on, all questions, those that went to the backend).

    Raises:
        DataError: the workspace has no creatives.
        ConfigError: a package that a step needs is missing.
        PassingError: the language model does not answer.
    """
    plan = _planned(project, None)
    settings, count = project.workspace.content, plan.creatives.height
    drawn = generator(0, "asked for", len(plan.models.answers)).permutation(count)[:sample]
    chosen = plan.creatives[np.sort(drawn)]
    with tempfile.TemporaryDirectory() as folder, _workers(plan) as workers:
        with StepCache(project.hidden / "content" / "answers.sqlite") as cache:
            _taught(plan, cache, workers)
        with StepCache(Path(folder) / "answers.sqlite") as fresh:
            run = Run(plan.workflow, fresh, workers, attempts=settings.attempts)
            for chunk in chosen.iter_slices(CHUNK):
                for _, sheet in _filled(project, run, chunk):
                    _refuse_passing(sheet)
    return count, chosen.height, plan.models.asked, plan.models.paid


def _refuse_passing(sheet: Sheet) -> None:
    for step, failed in sheet.failures().items():
        if failed.passing:
            raise PassingError(f"step {step}: {failed.reason}; nothing can be estimated until it answers")


def price_of(project: Project, usage: Usage) -> float:
    """By the prices of the workspace's settings."""
    model = project.workspace.content.llm
    return usage.price(model.price_prompt, model.price_answer)


def find_profiles(project: Project, limit: int | None = None) -> Path:
    """The folder with the profiles of the workspace's creatives as they stand now.

    Raises:
        ArtifactError: there is none yet.
    """
    _, found = _attempts(_planned(project, limit))
    if found is None:
        raise ArtifactError(f"no profiles of the creatives as they stand now; run `plait understand -w {project.root}`")
    return found


def read_profiles(folder: Path) -> pl.DataFrame:
    """The table `creative_profiles` in `folder`."""
    return pl.read_parquet(sorted(folder.glob("part-*.parquet")))


def read_summary(folder: Path) -> Summary:
    """What `summary.json` in `folder` says."""
    plain = json.loads((folder / _SUMMARY).read_text(encoding="utf-8"))
    return Summary(plain["creatives"], plain["filled"], plain["failures"], plain["passing"], plain["review"])


def _attempts(plan: _Plan) -> tuple[int, Path | None]:
    """How often the table was made, and the last one. It is made again while failures may pass."""
    number, last = 0, None
    while (folder := plan.project.store.path(STAGE, {**plan.inputs, "attempt": number})).exists():
        number, last = number + 1, folder
    return number, last


def _planned(project: Project, limit: int | None) -> _Plan:
    """The steps over the creatives as they stand now."""
    settings = project.workspace.content
    creatives, items = _creatives(project, limit)
    models = ContentModels(project)
    heard = models.transcript_steps()
    steps = (*creative_steps(settings.shots, int(settings.max_text_kb * 1000)), *heard)
    asked = models.asked_steps(_limits(settings))
    labels: CreativeLabels | None = None
    label_steps: tuple[BatchStep, ...] = ()
    if settings.label.strategy != "none":
        labels = CreativeLabels(project, creatives, items, Workflow(steps).describe(), models)
        label_steps = labels.steps(bool(heard))
    workflow = Workflow((*steps, *asked, *label_steps))
    content = settings.model_dump(exclude={"workers": True, "llm": {"price_prompt", "price_answer"}})
    rows = hashlib.blake2b(creatives.write_ndjson().encode(), digest_size=16).hexdigest()
    inputs = {"version": _VERSION, "steps": workflow.describe(), "content": content, "creatives": rows}
    said = {} if labels is None else {"said": sorted(labels.said.items())}
    return _Plan(project, creatives, Workflow((*steps, *label_steps[:1])), workflow, labels, models, inputs | said)


def _limits(settings: ContentSettings) -> MediaLimits:
    return MediaLimits(
        file_bytes=int(settings.max_file_mb * 1e6),
        pixels=int(settings.max_megapixels * 1e6),
        video_seconds=settings.max_video_seconds,
        step_seconds=settings.step_seconds,
        shots=settings.shots,
    )


def _creatives(project: Project, limit: int | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(creatives with their media's digests and their items' columns, in the order of their table; the items)."""
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
    return creatives.with_columns(_digests(project, creatives[C.MEDIA]).alias("media_digest")), items


def _digests(project: Project, media: pl.Series) -> pl.Series:
    """The hash of each creative's file; of its name where there is none, for a step to say so; null without media."""
    names = [name for name in media.drop_nulls().unique().sort() if name]
    paths = {name: project.root / name for name in names}
    there = [path for path in paths.values() if path.is_file()]
    digests = file_digests(there, project.hidden / "content" / "files.json")
    known = {name: digests.get(path) or fingerprint({"missing": name}) for name, path in paths.items()}
    return pl.Series([known.get(name) for name in media], dtype=pl.String)


def _write(plan: _Plan, folder: Path) -> Mapping[str, StepTally]:
    """Run the workflow over all creatives and write the table, a part per chunk."""
    project, settings = plan.project, plan.project.workspace.content
    summary = Summary()
    schema = profile_table_schema(plan.creatives.schema[C.CREATIVE_ID])
    unsure: list[Reviewed] = []
    with StepCache(project.hidden / "content" / "answers.sqlite") as cache, _workers(plan) as workers:
        learnt = _taught(plan, cache, workers)
        with progress("Understanding creatives", plan.creatives.height * (1 + len(plan.workflow.batches))) as advance:
            run = Run(plan.workflow, cache, workers, attempts=settings.attempts, advance=advance)
            for number, chunk in enumerate(plan.creatives.iter_slices(CHUNK)):
                rows = []
                for row, sheet in _filled(project, run, chunk):
                    profile = _labelled(plan, profile_of(row[C.CREATIVE_ID], sheet, plan.workflow))
                    summary.add(profile, sheet)
                    unsure += _unsure(row, sheet, profile)
                    rows.append(profile.row())
                pl.DataFrame(rows, schema=schema).write_parquet(folder / f"part-{number:05d}.parquet")
        if plan.labels is not None:
            again = Run(plan.before, cache, workers, attempts=settings.attempts)
            look = _looker(plan, again, "Looking for those whose labels would teach most")
            summary.review = plan.labels.ask(unsure, look)
    plain = {name: getattr(summary, name) for name in ("creatives", "filled", "failures", "passing", "review")}
    write_atomically(folder / _SUMMARY, json.dumps(plain, indent=1, ensure_ascii=False))
    return {name: tally.after(learnt.get(name)) for name, tally in run.tallies.items()}


def _workers(plan: _Plan) -> FileWorkers:
    settings = plan.project.workspace.content
    return FileWorkers(plan.workflow.files, _limits(settings), settings.workers or os.cpu_count() or 1)


def _taught(plan: _Plan, cache: StepCache, workers: FileWorkers) -> Mapping[str, StepTally]:
    """Let the classifier of labels learn, unless it has; how the steps fared that ran for it."""
    if plan.labels is None:
        return {}
    run = Run(plan.before, cache, workers, attempts=plan.project.workspace.content.attempts)
    plan.labels.teach(_looker(plan, run, "Looking at creatives to learn their labels"))
    return run.tallies


def _looker(plan: _Plan, run: Run, doing: str) -> Look:
    """Runs the steps before the label over creatives."""

    def look(creatives: pl.DataFrame) -> list[Sheet]:
        chunks = list(creatives.iter_slices(CHUNK))
        with progress(doing, len(chunks)) as advance:
            sheets = []
            for chunk in chunks:
                sheets += [sheet for _, sheet in _filled(plan.project, run, chunk)]
                advance()
        return sheets

    return look


def _labelled(plan: _Plan, profile: CreativeProfile) -> CreativeProfile:
    """The profile, with the label that a person gave where one did."""
    said = plan.labels.said.get(str(profile.creative_id)) if plan.labels is not None else None
    if said is None:
        return profile
    source = Provenance(step=REVIEW, version=1)
    return profile.model_copy(
        update={
            "label": said,
            "confidence": {**profile.confidence, "label": 1.0},
            "provenance": {**profile.provenance, "label": source},
        }
    )


def _unsure(row: Mapping[str, Any], sheet: Sheet, profile: CreativeProfile) -> list[Reviewed]:
    """The creative for the review queue, where its label is neither a person's nor sure down to the leaf."""
    if (source := profile.provenance.get("label")) is not None and source.step == REVIEW:
        return []
    answers = [found for step in ("label", "label_model") if (found := sheet.answer(step)) and "best" in found]
    if not answers or (said := answer_of(answers[-1])).best == (profile.label or ()):
        return []
    text = (sheet.answer("meaning") or {}).get("text", "")
    media = row[C.MEDIA] or ""
    return [
        Reviewed(
            creative_id=str(profile.creative_id),
            text=text[:_SHOWN_CHARACTERS],
            media=media,
            proposed=said.best,
            confidence=said.confidence,
        )
    ]


def _filled(project: Project, run: Run, chunk: pl.DataFrame) -> Iterator[tuple[dict[str, Any], Sheet]]:
    """(row, sheet with all answers) of every creative."""
    rows = list(chunk.iter_rows(named=True))
    sheets = [Sheet(_sources(project, row)) for row in rows]
    run.fill(sheets)
    return zip(rows, sheets, strict=True)


def _sources(project: Project, row: Mapping[str, Any]) -> dict[str, Source | None]:
    item = {column: row.get(f"item_{column}") for column in _ITEM_COLUMNS}
    path = None if not row[C.MEDIA] else str(project.root / row[C.MEDIA])
    return {
        "media": None if path is None else Source(path, row["media_digest"]),
        "copy": Source.of(row[C.TEXT]) if row[C.TEXT] else None,
        "item": Source.of(item),
    }
