"""The ladder: ingredients switched on one by one, each measured on the same rows.

A rung is a recipe, and perhaps derived feature groups that it adds; rungs above it read them too. It is shown twice.
*Cumulative*: against the rung below, everything below it switched on. *Alone*: the ingredient by itself on its base,
against the base: feature groups on the recipe without any, recipes (without any) on their backbone if they have one,
else on the first rung. Differences are paired over the same exposures and resampled users.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from plait.config import nearest
from plait.errors import ConfigError
from plait.evaluation import Comparison, Estimate, Evaluation, compare_over_seeds, over_seeds
from plait.evaluation.scores import MetricName
from plait.features.dataset import EncodedDataset
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.feature_groups import dataset_with, missing_group
from plait.pipelines.measure import measure
from plait.pipelines.oracle import measure_oracle
from plait.pipelines.project import Project
from plait.pipelines.request_cost import request_p99_ms
from plait.pipelines.results import RESULTS_FOLDER, Metric, write_result
from plait.pipelines.train import train_model
from plait.pipelines.value_rung import ValueRung, measure_value
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
    features: tuple[str, ...] = ()
    """Derived feature groups that are new."""
    backbone: str | None = None
    """The recipe that this one is, trained another way."""
    needs: tuple[str, ...] = ()
    """Derived feature groups that the recipe's training needs, though the model reads none."""


