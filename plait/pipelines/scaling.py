"""How loss falls with compute: next-item HSTUs over a grid of width, depth, length and data, and the law that fits."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from plait.data.item_sequences import ItemSequences
from plait.errors import ConfigError
from plait.evaluation.power_law import FittedLaw, effects, fit_frontier
from plait.models.arithmetic import training_flops
from plait.models.config import NextItemConfig
from plait.pipelines.item_sequences import item_sequences
from plait.pipelines.project import Project
from plait.pipelines.results import RESULTS_FOLDER, Metric, write_result
from plait.pipelines.train import TrainedModel, train_model
from plait.telemetry import console
from plait.training import CurvePoint, Recipe
from plait.training.next_item import users_learnt_from

AXES = ("width", "depth", "length", "data")
_GFLOP = 1e9


@dataclass(frozen=True, slots=True)
class ScalingOptions:
    """The grid, and how its models are trained."""

    recipe: str = "hstu-next"
    widths: tuple[int, ...] = (16, 48)
    depths: tuple[int, ...] = (1, 3)
    """Blocks."""
    lengths: tuple[int, ...] = (50, 200)
    """Events that a model sees at most."""
    shares: tuple[float, ...] = (0.25, 1.0)
    """Of users that are learnt from."""
    epochs: int = 8
    batch_size: int = 32
    seed: int = 7
    bootstrap: int = 1000

    def cells(self) -> list["Cell"]:
        """The grid, small models first."""
        product = itertools.product(self.widths, self.depths, self.lengths, self.shares)
        return [Cell(*sizes) for sizes in product]


@dataclass(frozen=True, slots=True)
class Cell:
    """One model of the grid."""

    width: int
    depth: int
    length: int
    share: float

    @property
    def name(self) -> str:
        """Of its run."""
        return f"w{self.width}-b{self.depth}-l{self.length}-u{self.share:g}"

    def overrides(self, options: ScalingOptions) -> dict[str, Any]:
        """What is laid over the recipe; nothing stops a model early, and every epoch is judged by its loss."""
        return {
            "model": {
                "width": self.width, "heads": 1, "head_width": self.width, "blocks": self.depth,
                "max_events": self.length,
            },
            "training": {
                "seed": options.seed, "epochs": options.epochs, "batch_size": options.batch_size, "metric": "logloss",
                "evaluation_epochs": 1, "patience": options.epochs, "tensorboard": False,
                "share": self.share, "share_of": "users",
            },
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trained:
    """What one model of the grid came to."""

    cell: Cell
    epoch_flops: float
    """Operations that an epoch cannot do without."""
    parameters: int
    seconds: float
    points: tuple[CurvePoint, ...]
    """One per epoch."""

    @property
    def curve(self) -> list[tuple[float, float]]:
        """GFLOP so far, and the log-loss of the validation items."""
        return [(self.epoch_flops * (epoch + 1) / _GFLOP, point.logloss) for epoch, point in enumerate(self.points)]

    @property
    def best(self) -> CurvePoint:
        """The epoch of the least loss."""
        return min(self.points, key=lambda point: point.logloss)


@dataclass(frozen=True, slots=True)
class Scaling:
    """The grid, and what it says."""

    workspace: str
    simulated: bool
    recipe: str
    seed: int
    cases: int
    """Validation items that the losses are means of."""
    models: list[Trained]
    fit: FittedLaw
    doubling: dict[str, float]
    """By axis: the share by which the best loss changes where it doubles and the others stay."""


def measure_scaling(project: Project, options: ScalingOptions) -> Scaling:
    """Train every model of the grid (what was trained before is used as it is) and fit the law of its frontier.

    Raises:
        ConfigError: the recipe is of no next-item HSTU, or holds out no validation items.
        TrainingError: a run failed or was interrupted; the same command goes on.
    """
    sequences = ItemSequences.open(item_sequences(project))
    cells = options.cells()
    models = []
    for number, cell in enumerate(cells):
        console.print(f"[bold]{cell.name}[/], {number + 1} of {len(cells)}")
        name = f"scaling-{Path(options.recipe).stem}-{cell.name}-{options.seed}"
        overrides = cell.overrides(options)
        trained = train_model(project, options.recipe, name=name, overrides=overrides, register=False)
        models.append(_measured(cell, trained, sequences))
    return Scaling(
        workspace=project.workspace.name,
        simulated=project.workspace.simulated,
        recipe=Path(options.recipe).stem,
        seed=options.seed,
        cases=len(sequences.users),
        models=models,
        fit=fit_frontier([one.curve for one in models], bootstrap=options.bootstrap, seed=options.seed),
        doubling=_doubling(models),
    )


def epoch_flops(sequences: ItemSequences, recipe: Recipe) -> float:
    """Operations of one epoch of a next-item HSTU: encoder, and the scores that the loss takes.

    Raises:
        ConfigError: the recipe is of another model.
    """
    model, training = recipe.model, recipe.training
    if not isinstance(model, NextItemConfig) or model.encoder != "hstu" or training.next_item.protocol != "validation":
        raise ConfigError("the scaling law is of next-item HSTUs with validation items, such as hstu-next")
    lengths_U = sequences.training_lengths(training.next_item.protocol)[users_learnt_from(sequences, training)] - 1
    sampled = training.next_item.loss == "sampled"
    scores = training.next_item.negatives + 1 if sampled else len(sequences.items)
    return training_flops(model, np.minimum(lengths_U, model.max_events), scores)


def _measured(cell: Cell, trained: TrainedModel, sequences: ItemSequences) -> Trained:
    return Trained(
        cell=cell,
        epoch_flops=epoch_flops(sequences, trained.recipe),
        parameters=sum(weight.numel() for weight in trained.model.parameters()),
        seconds=trained.seconds,
        points=tuple(trained.result.curve),
    )


def _doubling(models: Sequence[Trained]) -> dict[str, float]:
    """Of the axes that have more than one size."""
    sizes_MF = np.array([[one.cell.width, one.cell.depth, one.cell.length, one.cell.share] for one in models])
    varied = [place for place in range(len(AXES)) if len(set(sizes_MF[:, place])) > 1]
    loss_M = np.array([one.best.logloss for one in models])
    changes = effects(sizes_MF[:, varied], loss_M)
    return {AXES[place]: float(change) for place, change in zip(varied, changes, strict=True)}


def write_scaling(scaling: Scaling, command: str, *, name: str = "hstu_scaling", folder: Path = RESULTS_FOLDER) -> Path:
    """Keep the law, the effect of each axis, and loss and compute of every model as a result."""
    fit = scaling.fit
    computes = [compute for compute, _ in fit.frontier]
    metrics = {
        "exponent": Metric(fit.law.exponent, *(fit.exponent_interval or (None, None))),
        "r2": Metric(fit.law.r2, *(fit.r2_interval or (None, None))),
        "scale": Metric(fit.law.scale, unit="nats at 1 GFLOP"),
        "frontier_points": Metric(len(fit.frontier)),
        "least_gflop": Metric(min(computes), unit="GFLOP"),
        "most_gflop": Metric(max(computes), unit="GFLOP"),
    }
    metrics |= {f"doubling.{axis}": Metric(change, unit="of the loss") for axis, change in scaling.doubling.items()}
    for one in scaling.models:
        metrics[f"{one.cell.name}.logloss"] = Metric(one.best.logloss, unit="nats")
        metrics[f"{one.cell.name}.hr10"] = Metric(one.best.metrics["hr@10"])
        metrics[f"{one.cell.name}.gflop"] = Metric(one.curve[-1][0], unit="GFLOP")
        metrics[f"{one.cell.name}.seconds"] = Metric(one.seconds, unit="s")
    made_up = " (simulated)" if scaling.simulated else ""
    return write_result(
        name,
        command=command,
        data=f"{scaling.workspace}{made_up}: validation items of {scaling.cases:,} users",
        seeds=[scaling.seed],
        metrics=metrics,
        notes=(
            "loss = scale * GFLOP ** -exponent through the frontier: the epochs of all models of the grid that no "
            "epoch of as little compute comes up to. Loss: softmax over the whole catalogue, validation items, by "
            "epoch. Compute: operations of training that encoder and scores cannot do without "
            "(plait.models.arithmetic); validation does not count. low and high of exponent and r2: 95 % over "
            "resampled models. doubling.X: the share by which the best loss changes where X doubles and the rest stays "
            "(log-linear over the grid). A model's name is width, blocks, length, share of users; its loss is that of "
            "its best epoch, its gflop those of all."
        ),
        folder=folder,
    )
