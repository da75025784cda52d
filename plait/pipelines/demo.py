"""The demo: a simulated app market from raw tables to a served ranker, and a report of what each step gave."""

import datetime
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import plait
from plait.data.checks.report import REPORT_FILE, CheckReport
from plait.pipelines.check import checked_tables
from plait.pipelines.embedding_views import kept_views
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.gallery import draw_creatives
from plait.pipelines.ladder import Ladder, climb, rungs_named, write_ladder
from plait.pipelines.project import open_project
from plait.pipelines.report_data import (
    CurvePoint,
    LadderRow,
    LearningCurve,
    MeasuredModel,
    Provenance,
    ReportData,
)
from plait.pipelines.results import Metric, git_commit, hardware, write_result
from plait.pipelines.samples import built_samples
from plait.pipelines.served_example import ask_server
from plait.pipelines.simulate import simulate_world
from plait.pipelines.summary import summarise_data
from plait.pipelines.understand import read_profiles, understand_creatives
from plait.telemetry import console

TITLE = "Plait demo: a simulated app market"
RUNGS = ("popularity", "lr", "dnn", "hstu")
"""Those that need nothing else to have been made; `plait ladder` climbs the others too."""
UNDERSTOOD = 100
"""Creatives that the demo looks at."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """How large the demo is."""

    size: str = "demo"
    seed: int = 7
    bootstrap: int = 200


@dataclass(slots=True)
class _Stages:
    """Steps as they are announced and timed."""

    total: int
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        console.print(f"[bold cyan]{len(self.seconds) + 1}/{self.total}[/] [bold]{name}[/]")
        started = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - started
        console.print(f"    [dim]{self.seconds[name]:.1f} s[/]")


def run_demo(folder: Path, options: DemoOptions) -> tuple[ReportData, Ladder]:
    """Build the world in `folder` (unless it is there), then check, samples, codes, ladder, server; all measured.

    Every step is kept under `folder`: a second run, or one after a kill, does only what is missing.
    """
    stages = _Stages(total=7)
    with stages.step("simulate an app market: users, items, creatives, exposures, behaviours"):
        simulate_world(folder, size=options.size, seed=options.seed)
    project = open_project(folder)
    with stages.step("check the data; bad rows go to quarantine"):
        tables = checked_tables(project)
    with stages.step(f"creatives: what is in {UNDERSTOOD} of them, from images, videos and text"):
        profiles = read_profiles(understand_creatives(project, UNDERSTOOD).folder)
    with stages.step("samples: attribution, maturity, point-in-time histories"):
        samples = built_samples(project)
    with stages.step("codes and numbers: vocabularies of the training window"):
        encoded_dataset(project)
    with stages.step("ladder: train every rung, measure it on the test window"):
        ladder = climb(project, rungs=rungs_named(RUNGS), seeds=(options.seed,), bootstrap=options.bootstrap)
    with stages.step("serve the last rung and ask for one user"):
        served = ask_server(project, ladder.last_model)
    views = kept_views(project)
    report = ReportData(
        title=TITLE,
        summary=_summary(ladder),
        simulated=project.workspace.simulated,
        data=summarise_data(project, tables, samples),
        ladder=tuple(_rows(ladder)),
        models=tuple(MeasuredModel(one.rung.name, one.evaluations[0]) for one in ladder.rungs),
        featured=ladder.rungs[-1].rung.name,
        made=_provenance(folder, options, stages.seconds),
        oracle=ladder.oracle,
        check=CheckReport.from_json((tables / REPORT_FILE).read_text(encoding="utf-8")),
        curves=tuple(_curves(ladder)),
        served=served,
        creatives=draw_creatives(project, tables, profiles),
        sweep=views.sweep,
        alignment=views.alignment,
    )
    return report, ladder


def _rows(ladder: Ladder) -> Iterator[LadderRow]:
    for one in ladder.rungs:
        yield LadderRow(
            name=one.rung.name,
            adds=one.rung.adds,
            metrics=one.estimates,
            to_previous=one.cumulative.overall["auc"] if one.cumulative else None,
            to_first=one.alone.overall["auc"] if one.alone else None,
            alone=one.alone.overall["auc"] if one.alone else None,
            train_seconds=one.train_seconds,
            serve_p99_ms=one.serve_p99_ms,
        )


def _curves(ladder: Ladder) -> Iterator[LearningCurve]:
    for one in ladder.rungs:
        points = tuple(CurvePoint(point.examples, point.logloss, point.auc) for point in one.curve)
        if len(points) > 1:
            yield LearningCurve(one.rung.name, points)


def _summary(ladder: Ladder) -> str:
    first, last = ladder.rungs[0], ladder.rungs[-1]
    test = last.evaluations[0]
    text = (
        f"On {test.rows:,} exposures that no model saw, mean AUC over {len(test.objectives)} objectives goes from "
        f"{first.estimates['auc'].value:.4f} ({first.rung.name}) to {last.estimates['auc'].value:.4f} "
        f"({last.rung.name})"
    )
    if ladder.oracle is None:
        return f"{text}."
    return f"{text}; the true probabilities of this simulated world reach {ladder.oracle.overall.auc.value:.4f}."


def _provenance(folder: Path, options: DemoOptions, stages: Mapping[str, float]) -> Provenance:
    return Provenance(
        command=f"plait demo {folder.name} --size {options.size} --seed {options.seed}",
        commit=git_commit(),
        hardware=hardware(),
        seeds=(options.seed,),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        plait_version=plait.__version__,
        stages=dict(stages),
        notes=("Everything here is simulated: the users, the apps, the clicks. It proves the machine, not a market.",),
    )


def write_demo_results(report: ReportData, ladder: Ladder, seconds: float, size: str) -> list[Path]:
    """Keep the demo's ladder and its time as results.

    Args:
        report: of a run that did every step itself.
        ladder: its ladder.
        seconds: the whole demo after set-up, report included.
        size: of the world.
    """
    metrics = {"seconds": Metric(seconds, unit="s")}
    metrics |= {
        f"step_{place}_s": Metric(spent, unit="s") for place, spent in enumerate(report.made.stages.values(), 1)
    }
    steps = "; ".join(f"step_{place}: {name}" for place, name in enumerate(report.made.stages, 1))
    timed = write_result(
        f"{size}_time",
        command=f"plait demo FOLDER --size {size} --result (into an empty folder)",
        data=f"{ladder.workspace} (simulated)",
        seeds=ladder.seeds,
        metrics=metrics,
        notes=f"After set-up. {steps}.",
    )
    return [write_ladder(ladder, f"ladder_{size}", f"plait demo FOLDER --size {size} --result"), timed]
