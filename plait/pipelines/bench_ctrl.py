"""The table of CTRL: backbones, and the same backbones aligned with texts first, on the same test exposures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plait.evaluation import Evaluation, compare_over_seeds, over_seeds
from plait.features.dataset import EncodedDataset
from plait.models.loading import WEIGHTS_FILE
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.measure import measure
from plait.pipelines.models import model_registry
from plait.pipelines.project import Project
from plait.pipelines.request_cost import request_p99_ms
from plait.pipelines.results import Metric, write_result
from plait.pipelines.train import TrainedModel, train_model
from plait.schema import Split
from plait.training import Predictions, predict

BACKBONES = ("wide-deep", "deepfm", "dcnv2", "autoint")
ALIGNED = {"ctrl-autoint": "autoint", "ctrl-dcnv2": "dcnv2", "ctrl-dnn": "dnn"}
"""What is compared with which backbone."""
COLD = 20
"""Items and users with at most this many training exposures are called cold."""


@dataclass(frozen=True, slots=True)
class CtrlOptions:
    """What `plait bench ctrl` can be asked for."""

    recipes: Sequence[str] = (*BACKBONES, "ctrl-autoint", "ctrl-dcnv2")
    seeds: Sequence[int] = (1, 2, 3)
    bootstrap: int = 200
    requests: int = 200
    """How many are timed; 0 for none."""
    name: str = "ctrl_ml1m"
    write: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """One recipe over all seeds."""

    models: Sequence[TrainedModel]
    whole: Sequence[Evaluation]
    slices: Mapping[str, Sequence[Evaluation]]
    """By name of the slice; slices with both outcomes only."""


def measure_ctrl(project: Project, options: CtrlOptions) -> tuple[dict[str, Metric], Path | None]:
    """Train every recipe with every seed (what is trained already is used as it is), and measure the test window.

    Raises:
        ArtifactError: a recipe needs texts and `plait embed` was not run.
    """
    dataset = EncodedDataset.open(encoded_dataset(project))
    slices = cold_slices(dataset)
    rows = {recipe: _row(project, dataset, recipe, slices, options) for recipe in options.recipes}
    metrics: dict[str, Metric] = {}
    for recipe, row in rows.items():
        metrics |= _metrics_of(project, recipe, row, options)
        if (backbone := rows.get(ALIGNED.get(recipe, ""))) is not None:
            metrics |= _gains(_key(recipe), backbone, row)
    if not options.write:
        return metrics, None
    return metrics, write_result(
        options.name,
        command=_command(project, options),
        data=f"{project.workspace.name}: {rows[options.recipes[0]].whole[0].rows:,} test exposures",
        seeds=options.seeds,
        metrics=metrics,
        notes=_NOTES.format(kind=project.workspace.split.kind, cold=COLD),
    )


def cold_slices(dataset: EncodedDataset) -> dict[str, NDArray[np.bool_]]:
    """Over all exposures: whose item, or whose user, training saw at most `COLD` times."""
    rows_E, train_B = np.arange(len(dataset)), dataset.rows(Split.TRAIN)
    slices = {}
    for name, of in (("items", dataset.item_rows), ("users", dataset.user_rows)):
        code_E = of(rows_E)
        seen_V = np.bincount(of(train_B), minlength=int(code_E.max(initial=0)) + 1)
        slices[f"cold_{name}"] = seen_V[code_E] <= COLD
        slices[f"warm_{name}"] = seen_V[code_E] > COLD
    return slices


def _row(
    project: Project,
    dataset: EncodedDataset,
    recipe: str,
    slices: Mapping[str, NDArray[np.bool_]],
    options: CtrlOptions,
) -> Row:
    models, predictions = [], []
    for seed in options.seeds:
        models.append(
            train_model(project, recipe, name=f"bench-{recipe}-{seed}", overrides={"training": {"seed": seed}})
        )
        predictions.append(predict(dataset, models[-1].model, Split.TEST))
    whole = [measure(dataset, one.rows, one.probabilities_BT, bootstrap=options.bootstrap) for one in predictions]
    measured = {
        name: [_measure_slice(dataset, one, chosen_E, options.bootstrap) for one in predictions]
        for name, chosen_E in slices.items()
        if _has_both(predictions[0], chosen_E)
    }
    return Row(models, whole, measured)


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


def _metrics_of(project: Project, recipe: str, row: Row, options: CtrlOptions) -> dict[str, Metric]:
    key, estimates = _key(recipe), over_seeds(row.whole)
    metrics = {
        f"{key}.{name}": Metric(estimates[name].value, estimates[name].low, estimates[name].high)
        for name in ("auc", "logloss")
    }
    for name, evaluations in row.slices.items():
        auc = over_seeds(evaluations)["auc"]
        metrics[f"{key}.auc.{name}"] = Metric(auc.value, auc.low, auc.high)
    metrics[f"{key}.train_s"] = Metric(float(np.mean([one.seconds for one in row.models])), unit="s")
    registered = model_registry(project).resolve(row.models[0].reference)
    metrics[f"{key}.bytes"] = Metric(registered.file(WEIGHTS_FILE).stat().st_size, unit="bytes")
    if options.requests:
        p99_ms = request_p99_ms(project, row.models[0].reference, requests=options.requests)
        metrics[f"{key}.p99_ms"] = Metric(p99_ms, unit="ms")
    return metrics


def _gains(key: str, backbone: Row, aligned: Row) -> dict[str, Metric]:
    """Paired differences to the backbone, overall and by slice."""
    pairs = {"gain": (backbone.whole, aligned.whole)}
    pairs |= {f"gain.{name}": (backbone.slices[name], aligned.slices[name]) for name in aligned.slices}
    gains = {}
    for name, (before, after) in pairs.items():
        difference = compare_over_seeds(before, after).overall["auc"]
        gains[f"{key}.{name}"] = Metric(difference.difference, difference.low, difference.high, "AUC")
    return gains


def _key(recipe: str) -> str:
    return recipe.replace("-", "_")


def _command(project: Project, options: CtrlOptions) -> str:
    seeds = " ".join(f"--seeds {seed}" for seed in options.seeds)
    recipes = " ".join(f"--recipes {recipe}" for recipe in options.recipes)
    return f"plait bench ctrl -w {project.root.name} {recipes} {seeds} --name {options.name}"


_NOTES = (
    "Split: {kind}. Epoch and settings were chosen on the validation window. gain: paired difference of AUC to the "
    "same backbone without alignment, 95 % over resampled users and, with several seeds, over seeds. cold: at most "
    "{cold} training exposures. train_s: with the alignment, without encoding texts. bytes: of the weights "
    "that are served. p99_ms: one request in one process."
)
