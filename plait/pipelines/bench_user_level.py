"""What training on users costs beside training on impressions: one ranker, the same exposures, both layouts in turn."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from plait.errors import ConfigError, PlaitError
from plait.evaluation import Evaluation, compare_over_seeds, over_seeds
from plait.features.dataset import EncodedDataset
from plait.models.batch import Batch
from plait.models.builder import build_model
from plait.models.config import HstuConfig
from plait.models.ranker import Layout
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.measure import measure
from plait.pipelines.project import Project
from plait.pipelines.results import RESULTS_FOLDER, Metric, write_result
from plait.pipelines.train import workspace_recipe
from plait.schema import Split
from plait.seeding import derive_seed
from plait.telemetry import console
from plait.training import Recipe, TrainingResult, predict, train_task
from plait.training.data import Loader, draw_users
from plait.training.predict import as_ranker
from plait.training.ranking import RankingTask

LAYOUTS: tuple[Layout, Layout] = ("user", "impression")
_TOLERANCE = 1e-4
"""How far logits of the same weights may lie apart between the layouts."""
_COMPARED = 2_000
"""Exposures whose logits are compared, about."""
_BOOTSTRAP = 200


@dataclass(frozen=True, slots=True)
class UserLevelOptions:
    """What is trained."""

    recipe: str = "hstu"
    exposures: int = 60_000
    """Training exposures of all rounds together, about: those of whole users."""
    rounds: int = 4
    """Each trains both ways on users drawn anew, with a seed of its own."""
    user_batch: int = 128
    """Exposures a step, at most, at the user level. A step of whole stretches sees exposures that are alike: smaller
    ones say as much, and a pass over few exposures has more of them."""
    impression_batch: int = 256
    """The same at the impression level. Each level has what was best for it on a validation window."""
    seed: int = 7
    test_exposures: int = 20_000
    """Exposures of the test window that both are measured on, about."""
    write: bool = True
    folder: Path = RESULTS_FOLDER


@dataclass(frozen=True, slots=True)
class Trained:
    """One round's users in one layout."""

    result: TrainingResult
    evaluation: Evaluation
    logit_difference: float
    """Between the layouts, of these weights, at most."""

    @property
    def samples(self) -> int:
        """Exposures trained on, as often as they were."""
        return self.result.curve[-1].examples


def measure_user_level(project: Project, options: UserLevelOptions) -> tuple[dict[str, Metric], Path | None]:
    """Train both ways on the same exposures; the metrics, and the file they were written to.

    Raises:
        PlaitError: logits of the same weights differ between the layouts.
        TrainingError: a run failed.
    """
    dataset = EncodedDataset.open(encoded_dataset(project))
    recipe = workspace_recipe(project, options.recipe)
    metrics = metrics_of(train_both(dataset, recipe, options))
    return metrics, _write(project, options, metrics) if options.write else None


def train_both(dataset: EncodedDataset, recipe: Recipe, options: UserLevelOptions) -> dict[Layout, list[Trained]]:
    """Train in either layout for every round.

    Raises:
        ConfigError: the recipe is of no HSTU ranker.
        PlaitError: logits of the same weights differ between the layouts.
    """
    rounds: dict[Layout, list[Trained]] = {layout: [] for layout in LAYOUTS}
    share = min(1.0, options.exposures / options.rounds / len(dataset.rows(Split.TRAIN)))
    for layout in LAYOUTS:
        _compile_kernels(dataset, _at(recipe, layout, options, options.seed, share / 100))
    for place in range(options.rounds):
        for layout in LAYOUTS if place % 2 == 0 else LAYOUTS[::-1]:
            trained = _trained(dataset, _at(recipe, layout, options, options.seed + place, share), options)
            rounds[layout].append(trained)
            console.print(f"round {place + 1}, {layout} level: {trained.result.examples_per_s:,.0f} samples/s")
    return rounds


def largest_difference(dataset: EncodedDataset, model: nn.Module, exposures: int, seed: int) -> float:
    """The largest difference of any logit between the layouts, for about so many training exposures of whole users."""
    users_U = draw_users(dataset, Split.TRAIN, exposures, seed)
    one_BT, other_BT = (_logits(dataset, model, users_U, layout) for layout in LAYOUTS)
    return float((one_BT - other_BT).abs().max())


def _logits(
    dataset: EncodedDataset, model: nn.Module, users_U: NDArray[np.int64] | None, layout: Layout
) -> torch.Tensor:
    """Logits of the users' training exposures, by row."""
    ranker = as_ranker(model)
    loader = Loader(dataset, Split.TRAIN, ranker, batch_size=512, batch_events=65_536, layout=layout, users_U=users_U)
    with torch.inference_mode():
        parts = [(ranker(Batch.from_features(batch)), rows_B) for batch, rows_B in loader.batches(loader.in_order())]
    order_B = np.argsort(np.concatenate([rows_B for _, rows_B in parts]), kind="stable")
    return torch.cat([logits_BT for logits_BT, _ in parts])[torch.from_numpy(order_B)]


