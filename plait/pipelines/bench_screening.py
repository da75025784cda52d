"""One expert split into four that read the most valuable features only, against the unsplit model that reads all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plait.config import merge
from plait.errors import ConfigError
from plait.evaluation import Evaluation, compare_over_seeds, over_seeds
from plait.features.dataset import EncodedDataset
from plait.models.config import TrunkConfig
from plait.models.expert_head import ExpertHead, deep_flops, fitted
from plait.models.head import input_columns
from plait.models.importance import screened
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.feature_ranking import FeatureRanking, RankingOptions, rank_features
from plait.pipelines.measure import measure
from plait.pipelines.project import Project
from plait.pipelines.results import Metric, write_result
from plait.pipelines.train import TrainedModel, train_model, workspace_recipe
from plait.schema import Split
from plait.telemetry import console
from plait.training import predict


@dataclass(frozen=True, slots=True)
class ScreeningOptions:
    """What `plait bench feature-screening` can be asked for."""

    seeds: Sequence[int] = (1, 2, 3)
    keep: float = 0.25
    """Share of the features that the split model's experts read."""
    curve: Sequence[float] = (0.1, 0.5, 1.0)
    """Other shares, trained with the first seed only."""
    method: str = "permutation"
    unsplit: str = "moe-shared-bottom"
    split: str = "moe-dense"
    gates: float = 0.02
    """Of the ranking; see `RankingOptions`."""
    users_share: float = 1.0
    """About what share of the training exposures is trained on."""
    test_exposures: int | None = None
    """About how many are measured, of whole users; None: all."""
    bootstrap: int = 200
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Laid over both recipes."""
    settings: Sequence[str] = ()
    """`overrides` as they were typed."""
    write: bool = True


@dataclass(frozen=True, slots=True)
class _Variant:
    """One model with several seeds."""

    models: Sequence[TrainedModel]
    evaluations: Sequence[Evaluation]
    """On the test window."""

    @property
    def valid_logloss(self) -> float:
        """Of the first seed, at its best."""
        result = self.models[0].result
        return next(point.metrics["logloss"] for point in result.curve if point.step == result.best_step)

    @property
    def flops(self) -> int:
        """Of the head, for one exposure."""
        return screened(self.models[0].model, self.models[0].name).head.flops


def measure_screening(project: Project, options: ScreeningOptions) -> tuple[dict[str, Metric], Path | None]:
    """Train the unsplit model, rank its features on the validation window, train split ones, compare on the test one.

    Raises:
        ConfigError: one of the two recipes has no experts.
    """
    bench = _Bench(project, EncodedDataset.open(encoded_dataset(project)), options)
    unsplit = bench.trained(options.unsplit, "unsplit", options.seeds, {})
    reference = unsplit.models[0].reference
    ranking, _ = rank_features(project, reference, RankingOptions(gates=options.gates))
    shares = {**dict.fromkeys(options.curve, options.seeds[:1]), options.keep: options.seeds}
    split = {
        share: bench.trained(
            options.split, f"split-{share:g}", seeds, bench.sized(unsplit, ranking.best(options.method, share))
        )
        for share, seeds in shares.items()
    }
    metrics = _compared(unsplit, split[options.keep]) | _curve(unsplit, split) | _agreement(ranking)
    return metrics, _write(project, ranking, unsplit, options, metrics) if options.write else None


class _Bench:
    """Trains models and measures them on the test window."""

    def __init__(self, project: Project, dataset: EncodedDataset, options: ScreeningOptions) -> None:
        self._project, self._dataset, self._options = project, dataset, options

    def sized(self, unsplit: _Variant, reads: Sequence[str]) -> dict[str, Any]:
        """Values of the split recipe: the features that its experts read, and widths that cost no more than `unsplit`.

        Raises:
            ConfigError: one of the two recipes has no experts.
        """
        head = screened(unsplit.models[0].model, unsplit.models[0].name).head
        config = workspace_recipe(self._project, self._options.split, dict(self._options.overrides)).model
        if not isinstance(head, ExpertHead) or not isinstance(config, TrunkConfig) or config.experts is None:
            raise ConfigError(f"{self._options.unsplit} and {self._options.split}: expected [model.experts] in both")
        spec = self._dataset.spec
        columns, objectives = input_columns(config, head.reads.inputs, spec), len(spec.objectives)
        width = sum(len(columns[name]) for name in reads)
        budget = deep_flops(head.config, head.reads.width, objectives)
        hidden = fitted(config.experts, width, objectives, budget).hidden
        return {"deep_inputs": list(reads), "experts": {"hidden": hidden, "match_flops": False}}

    def trained(self, recipe: str, name: str, seeds: Sequence[int], model: Mapping[str, Any]) -> _Variant:
        """A recipe with other sizes, with several seeds."""
        models, evaluations = [], []
        for seed in seeds:
            console.print(f"[bold]{name}[/] (seed {seed})")
            share = {"share": self._options.users_share, "share_of": "users"}
            training = {"seed": seed, "conflict_batches": 0, **share}
            overrides = merge(dict(self._options.overrides), {"model": dict(model), "training": training})
            models.append(train_model(self._project, recipe, name=f"screening-{name}-{seed}", overrides=overrides))
            exposures = self._options.test_exposures
            found = predict(self._dataset, models[-1].model, Split.TEST, exposures=exposures)
            evaluations.append(
                measure(self._dataset, found.rows, found.probabilities_BT, bootstrap=self._options.bootstrap)
            )
        return _Variant(models, evaluations)


def _compared(unsplit: _Variant, split: _Variant) -> dict[str, Metric]:
    """AUC and arithmetic of both, and the paired difference over users and seeds."""
    metrics = {}
    for name, one in (("unsplit", unsplit), ("split4_screened", split)):
        auc = over_seeds(one.evaluations)["auc"]
        metrics[f"{name}.auc"] = Metric(auc.value, auc.low, auc.high, "AUC")
        metrics[f"{name}.flops"] = Metric(one.flops, unit="per exposure")
    gain = compare_over_seeds(unsplit.evaluations, split.evaluations).overall["auc"]
    metrics["difference"] = Metric(gain.difference, gain.low, gain.high, "AUC")
    if gain.low is not None:
        metrics["difference_low"] = Metric(gain.low, unit="AUC")
    return metrics


def _curve(unsplit: _Variant, split: Mapping[float, _Variant]) -> dict[str, Metric]:
    """Of every share, with the first seed: AUC against the unsplit model, and what validation says."""
    metrics = {}
    for share, one in sorted(split.items()):
        gain = compare_over_seeds(unsplit.evaluations[:1], one.evaluations[:1]).overall["auc"]
        metrics[f"keep_{share:g}.difference"] = Metric(gain.difference, gain.low, gain.high, "AUC, one seed")
        metrics[f"keep_{share:g}.flops"] = Metric(one.flops, unit="per exposure")
        metrics[f"keep_{share:g}.valid_logloss"] = Metric(one.valid_logloss, unit="one seed")
    return metrics


def _agreement(ranking: FeatureRanking) -> dict[str, Metric]:
    methods, metrics = list(ranking.worth), {}
    for coefficient in ("spearman", "kendall"):
        pairs = ranking.agreement(coefficient)
        for place, one in enumerate(methods):
            for other in methods[place + 1 :]:
                metrics[f"{coefficient}.{one}_{other}"] = Metric(pairs[one][other])
    return metrics


def _write(
    project: Project,
    ranking: FeatureRanking,
    unsplit: _Variant,
    options: ScreeningOptions,
    metrics: Mapping[str, Metric],
) -> Path:
    seeds = " ".join(f"--seeds {seed}" for seed in options.seeds)
    curve = " ".join(f"--curve {share:g}" for share in options.curve)
    simulated = " (simulated)" if project.workspace.simulated else ""
    test = "" if options.test_exposures is None else f" --test-exposures {options.test_exposures}"
    settings = "".join(f" --set '{setting}'" for setting in options.settings)
    return write_result(
        "feature_screening",
        command=f"plait bench feature-screening -w {project.root.name} {seeds} --keep {options.keep:g} {curve} --by "
        f"{options.method} --users-share {options.users_share:g}{test}{settings}",
        data=f"{project.workspace.name}{simulated}: {unsplit.evaluations[0].rows:,} test exposures",
        seeds=options.seeds,
        metrics=metrics,
        notes=f"unsplit: {options.unsplit}, one expert over all {len(ranking.features)} features; split4_screened: "
        f"{options.split}, four experts over the {options.keep:g} of them worth most to the unsplit model of the "
        f"first seed by {options.method} on {ranking.exposures:,} exposures of the validation window. flops: of the "
        "head (cross network, experts, towers), multiplications and additions. difference: of AUC on the test window, "
        "paired over the same exposures, 95 % over resampled users and seeds.",
    )
