"""The ladder: ingredients switched on one by one, each measured on the same rows.

A rung is shown twice. *Cumulative*: against the rung below, everything below it switched on. *Alone*: the ingredient by
itself on the base, against the base. Differences are paired over the same exposures and resampled users.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from plait.evaluation import Comparison, Estimate, Evaluation, compare_over_seeds, over_seeds
from plait.evaluation.scores import MetricName
from plait.features.dataset import EncodedDataset
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.measure import measure
from plait.pipelines.oracle import measure_oracle
from plait.pipelines.project import Project
from plait.pipelines.request_cost import request_p99_ms
from plait.pipelines.results import RESULTS_FOLDER, Metric, write_result
from plait.pipelines.train import train_model
from plait.schema import Split
from plait.telemetry import console
from plait.training import CurvePoint, predict

_KEPT: tuple[MetricName, ...] = ("auc", "gauc", "logloss", "pcoc")


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of the ladder."""

    name: str
    recipe: str
    """The model with this ingredient and all below it."""
    adds: str
    """What is new, in words."""


RUNGS = (
    Rung("popularity", "popularity", "what everybody likes: smoothed rates per item"),
    Rung("lr", "lr", "who asks and where: logistic regression on every field and number"),
    Rung("dnn", "dnn", "interactions and the last 50 behaviours: DCNv2 with target attention"),
    Rung("hstu", "hstu", "the whole history in order and time: HSTU + DNN"),
)


@dataclass(frozen=True, slots=True)
class RungOutcome:
    """One rung, measured."""

    rung: Rung
    evaluations: tuple[Evaluation, ...]
    """One per seed."""
    estimates: Mapping[MetricName, Estimate]
    """Overall metrics, means over seeds with intervals."""
    cumulative: Comparison | None
    """Against the rung below; None for the first."""
    alone: Comparison | None
    """The ingredient by itself against the base; None for the base."""
    curve: tuple[CurvePoint, ...]
    """The validation window during training, first seed."""
    train_seconds: float
    """Mean over seeds, that of the rung it starts from included."""
    serve_p99_ms: float
    """99th percentile of one request in this process, at the workspace's number of candidates."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """All rungs, and the oracle where the world is simulated."""

    workspace: str
    simulated: bool
    seeds: tuple[int, ...]
    rungs: tuple[RungOutcome, ...]
    oracle: Evaluation | None

    @property
    def last_model(self) -> str:
        """Name of the last rung's registered model, of the first seed."""
        return model_name(self.rungs[-1].rung, self.seeds[0])


@dataclass(frozen=True, slots=True)
class _Trained:
    """What one rung leaves behind, over all seeds."""

    evaluations: tuple[Evaluation, ...]
    curve: tuple[CurvePoint, ...]
    seconds: float
    serve_p99_ms: float


def climb(
    project: Project,
    *,
    rungs: Sequence[Rung] = RUNGS,
    seeds: Sequence[int] = (7,),
    bootstrap: int = 200,
    requests: int = 200,
) -> Ladder:
    """Train and measure every rung on the workspace's test window.

    Args:
        project: the opened workspace.
        rungs: what to switch on, in order; the first is the base.
        seeds: one model per rung and seed.
        bootstrap: resamples of users for the intervals.
        requests: how many are timed for a rung's cost.
    """
    dataset = EncodedDataset.open(encoded_dataset(project))
    trained = [
        _train_rung(project, dataset, rung, rungs, seeds=seeds, bootstrap=bootstrap, requests=requests)
        for rung in rungs
    ]
    outcomes = [
        _outcome(rung, one, below=trained[place - 1] if place else None, base=trained[0] if place else None)
        for place, (rung, one) in enumerate(zip(rungs, trained, strict=True))
    ]
    return Ladder(
        workspace=project.workspace.name,
        simulated=project.workspace.simulated,
        seeds=tuple(seeds),
        rungs=tuple(outcomes),
        oracle=measure_oracle(project.root, dataset, Split.TEST, bootstrap=bootstrap),
    )


def _train_rung(
    project: Project,
    dataset: EncodedDataset,
    rung: Rung,
    rungs: Sequence[Rung],
    *,
    seeds: Sequence[int],
    bootstrap: int,
    requests: int,
) -> _Trained:
    evaluations, models = [], []
    for seed in seeds:
        console.print(f"[bold]{rung.name}[/] (seed {seed}): {rung.adds}")
        trained = train_model(
            project,
            rung.recipe,
            name=model_name(rung, seed),
            overrides={"training": {"seed": seed}},
            starts={other.recipe: model_name(other, seed) for other in rungs},
        )
        predictions = predict(dataset, trained.model, Split.TEST)
        evaluations.append(measure(dataset, predictions.rows, predictions.probabilities_BT, bootstrap=bootstrap))
        models.append(trained)
    return _Trained(
        tuple(evaluations),
        curve=tuple(models[0].result.curve),
        seconds=sum(one.seconds for one in models) / len(models),
        serve_p99_ms=request_p99_ms(project, models[0].reference, requests=requests),
    )


def model_name(rung: Rung, seed: int) -> str:
    """The name under which a rung's model is registered."""
    return f"ladder-{rung.name}-{seed}"


def _outcome(rung: Rung, trained: _Trained, *, below: _Trained | None, base: _Trained | None) -> RungOutcome:
    return RungOutcome(
        rung=rung,
        evaluations=trained.evaluations,
        estimates=over_seeds(trained.evaluations),
        cumulative=compare_over_seeds(below.evaluations, trained.evaluations) if below else None,
        alone=compare_over_seeds(base.evaluations, trained.evaluations) if base else None,
        curve=trained.curve,
        train_seconds=trained.seconds,
        serve_p99_ms=trained.serve_p99_ms,
    )


def write_ladder(ladder: Ladder, name: str, command: str, *, folder: Path = RESULTS_FOLDER) -> Path:
    """Keep the ladder as a result: `<rung>.auc`, `.gauc`, `.logloss`, the paired gains, and `oracle.auc`."""
    metrics: dict[str, Metric] = {}
    for outcome in ladder.rungs:
        rung = outcome.rung.name
        for key in _KEPT:
            estimate = outcome.estimates[key]
            metrics[f"{rung}.{key}"] = Metric(estimate.value, estimate.low, estimate.high)
        for kind, comparison in (("gain", outcome.cumulative), ("alone", outcome.alone)):
            if comparison is not None:
                gain = comparison.overall["auc"]
                metrics[f"{rung}.{kind}"] = Metric(gain.difference, gain.low, gain.high, "AUC")
        metrics[f"{rung}.train_s"] = Metric(outcome.train_seconds, unit="s")
        metrics[f"{rung}.p99_ms"] = Metric(outcome.serve_p99_ms, unit="ms")
    if ladder.oracle is not None:
        auc = ladder.oracle.overall.auc
        metrics["oracle.auc"] = Metric(auc.value, auc.low, auc.high)
    test = ladder.rungs[0].evaluations[0]
    data = f"{ladder.workspace}{' (simulated)' if ladder.simulated else ''}: {test.rows:,} test exposures"
    notes = (
        "gain: paired difference of AUC to the rung before; alone: to the first rung. Intervals: 95 %, over resampled "
        f"users ({test.bootstrap} resamples) and, with several seeds, over seeds. p99_ms: one request in one process."
    )
    return write_result(
        name, command=command, data=data, seeds=ladder.seeds, metrics=metrics, notes=notes, folder=folder
    )
