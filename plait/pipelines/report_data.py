"""What a report says, typed: pipelines fill it, the console renders it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from plait.data.checks.report import CheckReport
from plait.evaluation import Difference, Estimate, Evaluation
from plait.evaluation.scores import MetricName
from plait.pipelines.alignment_map import AlignmentMap
from plait.pipelines.embed_sweep import Sweep


@dataclass(frozen=True, slots=True)
class ObjectiveCount:
    """How often one objective happened."""

    name: str
    labels: int
    """Exposures whose label is mature."""
    positives: int


@dataclass(frozen=True, slots=True)
class DataSummary:
    """How much data there is."""

    name: str
    """Of the workspace."""
    users: int
    items: int
    exposures: int
    behaviours: int
    scenarios: int
    splits: Mapping[str, int]
    """Exposures in "train", "valid" and "test"."""
    objectives: tuple[ObjectiveCount, ...]
    period: str = ""
    """First and last day, in words."""


@dataclass(frozen=True, slots=True)
class LadderRow:
    """One rung: metrics over seeds, what it adds, what it costs."""

    name: str
    adds: str
    """What is new on this rung, in words."""
    metrics: Mapping[MetricName, Estimate]
    to_previous: Difference | None = None
    """AUC against the rung below; None on the first."""
    to_first: Difference | None = None
    """AUC against the first rung; None on the first."""
    alone: Difference | None = None
    """AUC of the base with this ingredient only, against the base; None on the base."""
    train_seconds: float | None = None
    serve_p99_ms: float | None = None


@dataclass(frozen=True, slots=True)
class MeasuredModel:
    """One model on the test window, for the charts by scenario and by objective."""

    name: str
    evaluation: Evaluation


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The validation window after so much training."""

    exposures: int
    loss: float
    auc: float


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """One rung's training."""

    name: str
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True, slots=True)
class ServedItem:
    """One item of the server's answer."""

    name: str
    about: str
    """Its category path, or whatever helps to know it."""
    source: str
    """Which retrieval source brought it."""
    score: float
    probabilities: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ServedExample:
    """One real request to the server, and its answer."""

    user: str
    scenario: str
    recent: tuple[str, ...]
    """What the user did last, in words, newest first."""
    items: tuple[ServedItem, ...]
    timings_ms: Mapping[str, float]
    """By stage, "total" among them."""
    deadline_ms: float
    request: Mapping[str, Any]
    response: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Creative:
    """An image or a video that was shown; a thumbnail of it goes into the page."""

    path: Path
    caption: str
    fields: Mapping[str, str]
    """What is known about it."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """How the report was made."""

    command: str
    commit: str
    hardware: str
    seeds: tuple[int, ...]
    date: str
    plait_version: str
    stages: Mapping[str, float]
    """Seconds of each step, in order."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything in one report; empty parts leave their section out."""

    title: str
    summary: str
    simulated: bool
    """The data comes from a simulated world: said at the top of the page."""
    data: DataSummary
    ladder: tuple[LadderRow, ...]
    models: tuple[MeasuredModel, ...]
    """From the first rung to the last."""
    featured: str
    """Name of the model whose calibration and scenarios are shown."""
    made: Provenance
    oracle: Evaluation | None = None
    """The true probabilities of a simulated world, measured like a model."""
    check: CheckReport | None = None
    curves: tuple[LearningCurve, ...] = ()
    served: ServedExample | None = None
    creatives: tuple[Creative, ...] = ()
    sweep: Sweep | None = None
    """Where `plait embed sweep` has been run in the workspace."""
    alignment: AlignmentMap | None = None
    """Where `plait embed map` has been run in the workspace."""

    def model(self, name: str) -> Evaluation:
        """The evaluation of the model called `name`.

        Raises:
            KeyError: it is not in the report.
        """
        return {one.name: one.evaluation for one in self.models}[name]

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`, without the resamples."""
        plain = {name: getattr(self, name) for name in ("title", "summary", "simulated", "featured")}
        plain |= {
            name: _plain(getattr(self, name)) for name in ("data", "made", "check", "served", "sweep", "alignment")
        }
        plain |= {name: [_plain(one) for one in getattr(self, name)] for name in ("ladder", "curves", "creatives")}
        plain["models"] = {one.name: _evaluation(one.evaluation) for one in self.models}
        plain["oracle"] = _evaluation(self.oracle) if self.oracle else None
        return plain


def _evaluation(evaluation: Evaluation) -> dict[str, Any]:
    return {key: value for key, value in evaluation.to_json().items() if key != "replicates"}


def _plain(part: Any) -> Any:
    return None if part is None else _jsonable(asdict(part))


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(one) for one in value]
    if isinstance(value, Path):
        return value.name
    return None if isinstance(value, float) and math.isnan(value) else value
