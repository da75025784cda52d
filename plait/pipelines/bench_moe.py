"""The grid of mixtures on a workspace: every variant with every seed, and the best of them against a model per task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plait.config import merge
from plait.errors import ConfigError
from plait.evaluation import Comparison, Evaluation, compare_over_seeds, over_seeds
from plait.pipelines.moe_cells import SINGLE, USUAL, Cell, CellPlan, Cells, swept, variant_named
from plait.pipelines.project import Project
from plait.pipelines.results import RESULTS_FOLDER, Metric, write_result
from plait.telemetry import console

BASE = "shared_bottom"
"""What gains are held against."""
SMALL = 2_500
"""Objectives with fewer positives to train on are shown apart."""


@dataclass(frozen=True, slots=True)
class MoeOptions:
    """What `plait bench moe` can be asked for."""

    variants: Sequence[str] = USUAL
    experts: Sequence[int] = ()
    """Numbers of experts that the dense, the softmax and the sparse mixture are also made of."""
    seeds: Sequence[int] = (1, 2, 3)
    users_share: float = 1.0
    """Share of the training exposures, of whole users."""
    test_exposures: int = 100_000
    bootstrap: int = 200
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Laid over every recipe."""
    single: bool = True
    """Also a model per objective that learns nothing else: the see-saw."""
    name: str = "moe_grid_bench_world"
    seesaw_name: str = "moe_seesaw"
    settings: Sequence[str] = ()
    """`overrides` as they were typed."""


@dataclass(frozen=True, slots=True)
class SeeSaw:
    """The best variant against a model per objective."""

    variant: str
    """Chosen by its mean AUC on the validation window."""
    comparison: Comparison
    """Variant minus model per objective, cells included."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Every cell, by variant, in the order of the seeds."""

    cells: Mapping[str, Sequence[Cell]]
    small: Sequence[str]
    """Objectives with few positives."""
    seesaw: SeeSaw | None


def run_grid(project: Project, options: MoeOptions) -> Grid:
    """Train and measure every variant with every seed; what is done already is read.

    Seeds come first: a grid that is stopped has whole seeds behind it.

    Raises:
        ConfigError: there is no such variant.
    """
    training = {"users_share": options.users_share, "tensorboard": False}
    plan = CellPlan(merge(dict(options.overrides), {"training": training}), options.test_exposures, options.bootstrap)
    cells = Cells(project, plan)
    names = dict.fromkeys([*options.variants, *swept(options.experts)])
    for name in names:
        variant_named(name, cells.dataset.spec.objectives)
    found: dict[str, list[Cell]] = {name: [] for name in names}
    alone: list[list[Cell]] = []
    for seed in options.seeds:
        for name in names:
            found[name].append(cells.of(name, seed))
            auc = found[name][-1].evaluation.overall.auc.value
            console.print(f"seed {seed}  {name:<18} auc {auc:.4f}  {found[name][-1].seconds:.0f} s")
        if options.single:
            alone.append(cells.of_each_alone(seed))
    positive_T = cells.positives()
    objectives = cells.dataset.spec.objectives
    small = [name for name, positives in zip(objectives, positive_T, strict=True) if positives < SMALL]
    return Grid(found, small, _seesaw(cells, found, alone) if alone else None)


def grid_metrics(grid: Grid) -> dict[str, Metric]:
    """`<variant>.auc_mean`, `.auc_small`, `.ne_mean`, `.gain` over the shared bottom, `.gain_small`, `.flops`, ..."""
    metrics: dict[str, Metric] = {}
    base = [cell.evaluation for cell in grid.cells.get(BASE, ())]
    for name, cells in grid.cells.items():
        evaluations = [cell.evaluation for cell in cells]
        estimates = over_seeds(evaluations)
        for key, metric in (("auc_mean", "auc"), ("gauc_mean", "gauc"), ("ne_mean", "normalised_entropy")):
            one = estimates[metric]  # type: ignore[index]
            metrics[f"{name}.{key}"] = Metric(one.value, one.low, one.high)
        if grid.small:
            metrics[f"{name}.auc_small"] = _spread([_mean_auc(one, grid.small) for one in evaluations])
        if base and name != BASE:
            gain = compare_over_seeds(base, evaluations).overall["auc"]
            metrics[f"{name}.gain"] = Metric(gain.difference, gain.low, gain.high, "AUC")
        metrics[f"{name}.flops"] = Metric(cells[0].flops, unit="operations per exposure")
        metrics[f"{name}.train_s"] = Metric(float(np.mean([cell.seconds for cell in cells])), unit="s")
        metrics |= _seen_in_training(name, cells)
    return metrics


