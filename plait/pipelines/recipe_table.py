"""Recipes over seeds on the same test exposures: what the tables that compare recipes have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plait.config import merge
from plait.data.artifacts import fingerprint
from plait.evaluation import Evaluation, compare_over_seeds, over_seeds
from plait.features.dataset import EncodedDataset
from plait.models.loading import WEIGHTS_FILE
from plait.pipelines.feature_groups import dataset_with
from plait.pipelines.measure import measure
from plait.pipelines.models import model_registry
from plait.pipelines.project import Project
from plait.pipelines.request_cost import request_p99_ms
from plait.pipelines.results import Metric
from plait.pipelines.train import TrainedModel, train_model
from plait.schema import Split
from plait.telemetry import console
from plait.training import Predictions, predict

COLD = 20
"""Items and users with at most this many training exposures are called cold."""
_BOUNDS = (COLD, 100, 500)


@dataclass(frozen=True, slots=True)
class TableRow:
    """One recipe over all seeds."""

    models: Sequence[TrainedModel]
    whole: Sequence[Evaluation]
    slices: Mapping[str, Sequence[Evaluation]] = field(default_factory=dict)
    """By name of the slice; slices with both outcomes only."""


def exposure_slices(dataset: EncodedDataset) -> dict[str, NDArray[np.bool_]]:
    """Over all exposures: how often training showed their item, and their user.

    `cold_items` are those of at most `COLD` training exposures; then come `items_21_100`, `items_101_500` and
    `items_over_500`; and the same of users.
    """
    rows_E, train_B = np.arange(len(dataset)), dataset.rows(Split.TRAIN)
    slices = {}
    for name, of in (("items", dataset.item_rows), ("users", dataset.user_rows)):
        code_E = of(rows_E)
        seen_E = np.bincount(of(train_B), minlength=int(code_E.max(initial=0)) + 1)[code_E]
        slices[f"cold_{name}"] = seen_E <= COLD
        for low, high in pairwise(_BOUNDS):
            slices[f"{name}_{low + 1}_{high}"] = (seen_E > low) & (seen_E <= high)
        slices[f"{name}_over_{_BOUNDS[-1]}"] = seen_E > _BOUNDS[-1]
    return slices


def row_name(recipe: str) -> str:
    """What a recipe's metrics begin with."""
    return recipe.replace("-", "_")


def table_row(
    project: Project,
    recipe: str,
    *,
    seeds: Sequence[int],
    bootstrap: int,
    overrides: Mapping[str, Any] | None = None,
    prefix: str = "bench",
    slices: Mapping[str, NDArray[np.bool_]] | None = None,
) -> TableRow:
    """Train a recipe with every seed (what is trained already is used as it is) and measure the test window.

    Args:
        project: the workspace.
        recipe: of a ranker.
        seeds: one model each.
        bootstrap: resamples of users for intervals.
        overrides: values laid over the recipe's, by section.
        prefix: of the runs' names.
        slices: exposures that are measured by themselves too, by name.

    Raises:
        ArtifactError: the recipe needs texts and `plait embed` was not run.
    """
    models, predictions = [], []
    other = f"-{fingerprint(overrides)}" if overrides else ""
    for seed in seeds:
        console.print(f"[bold]{recipe}[/] (seed {seed})")
        values = merge(dict(overrides or {}), {"training": {"seed": seed}})
        models.append(train_model(project, recipe, name=f"{prefix}-{recipe}{other}-{seed}", overrides=values))
        dataset = dataset_with(project, models[-1].recipe.features.use)
        predictions.append(predict(dataset, models[-1].model, Split.TEST))
    whole = [measure(dataset, one.rows, one.probabilities_BT, bootstrap=bootstrap) for one in predictions]
    measured = {
        name: [_measure_slice(dataset, one, chosen_E, bootstrap) for one in predictions]
        for name, chosen_E in (slices or {}).items()
        if _has_both(predictions[0], chosen_E)
    }
    return TableRow(models, whole, measured)


def quality(key: str, row: TableRow) -> dict[str, Metric]:
    """`<key>.auc` and `.logloss`, and `.auc.<slice>`."""
    estimates = over_seeds(row.whole)
    metrics = {
        f"{key}.{name}": Metric(estimates[name].value, estimates[name].low, estimates[name].high)
        for name in ("auc", "logloss")
    }
    for name, evaluations in row.slices.items():
        auc = over_seeds(evaluations)["auc"]
        metrics[f"{key}.auc.{name}"] = Metric(auc.value, auc.low, auc.high)
    return metrics


def costs(project: Project, key: str, row: TableRow, requests: int) -> dict[str, Metric]:
    """`<key>.train_s`, `.bytes` of the weights that are served, and `.p99_ms` over so many requests (0: not timed)."""
    metrics = {f"{key}.train_s": Metric(float(np.mean([one.seconds for one in row.models])), unit="s")}
    registered = model_registry(project).resolve(row.models[0].reference)
    metrics[f"{key}.bytes"] = Metric(registered.file(WEIGHTS_FILE).stat().st_size, unit="bytes")
    if requests:
        p99_ms = request_p99_ms(project, row.models[0].reference, requests=requests)
        metrics[f"{key}.p99_ms"] = Metric(p99_ms, unit="ms")
    return metrics


def gains(key: str, before: TableRow, after: TableRow) -> dict[str, Metric]:
    """`<key>.gain` and `.gain.<slice>`: paired differences of AUC."""
    pairs = {"gain": (before.whole, after.whole)}
    pairs |= {f"gain.{name}": (before.slices[name], after.slices[name]) for name in after.slices}
    found = {}
    for name, (one, other) in pairs.items():
        difference = compare_over_seeds(one, other).overall["auc"]
        found[f"{key}.{name}"] = Metric(difference.difference, difference.low, difference.high, "AUC")
    return found


def _has_both(one: Predictions, chosen_E: NDArray[np.bool_]) -> bool:
    """Whether every objective has both outcomes there."""
    labels_BT, mask_BT = (array[chosen_E[one.rows]] for array in (one.labels_BT, one.mask_BT))
    positives_T = (labels_BT * mask_BT).sum(0)
    return bool(((positives_T > 0) & (positives_T < mask_BT.sum(0))).all())


def _measure_slice(
    dataset: EncodedDataset, one: Predictions, chosen_E: NDArray[np.bool_], bootstrap: int
) -> Evaluation:
    kept_B = chosen_E[one.rows]
    return measure(dataset, one.rows[kept_B], one.probabilities_BT[kept_B], bootstrap=bootstrap)