def _at(recipe: Recipe, layout: Layout, options: UserLevelOptions, seed: int, share: float) -> Recipe:
    """The whole model in one layout, judged once, at its end: what it comes to, not its best."""
    batch_size = options.user_batch if layout == "user" else options.impression_batch
    training = {
        "seed": seed, "layout": layout, "start_from": None, "epochs": 1, "evaluations_per_epoch": 1,
        "evaluation_epochs": 1, "validation_exposures": 1_000, "batch_size": batch_size, "tensorboard": False,
        "share": share, "share_of": "users",
    }  # fmt: skip
    return replace(recipe, training=recipe.training.model_copy(update=training))


def _model(dataset: EncodedDataset, recipe: Recipe) -> nn.Module:
    if not isinstance(recipe.model, HstuConfig):
        raise ConfigError(f"found a recipe of family {recipe.model.family}, expected an HSTU ranker (family hstu)")
    torch.manual_seed(derive_seed(recipe.training.seed, "weights"))
    return build_model(recipe.model, dataset.spec, dataset.item_fields_VI)


def _compile_kernels(dataset: EncodedDataset, recipe: Recipe) -> None:
    """One step of a few users, so that no timed step pays for it."""
    task = RankingTask(dataset, _model(dataset, recipe), recipe.training)
    for batch, _ in task.batches(0, 0):
        task.loss(batch).backward()  # type: ignore[no-untyped-call]


def _trained(dataset: EncodedDataset, recipe: Recipe, options: UserLevelOptions) -> Trained:
    model = _model(dataset, recipe)
    with tempfile.TemporaryDirectory() as folder:
        task = RankingTask(dataset, model, recipe.training)
        result = train_task(task, recipe.training, Path(folder), resume=False)
    difference = largest_difference(dataset, model, _COMPARED, options.seed)
    if not difference <= _TOLERANCE:
        raise PlaitError(
            f"logits of the same weights differ by {difference:.2g} between the layouts, expected {_TOLERANCE:.0e} at "
            "most: a defect"
        )
    found = predict(dataset, model, Split.TEST, exposures=options.test_exposures, seed=options.seed)
    evaluation = measure(dataset, found.rows, found.probabilities_BT, bootstrap=_BOOTSTRAP)
    return Trained(result, evaluation, difference)


def metrics_of(rounds: dict[Layout, list[Trained]]) -> dict[str, Metric]:
    """The numbers of the result."""
    user, impression = (rounds[layout] for layout in LAYOUTS)
    ratios = [
        one.result.examples_per_s / other.result.examples_per_s for one, other in zip(user, impression, strict=True)
    ]
    times = [other.result.seconds / one.result.seconds for one, other in zip(user, impression, strict=True)]
    evaluations = {layout: [one.evaluation for one in trained] for layout, trained in rounds.items()}
    difference = compare_over_seeds(evaluations["impression"], evaluations["user"]).overall["auc"]
    metrics = {
        "speedup_vs_impression_level": _spread(ratios, "x"),
        "time_ratio": _spread(times, "x"),
        "auc_difference": Metric(difference.difference, difference.low, difference.high, "AUC"),
        "logit_max_abs_diff": Metric(max(one.logit_difference for one in [*user, *impression])),
        "samples": Metric(sum(one.samples for one in impression), unit="exposures"),
    }
    for layout, trained in rounds.items():
        auc = over_seeds(evaluations[layout])["auc"]
        metrics[f"{layout}_level.samples_per_s"] = _spread([one.result.examples_per_s for one in trained], "samples/s")
        metrics[f"{layout}_level.auc"] = Metric(auc.value, auc.low, auc.high, "AUC")
        metrics[f"{layout}_level.steps"] = Metric(sum(one.result.curve[-1].step for one in trained))
    return metrics


def _spread(values: Sequence[float], unit: str) -> Metric:
    return Metric(float(np.mean(values)), min(values), max(values), unit)


def _write(project: Project, options: UserLevelOptions, metrics: dict[str, Metric]) -> Path:
    simulated = " (simulated)" if project.workspace.simulated else ""
    return write_result(
        "hstu_user_level_cost",
        command=f"plait bench user-level -w {project.root.name} --recipe {options.recipe} "
        f"--exposures {options.exposures} --rounds {options.rounds} --user-batch {options.user_batch} "
        f"--impression-batch {options.impression_batch} --seed {options.seed}",
        data=f"{project.workspace.name}{simulated}: {metrics['samples'].value:,.0f} training exposures of whole users",
        seeds=[options.seed + place for place in range(options.rounds)],
        metrics=metrics,
        notes=(
            f"Recipe {options.recipe}, the whole model from random weights, one pass over the same exposures. "
            f"user_level: stretches of users' histories, each passed over once for all its exposures, "
            f"{options.user_batch} a step. impression_level: shuffled exposures, each with its own window of events, "
            f"{options.impression_batch} a step. Sizes of steps were chosen on the validation window. "
            "speedup_vs_impression_level: samples/s; time_ratio: of all training at one level and the other. Both have "
            "the same logits of the same weights (logit_max_abs_diff, over training exposures, with the weights that "
            "each came to). Rounds draw users anew, with another seed, and take the two ways in turn; samples_per_s is "
            "training by the wall clock, batches included, evaluation not; low and high are the slowest and the "
            "fastest round. auc: test window; auc_difference is user-level less impression-level, paired, 95 % over "
            "resampled users and rounds."
        ),
        folder=options.folder,
    )
