"""How fast creatives are understood: the workflow beside a naive version, and a run whose answers are all kept."""

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import polars as pl
from pydantic import BaseModel, Field

from plait.config.content import LabelSettings, LanguageModelSettings
from plait.content.labelling.model_strategies import answer_kind
from plait.content.media.opened import MediaLimits, OpenedMedia
from plait.content.steps import creative_steps
from plait.content.taxonomy import Taxonomy
from plait.content.workflow import BatchStep, FileStep, Sheet, Source, StepTally, Workflow
from plait.content.workflow.sheet import Kept, State
from plait.content.workflow.step import Outcome, attempt
from plait.data.artifacts import ArtifactStore
from plait.errors import DataError
from plait.llm.generate import ChatModel, Tokens
from plait.llm.llama_cpp import LlamaCpp
from plait.pipelines.check import checked_tables
from plait.pipelines.creative_labels import workspace_taxonomy
from plait.pipelines.project import Project
from plait.pipelines.results import Metric, write_result
from plait.pipelines.understand import STAGE, understand_creatives
from plait.schema import Columns as C
from plait.schema import ObjectType, TextType

_CONTEXT = 4096
_KEY_WORDS = 5


class _KeyWords(BaseModel):
    """What the naive version asks for."""

    key_words: Annotated[list[str], Field(max_length=_KEY_WORDS)]


@dataclass(frozen=True, slots=True)
class SpeedBench:
    """What is measured."""

    model: Path
    """A GGUF file, which both versions ask."""
    creatives: int = 100
    """Of the workspace's, through the workflow."""
    naive: int = 6
    """Of these, through the naive version."""
    cached: int = 10_000
    """Creatives of the run whose answers are kept."""
    write: bool = True


@dataclass(slots=True)
class _Naive:
    """The naive version: every step opens the file again, every field of every creative is a call of its own.

    A call's prompt begins with the creative, and its answer is decoded to the end. Nothing is kept, nothing is shared.
    """

    steps: Workflow
    model: ChatModel
    taxonomy: Taxonomy
    seconds: dict[str, float] = field(default_factory=dict)
    tokens: Tokens = field(default_factory=Tokens)

    def understand(self, row: Mapping[str, Any], path: Path) -> None:
        """One creative."""
        sheet = Sheet({"media": Source(str(path), ""), "copy": Source.of(row[C.TEXT]), "item": None})
        for step in self.steps.steps:
            with self._timed(step.name):
                if isinstance(step, FileStep | BatchStep) and sheet.state(step) is State.READY:
                    sheet.kept[step.name] = Kept.of(_answered(step, sheet, path))
        read = (sheet.answer("text") or {"fields": {}})["fields"].get("text", "")
        about = f"{row[C.TEXT]}\n{read}\n{(sheet.answer('things') or {}).get('tags', '')}"
        for name, kind in self._questions():
            with self._timed(f"ask {name}"):
                options = kind.model_json_schema()
                prompt = f"{about}\n\nThis is an advertisement. Say its {name}, in JSON by this schema: {options}"
                self.tokens += self.model.generate([{"role": "user", "content": prompt}], kind).tokens

    def _questions(self) -> Iterator[tuple[str, type[BaseModel]]]:
        """A question per field that a language model can answer from the text and the tags."""
        yield "text type", answer_kind(tuple(TextType))
        yield "key words", _KeyWords
        yield "object type", answer_kind(tuple(ObjectType))
        for level in range(1, self.taxonomy.depth + 1):
            names = dict.fromkeys(path[-1] for path in self.taxonomy.nodes(level))
            yield f"category of level {level}", answer_kind(tuple(names))

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


class _Unshared:
    """A backend that forgets every prompt."""

    def __init__(self, backend: LlamaCpp) -> None:
        self._backend = backend

    def __call__(self, body: Mapping[str, Any], /) -> Mapping[str, Any]:
        """See `plait.llm.generate.Ask`."""
        return self._backend({**body, "cache_prompt": False})


def measure_understand_speed(project: Project, bench: SpeedBench) -> tuple[dict[str, Metric], Path | None]:
    """The metrics, and where they were written.

    Raises:
        ConfigError: there is no such model.
        DataError: creatives have no media.
    """
    _require_media(project, bench.creatives)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        copy = _copied(project, Path(folder) / "whole", bench.creatives, of=bench.creatives, model=bench.model)
        whole = understand_creatives(copy).tallies
        seconds = time.perf_counter() - started
        naive, naive_seconds = _naively(copy, bench)
        rebuilt, unchanged = _cached(project, copy, Path(folder) / "cached", bench)
    metrics = {
        "speedup_vs_naive": Metric(naive_seconds / bench.naive / (seconds / bench.creatives), unit="x"),
        "cached_10k_s": Metric(rebuilt * 10_000 / bench.cached, unit="s"),
        "unchanged_10k_s": Metric(unchanged * 10_000 / bench.cached, unit="s"),
        "creatives_per_s": Metric(bench.creatives / seconds, unit="creatives/s"),
        "naive.creatives_per_s": Metric(bench.naive / naive_seconds, unit="creatives/s"),
        "naive.tokens_per_creative": Metric(naive.tokens.total / bench.naive, unit="tokens"),
    }
    metrics |= {f"ms.{name}": Metric(1000 * one.seconds / bench.creatives, unit="ms") for name, one in whole.items()}
    rest = seconds - sum(one.seconds for one in whole.values())
    metrics["ms.start, learning, table"] = Metric(1000 * max(0.0, rest) / bench.creatives, unit="ms")
    metrics |= {f"naive.ms.{name}": Metric(1000 * one / bench.naive, unit="ms") for name, one in naive.seconds.items()}
    return metrics, _write(project, bench, metrics, whole) if bench.write else None


