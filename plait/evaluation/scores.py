"""What an evaluation says: typed, frozen, and the same again after a trip through JSON."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

MetricName = Literal["auc", "gauc", "logloss", "normalised_entropy", "pcoc", "ece", "brier"]
METRICS: tuple[MetricName, ...] = ("auc", "gauc", "logloss", "normalised_entropy", "pcoc", "ece", "brier")
"""The metrics of probabilities, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One number: NaN where it is undefined; `low` and `high` are a 95 % interval, None where there is none."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def defined(self) -> bool:
        """Whether there is a number at all."""
        return not math.isnan(self.value)

    def excludes(self, value: float) -> bool:
        """Whether the interval lies wholly on one side of `value`."""
        return self.low is not None and self.high is not None and (self.low > value or self.high < value)


@dataclass(frozen=True, slots=True)
class Scores:
    """The metrics of one slice: an objective, a scenario, one of both, or everything.

    Of one objective they are over its mature rows; of several they are the mean over the objectives for which the
    metric is defined.
    """

    labels: int
    """Mature labels that entered."""
    positives: int
    users: int
    """Users with at least one of these labels (of several objectives: of the one that has most)."""
    one_class_share: float
    """Share of those users who have one class only and so do not count in `gauc` (of several objectives: the mean)."""
    auc: Estimate
    gauc: Estimate
    logloss: Estimate
    normalised_entropy: Estimate
    pcoc: Estimate
    ece: Estimate
    """Has no interval: resampling adds noise that pushes ECE up, and the interval would miss the value itself."""
    brier: Estimate

    def metric(self, name: MetricName) -> Estimate:
        """The metric called `name`."""
        estimate: Estimate = getattr(self, name)
        return estimate

    def metrics(self) -> dict[MetricName, Estimate]:
        """Every metric by name."""
        return {name: self.metric(name) for name in METRICS}


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """One point of a reliability curve; `low` and `high` are the 95 % interval of `observed`."""

    rows: int
    predicted: float
    observed: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Undefined:
    """Metrics that a slice does not have, and why."""

    scenario: str | None
    """None: all scenarios together."""
    objective: str
    metrics: tuple[MetricName, ...]
    reason: str


Replicates = Mapping[MetricName, tuple[float, ...]]
"""A metric's value in each resample, in the order of the draw."""


def cell_group(scenario: str, objective: str) -> str:
    """What `Evaluation.replicates` calls a cell."""
    return f"cell/{scenario}/{objective}"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One model measured on one table of outcomes."""

    rows: int
    users: int
    objectives: tuple[str, ...]
    scenarios: tuple[str, ...]
    bootstrap: int
    """Number of resamples of users."""
    seed: int
    pairing: str
    """Names the rows, their outcomes and the resamples: evaluations that share it can be compared pair by pair."""
    overall: Scores
    """Mean over objectives, each pooled over scenarios."""
    by_objective: Mapping[str, Scores]
    by_scenario: Mapping[str, Scores]
    """Mean over the objectives that are defined in the scenario."""
    cells: Mapping[str, Mapping[str, Scores]]
    """By scenario, then objective."""
    reliability: Mapping[str, tuple[ReliabilityBin, ...]]
    """By objective."""
    undefined: tuple[Undefined, ...]
    """Everything that could not be measured; such metrics are NaN above."""
    replicates: Mapping[str, Replicates]
    """Resampled metrics of "overall", of each objective ("objective/<name>") and, if kept, of cells (`cell_group`)."""

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`, undefined numbers as null."""
        plain: dict[str, Any] = _without_nan(asdict(self))
        return plain

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Evaluation":
        """The evaluation that `to_json` wrote."""
        return cls(
            **{name: content[name] for name in ("rows", "users", "bootstrap", "seed", "pairing")},
            objectives=tuple(content["objectives"]),
            scenarios=tuple(content["scenarios"]),
            overall=_scores(content["overall"]),
            by_objective={name: _scores(one) for name, one in content["by_objective"].items()},
            by_scenario={name: _scores(one) for name, one in content["by_scenario"].items()},
            cells={
                scenario: {name: _scores(one) for name, one in cells.items()}
                for scenario, cells in content["cells"].items()
            },
            reliability={
                name: tuple(ReliabilityBin(**one) for one in bins) for name, bins in content["reliability"].items()
            },
            undefined=tuple(Undefined(**{**one, "metrics": tuple(one["metrics"])}) for one in content["undefined"]),
            replicates={
                group: {metric: tuple(_number(value) for value in values) for metric, values in metrics.items()}
                for group, metrics in content["replicates"].items()
            },
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric of model A and model B on the same rows, and `difference` = B - A with its paired 95 % interval."""

    a: float
    b: float
    difference: float
    low: float | None = None
    high: float | None = None

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies wholly on one side of 0: only then is one of the two said to be better."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Model B against model A on the same rows and resamples; every difference is B - A."""

    bootstrap: int
    seeds: int
    """How many trained models of each kind entered."""
    overall: Mapping[MetricName, Difference]
    by_objective: Mapping[str, Mapping[MetricName, Difference]]
    cells: Mapping[str, Mapping[str, Mapping[MetricName, Difference]]] = field(default_factory=dict)
    """By scenario, then objective; empty unless both evaluations kept the resampled metrics of cells."""

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`, undefined numbers as null."""
        plain: dict[str, Any] = _without_nan(asdict(self))
        return plain

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Comparison":
        """The comparison that `to_json` wrote."""
        return cls(
            content["bootstrap"],
            content["seeds"],
            _differences(content["overall"]),
            {name: _differences(one) for name, one in content["by_objective"].items()},
            {
                scenario: {name: _differences(one) for name, one in row.items()}
                for scenario, row in content.get("cells", {}).items()
            },
        )


def _scores(content: Mapping[str, Any]) -> Scores:
    return Scores(
        content["labels"],
        content["positives"],
        content["users"],
        _number(content["one_class_share"]),
        *(Estimate(_number(content[name]["value"]), content[name]["low"], content[name]["high"]) for name in METRICS),
    )


def _differences(content: Mapping[MetricName, Any]) -> dict[MetricName, Difference]:
    return {
        name: Difference(_number(one["a"]), _number(one["b"]), _number(one["difference"]), one["low"], one["high"])
        for name, one in content.items()
    }


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _without_nan(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content