def seesaw_metrics(seesaw: SeeSaw) -> dict[str, Metric]:
    """`worst_delta` and `mean_delta` of AUC, each objective's, and how many cells gain and lose for certain."""
    comparison = seesaw.comparison
    every = {name: row["auc"] for name, row in comparison.by_objective.items()}
    by_objective = {name: one for name, one in every.items() if not np.isnan(one.difference)}
    worst = min(by_objective.values(), key=lambda one: one.difference)
    mean = comparison.overall["auc"]
    metrics = {
        "worst_delta": Metric(worst.difference, worst.low, worst.high, "AUC"),
        "mean_delta": Metric(mean.difference, mean.low, mean.high, "AUC"),
    }
    for name, one in by_objective.items():
        metrics[f"{name}.delta"] = Metric(one.difference, one.low, one.high, "AUC")
        metrics[f"{name}.single_auc"] = Metric(one.a)
    cells = [row["auc"] for scenario in comparison.cells.values() for row in scenario.values()]
    known = [one for one in cells if one.low is not None]
    metrics["cells"] = Metric(len(known), unit="scenario x objective with an interval")
    metrics["cells_better"] = Metric(sum(one.excludes_zero and one.difference > 0 for one in known), unit="cells")
    metrics["cells_worse"] = Metric(sum(one.excludes_zero and one.difference < 0 for one in known), unit="cells")
    return metrics


def write_grid(project: Project, grid: Grid, options: MoeOptions, *, folder: Path = RESULTS_FOLDER) -> list[Path]:
    """Keep the grid, and the see-saw where there is one, as results."""
    simulated = " (simulated)" if project.workspace.simulated else ""
    test = next(iter(grid.cells.values()))[0].evaluation
    data = (
        f"{project.workspace.name}{simulated}: models trained on {options.users_share:.0%} of the training exposures, "
        f"of users drawn by the seed, and measured on {test.rows:,} test exposures of {test.users:,} users"
    )
    notes = _NOTES.format(base=BASE, limit=SMALL, small=", ".join(grid.small) or "none")
    results = [(options.name, grid_metrics(grid), notes)]
    if grid.seesaw is not None:
        notes = _SEESAW_NOTES.format(variant=grid.seesaw.variant)
        results.append((options.seesaw_name, seesaw_metrics(grid.seesaw), notes))
    command = _command(project, options)
    return [
        write_result(name, command=command, data=data, seeds=options.seeds, metrics=metrics, notes=notes, folder=folder)
        for name, metrics, notes in results
    ]


def _seesaw(cells: Cells, found: Mapping[str, Sequence[Cell]], alone: Sequence[Sequence[Cell]]) -> SeeSaw:
    together = {name: row for name, row in found.items() if not name.startswith(SINGLE)}
    if not together:
        raise ConfigError("the see-saw needs a variant that learns all objectives; name one with --variants")
    best = max(together, key=lambda name: np.mean([cell.valid["auc"] for cell in together[name]]))
    ours = [cells.evaluate(np.load(cell.probabilities)) for cell in together[best]]
    theirs = [cells.evaluate(_columns(row)) for row in alone]
    return SeeSaw(best, compare_over_seeds(theirs, ours))


def _columns(row: Sequence[Cell]) -> NDArray[np.float32]:
    """Each objective's column from the model that learned it."""
    return np.stack([np.load(cell.probabilities)[:, t] for t, cell in enumerate(row)], axis=1)


def _mean_auc(evaluation: Evaluation, objectives: Sequence[str]) -> float:
    return float(np.nanmean([evaluation.by_objective[name].auc.value for name in objectives]))


def _spread(values: Sequence[float]) -> Metric:
    if len(values) == 1:
        return Metric(values[0])
    return Metric(float(np.mean(values)), min(values), max(values))


def _seen_in_training(name: str, cells: Sequence[Cell]) -> dict[str, Metric]:
    """What the log said of experts and gradients, the mean over seeds."""
    keys = ("dead_experts", "polarised_gates", "largest_share", "zero_outputs", "conflicting_pairs", "least_cosine")
    return {
        f"{name}.{key}": Metric(float(np.mean([cell.valid[key] for cell in cells])))
        for key in keys
        if all(key in cell.valid for cell in cells)
    }


def _command(project: Project, options: MoeOptions) -> str:
    parts = ["plait bench moe -w", project.root.name, f"--users-share {options.users_share:g}"]
    parts += [f"--test-exposures {options.test_exposures}"]
    parts += [f"--variants {name}" for name in options.variants if tuple(options.variants) != USUAL]
    parts += [f"--experts {count}" for count in options.experts]
    parts += [f"--seeds {seed}" for seed in options.seeds]
    parts += [f"--set '{setting}'" for setting in options.settings]
    parts += [] if options.single else ["--no-single"]
    parts += [f"--name {options.name}"]
    return " ".join([*parts, f"--seesaw-name {options.seesaw_name}"] if options.single else parts)


_NOTES = (
    "auc_mean: mean over objectives, each pooled over scenarios. gain: paired difference of it to {base}. Intervals: "
    "95 %, over resampled users and seeds; of auc_small, its spread over seeds. auc_small: the objectives with fewer "
    "than {limit:,} positives to train on: {small}. flops: of the head (cross network, gates, experts, towers), matrix "
    "products of one exposure; sparse routing computes all experts. All but dnn are narrowed to cost at most what it "
    "costs. dense_8: eight experts without routing; softmax_8, topk_8: one gate for all objectives. dead_experts and "
    "what follows: the validation window, of the weights that were kept."
)
_SEESAW_NOTES = (
    "{variant}, the variant with the best mean AUC on the validation window, against a dnn for each objective that "
    "learns nothing else (same inputs, same number of epochs at most, early stopping by its own objective). delta: "
    "paired difference of AUC, positive where one model for all is better; worst_delta: of the objective that loses "
    "most. Intervals: 95 %, over resampled users and seeds."
)