def _require_media(project: Project, creatives: int) -> None:
    rows = pl.read_parquet(sorted((checked_tables(project) / "creatives").glob("part-*.parquet"))).head(creatives)
    there = rows[C.MEDIA].drop_nulls().len() if C.MEDIA in rows.columns else 0
    if there < rows.height or not there:
        raise DataError(f"{project.root}: found media for {there:,} of {rows.height:,} creatives, expected it for all")


def _answered(step: FileStep | BatchStep, sheet: Sheet, path: Path) -> Outcome:
    if isinstance(step, FileStep):
        with OpenedMedia(path, MediaLimits()) as media:
            return attempt(lambda: step.look(media, sheet.values(step)))
    return next(iter(step.work([sheet.values(step)])))[1]


def _naively(project: Project, bench: SpeedBench) -> tuple[_Naive, float]:
    rows = pl.read_parquet(project.root / "creatives.parquet").head(bench.naive)
    items = pl.read_parquet(sorted((checked_tables(project) / "items").glob("part-*.parquet")))
    taxonomy = workspace_taxonomy(LabelSettings(), project.root, items)
    started = time.perf_counter()
    backend = _Unshared(LlamaCpp(bench.model.expanduser(), context=_CONTEXT))
    steps = creative_steps(project.workspace.content.shots, 100_000)
    naive = _Naive(Workflow(steps), ChatModel(bench.model.stem, backend), taxonomy)
    for row in rows.iter_rows(named=True):
        naive.understand(row, Path(row[C.MEDIA]))
    return naive, time.perf_counter() - started


def _cached(project: Project, known: Project, folder: Path, bench: SpeedBench) -> tuple[float, float]:
    """Seconds of a run that finds every answer kept but makes the table, and of one that finds the table too.

    Answers about files are those of the workspace `known`; its creatives come again with other copies.
    """
    copy = _copied(project, folder, bench.cached, of=bench.creatives)
    shutil.copytree(known.hidden / "content", copy.hidden / "content")
    shutil.rmtree(understand_creatives(copy).folder)
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        understand_creatives(copy)
        seconds.append(time.perf_counter() - started)
    return seconds[0], seconds[1]


def _copied(project: Project, folder: Path, count: int, *, of: int, model: Path | None = None) -> Project:
    """A workspace of `count` creatives: the first `of` ones of another, again and again with another copy each time."""
    folder.mkdir()
    tables = checked_tables(project)
    rows = pl.read_parquet(sorted((tables / "creatives").glob("part-*.parquet"))).head(of)
    again = -(-count // rows.height)
    rows = pl.concat([rows.with_columns(pl.format("{} {}", C.TEXT, pl.lit(turn))) for turn in range(again)]).head(count)
    media = pl.format("{}/{}", pl.lit(str(project.root)), C.MEDIA)
    rows = rows.with_columns(pl.int_range(count).alias(C.CREATIVE_ID), media.alias(C.MEDIA))
    rows.write_parquet(folder / "creatives.parquet")
    for name in ("exposures", "behaviours"):  # one row each, of no creative: nothing here is about them
        one = pl.scan_parquet(tables / name / "part-*.parquet").head(1).collect()
        loose = [
            column for column in (C.CREATIVE_ID, C.EXPOSURE_ID) if column in one.columns and name != column[:-3] + "s"
        ]
        one.with_columns(pl.lit(None, one.schema[column]).alias(column) for column in loose).write_parquet(
            folder / f"{name}.parquet"
        )
    sources = {}
    for name, table in project.workspace.tables.items():
        own = folder / f"{name}.parquet"
        path = own.name if own.exists() else str(project.root / table.path)
        sources[name] = table.model_copy(update={"path": path})
    content = project.workspace.content
    if model is not None:
        content = content.model_copy(
            update={
                "llm": LanguageModelSettings(gguf=str(model.expanduser().resolve()), context=_CONTEXT),
                "asked_fields": ["text_type", "object_type"],
                "label": content.label.model_copy(update={"strategy": "rest"}),
            }
        )
    workspace = project.workspace.model_copy(update={"tables": sources, "content": content})
    return Project(folder, workspace, ArtifactStore(folder / ".plait" / "derived"))


def _write(project: Project, bench: SpeedBench, metrics: dict[str, Metric], whole: Mapping[str, StepTally]) -> Path:
    asked = ", ".join(f"{name} {one.made}" for name, one in whole.items() if name.startswith(("asked", "label")))
    return write_result(
        "understand_speed",
        command=f"plait bench understand-speed -w WORLD --model {bench.model.name}",
        data=f"{bench.creatives} creatives of {project.workspace.name} (simulated), {bench.naive} of them naively",
        seeds=[project.workspace.seed],
        metrics=metrics,
        notes=(
            "Workflow: everything from nothing, learning and loading models included; type of the copy and object type "
            "by likelihood under a shared prompt, the label by the light classifier and the language model for the "
            f"rest. Answers worked out, equal inputs once: {asked}. Naive: every step opens the file again, and each "
            "of six fields of each creative is a call of its own, decoded, whose prompt begins with the creative. Both "
            f"ask {bench.model.stem}. cached_10k_s: {bench.cached:,} creatives with own copies over these files, "
            f"all answers kept, the table made again; unchanged_10k_s: the table there too (stage {STAGE}). ms: of a "
            "step per creative, summed over processes."
        ),
    )