RUNGS = (
    Rung("popularity", "popularity", "what everybody likes: smoothed rates per item"),
    Rung("lr", "lr", "who asks and where: logistic regression on every field and number"),
    Rung("dnn", "dnn", "interactions and the last 50 behaviours: DCNv2 with target attention"),
    Rung("creative-fields", "dnn", "what the creative looks like and says", ("creative_fields",)),
    Rung("creative-preference", "dnn", "what creatives this user answered to", ("creative_preference",)),
    Rung(
        "user-embedding-32",
        "dnn",
        "what behaviour says in words: a frozen encoder's vector of the user's past",
        ("user_embedding",),
    ),
    Rung(
        "ctrl",
        "ctrl-dnn",
        "what texts say, learned before any label: CTRL on the DNN",
        backbone="dnn",
        needs=("user_embedding",),
    ),
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
    value: ValueRung | None = None
    """What auctions earn with the last rung's probabilities, of the first seed; None where that cannot be known."""

    @property
    def last_model(self) -> str:
        """Name of the last rung's registered model, of the first seed."""
        return model_name(self.rungs[-1].rung.name, self.seeds[0])


@dataclass(frozen=True, slots=True)
class Variant:
    """One model to train: a recipe and the derived feature groups that it reads."""

    recipe: str
    features: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """The models behind one rung."""

    rung: Rung
    model: Variant
    """With this ingredient and all below it."""
    below: Variant | None
    alone: Variant
    """The ingredient by itself."""
    base: Variant | None
    """What `alone` is held against; None for the first rung."""


def plan(rungs: Sequence[Rung]) -> list[Step]:
    """The models behind these rungs, in order."""
    steps: list[Step] = []
    first = Variant(rungs[0].recipe, rungs[0].features)
    for place, rung in enumerate(rungs):
        features = tuple(sorted({name for each in rungs[: place + 1] for name in each.features}))
        base = first if rung.backbone is None else Variant(rung.backbone)
        if rung.features:
            base = Variant(rung.recipe)
        below = steps[-1].model if steps else None
        steps.append(
            Step(
                rung,
                Variant(rung.recipe, features),
                below,
                Variant(rung.recipe, rung.features),
                base if place else None,
            )
        )
    return steps


def present_rungs(project: Project, rungs: Sequence[Rung] = RUNGS) -> tuple[Rung, ...]:
    """The rungs whose feature groups can be made in this workspace; it is said which cannot."""
    present = []
    for rung in rungs:
        lacks = [why for name in (*rung.features, *rung.needs) if (why := missing_group(project, name)) is not None]
        if lacks:
            console.print(f"[dim]{rung.name} is left out: {lacks[0]}[/]")
        else:
            present.append(rung)
    return tuple(present)


def rungs_named(names: Sequence[str]) -> tuple[Rung, ...]:
    """The rungs of these names, in the ladder's order.

    Raises:
        ConfigError: there is no such rung.
    """
    known = [rung.name for rung in RUNGS]
    for name in names:
        if name not in known:
            raise ConfigError(f"there is no rung '{name}'{nearest(name, known)}")
    return tuple(rung for rung in RUNGS if rung.name in names)


@dataclass(frozen=True, slots=True)
class _Trained:
    """What one model leaves behind, over all seeds."""

    evaluations: tuple[Evaluation, ...]
    curve: tuple[CurvePoint, ...]
    seconds: float
    references: tuple[str, ...]


class _Models:
    """Trains and measures each variant once."""

    def __init__(self, project: Project, steps: Sequence[Step], seeds: Sequence[int], bootstrap: int) -> None:
        self._project, self._seeds, self._bootstrap = project, seeds, bootstrap
        self._trained: dict[Variant, _Trained] = {}
        self._names: dict[Variant, str] = {}
        self._adds: dict[Variant, str] = {}
        for step in steps:
            self._introduce(step.model, step.rung.name, step.rung.adds)
        for step in steps:
            self._introduce(step.alone, f"{step.rung.name}-alone", f"{step.rung.adds}, by itself")
            if step.base is not None:
                self._introduce(step.base, f"{step.rung.name}-base", f"what {step.rung.name} is held against")

    def of(self, variant: Variant) -> _Trained:
        """The variant, trained now unless it has been."""
        if variant not in self._trained:
            self._trained[variant] = self._train(variant)
        return self._trained[variant]

    def compare(self, base: Variant | None, variant: Variant) -> Comparison | None:
        """The paired difference of two variants; None without a base."""
        return compare_over_seeds(self.of(base).evaluations, self.of(variant).evaluations) if base else None

    def _train(self, variant: Variant) -> _Trained:
        evaluations, models = [], []
        dataset = dataset_with(self._project, variant.features)
        for seed in self._seeds:
            reads = f" [dim](reads {', '.join(variant.features)})[/]" if variant.features else ""
            console.print(f"[bold]{self._names[variant]}[/] (seed {seed}): {self._adds[variant]}{reads}")
            trained = train_model(
                self._project,
                variant.recipe,
                name=model_name(self._names[variant], seed),
                overrides={"training": {"seed": seed}, "features": {"use": list(variant.features)}},
                starts=self._starts(variant, seed),
            )
            predictions = predict(dataset, trained.model, Split.TEST)
            evaluations.append(
                measure(dataset, predictions.rows, predictions.probabilities_BT, bootstrap=self._bootstrap)
            )
            models.append(trained)
        seconds = sum(one.seconds for one in models) / len(models)
        references = tuple(one.reference for one in models)
        return _Trained(tuple(evaluations), tuple(models[0].result.curve), seconds, references)

    def _introduce(self, variant: Variant, name: str, adds: str) -> None:
        """Call a variant by its first name."""
        if variant not in self._names:
            self._names[variant], self._adds[variant] = name, adds

    def _starts(self, variant: Variant, seed: int) -> dict[str, str]:
        """Runs that a recipe may start from: those that read the same features."""
        same = (other for other in self._names if other.features == variant.features)
        return {other.recipe: model_name(self._names[other], seed) for other in same}


def climb(
    project: Project,
    *,
    rungs: Sequence[Rung] | None = None,
    seeds: Sequence[int] = (7,),
    bootstrap: int = 200,
    requests: int = 200,
) -> Ladder:
    """Train and measure every rung on the workspace's test window.

    Args:
        project: the opened workspace.
        rungs: what to switch on, in order, the first being the base; None for all that the workspace has data for.
        seeds: one model per rung and seed.
        bootstrap: resamples of users for the intervals.
        requests: how many are timed for a rung's cost.
    """
    steps = plan(rungs if rungs is not None else present_rungs(project))
    models = _Models(project, steps, seeds, bootstrap)
    outcomes = [_outcome(project, step, models, requests) for step in steps]
    dataset = EncodedDataset.open(encoded_dataset(project))
    return Ladder(
        workspace=project.workspace.name,
        simulated=project.workspace.simulated,
        seeds=tuple(seeds),
        rungs=tuple(outcomes),
        oracle=measure_oracle(project.root, dataset, Split.TEST, bootstrap=bootstrap),
        value=measure_value(project, models.of(steps[-1].model).references[0]),
    )


def model_name(rung: str, seed: int) -> str:
    """The name under which a rung's model is registered."""
    return f"ladder-{rung}-{seed}"


def _outcome(project: Project, step: Step, models: _Models, requests: int) -> RungOutcome:
    trained = models.of(step.model)
    return RungOutcome(
        rung=step.rung,
        evaluations=trained.evaluations,
        estimates=over_seeds(trained.evaluations),
        cumulative=models.compare(step.below, step.model),
        alone=models.compare(step.base, step.alone),
        curve=trained.curve,
        train_seconds=trained.seconds,
        serve_p99_ms=request_p99_ms(project, trained.references[0], requests=requests),
    )


def write_ladder(ladder: Ladder, name: str, command: str, *, folder: Path = RESULTS_FOLDER) -> Path:
    """Keep the ladder as a result: `<rung>.auc`, `.gauc`, `.logloss`, the paired gains, and `oracle.auc`.

    `auc_gain` is the gain of the last rung: what a ladder of few rungs was climbed for.
    """
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
    last = ladder.rungs[-1].cumulative
    if last is not None:
        gain = last.overall["auc"]
        metrics["auc_gain"] = Metric(gain.difference, gain.low, gain.high, "AUC")
    if ladder.value is not None:
        metrics |= {f"value.{name}": metric for name, metric in ladder.value.metrics.items()}
    if ladder.oracle is not None:
        auc = ladder.oracle.overall.auc
        metrics["oracle.auc"] = Metric(auc.value, auc.low, auc.high)
    test = ladder.rungs[0].evaluations[0]
    data = f"{ladder.workspace}{' (simulated)' if ladder.simulated else ''}: {test.rows:,} test exposures"
    notes = (
        "gain: paired difference of AUC to the rung before (auc_gain: of the last rung); alone: of the ingredient by "
        "itself to its base (feature groups: the recipe without any; recipes: the first rung). Intervals: 95 %, over "
        "resampled users "
        f"({test.bootstrap} resamples) and, with several seeds, over seeds. p99_ms: one request in one process. "
        "value: expected revenue and value of auctions with the last rung's probabilities, its calibrated ones and the "
        "true ones, simulated (docs/ads.md)."
    )
    return write_result(
        name, command=command, data=data, seeds=ladder.seeds, metrics=metrics, notes=notes, folder=folder
    )
