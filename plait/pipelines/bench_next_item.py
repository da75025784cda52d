"""The table of next-item models: recipes by seeds on one log, each trained (or found trained) and measured."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait.data.item_sequences import Cases, ItemSequences
from plait.errors import DataError
from plait.evaluation import RankingEvaluation, evaluate_ranking
from plait.models.next_item import NextItemModel
from plait.pipelines.evaluate import NEXT_ITEM_CUTS
from plait.pipelines.item_sequences import item_sequences
from plait.pipelines.project import Project
from plait.pipelines.results import RESULTS_FOLDER, Metric, write_result
from plait.pipelines.train import TrainedModel, train_model, trained_so_far
from plait.schema import Split
from plait.telemetry import console
from plait.training import TrainingResult, steps_per_epoch, target_ranks

SHOWN = ("hr@10", "ndcg@10", "hr@50", "hr@200", "ndcg@200", "mrr")
_BOOTSTRAP = 500
_ROWS = {
    "sasrec-next": "sasrec",
    "hstu-next": "hstu_no_time",
    "hstu-next-time": "hstu",
    "hstu-large-next-time-windows": "hstu_large",
}
"""What recipes are called in results; others by their own name."""
_BEST = "best"
"""The row of whichever recipe the validation items put first."""


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What the table is of."""

    recipes: Sequence[str]
    seeds: Sequence[int]
    exact_times: Path | None = None
    """Parquet file with one column of flags, a row per line of the imported log: whether its time is the log's own."""
    train: bool = True
    """False: measure what has been trained so far; a run that has not ended counts with its best weights."""
    name: str = "next_item"
    write: bool = True
    folder: Path = RESULTS_FOLDER


@dataclass(frozen=True, slots=True)
class Measured:
    """One recipe and seed, trained and measured."""

    recipe: str
    seed: int
    trained: TrainedModel
    test: RankingEvaluation
    valid: RankingEvaluation | None
    """None under the published protocol, which has no validation item."""
    best_epoch: float
    """After how many epochs the kept weights stood."""
    exact: RankingEvaluation | None
    """The test items of users whose last two times are the log's own; None without such knowledge."""


def measure_next_item(project: Project, options: TableOptions) -> tuple[dict[str, Metric], Path | None]:
    """Train and measure every recipe with every seed; the metrics, and the file they were written to.

    Raises:
        ConfigError: a recipe is unknown or wrong.
        TrainingError: a run failed or was interrupted; the same command goes on.
        DataError: the flags do not fit the log.
    """
    sequences = ItemSequences.open(item_sequences(project))
    exact_U = exact_users(sequences, options.exact_times) if options.exact_times is not None else None
    measured = list(_measure_all(project, sequences, options, exact_U))
    by_recipe = {
        recipe: runs for recipe in options.recipes if (runs := [one for one in measured if one.recipe == recipe])
    }
    metrics = {
        name: metric for recipe, runs in by_recipe.items() for name, metric in _row(row_name(recipe), runs).items()
    }
    best = best_recipe(by_recipe)
    if best is not None:
        metrics |= _row(_BEST, by_recipe[best])
    if not options.write or not metrics:
        return metrics, None
    path = write_result(
        options.name,
        command=_command(project, options),
        data=f"{project.workspace.name}: {len(sequences.users):,} users, {len(sequences.items):,} items, "
        f"{len(sequences.item_N):,} events" + (" (simulated)" if project.workspace.simulated else ""),
        seeds=sorted({one.seed for one in measured}),
        metrics=metrics,
        notes=_notes(by_recipe, sequences, exact_U, best),
        folder=options.folder,
    )
    return metrics, path


def run_name(recipe: str, seed: int) -> str:
    """What a run of the table is called, in the registry and among the runs."""
    return f"bench-{Path(recipe).stem}-{seed}"


def row_name(recipe: str) -> str:
    """What a recipe's row of the result is called."""
    name = Path(recipe).stem
    return _ROWS.get(name, name.replace("-", "_"))


def best_recipe(by_recipe: Mapping[str, Sequence[Measured]]) -> str | None:
    """The recipe with the largest mean NDCG@10 of validation items, in which no test item has a say; None without."""
    judged = {
        recipe: float(np.mean([one.valid.metrics["ndcg@10"].value for one in runs if one.valid is not None]))
        for recipe, runs in by_recipe.items()
        if all(one.valid is not None for one in runs)
    }
    return max(judged, key=lambda recipe: judged[recipe], default=None)


def exact_users(sequences: ItemSequences, path: Path) -> NDArray[np.bool_]:
    """Which users' last two events carry the log's own times, `[U]`.

    Raises:
        DataError: the events do not know their line in the log, or there are fewer flags than lines.
    """
    flags = pl.read_parquet(path).to_series().to_numpy()
    lines_N = sequences.log_id_N
    if lines_N.min() < 1 or lines_N.max() > len(flags):
        raise DataError(
            f"{path}: holds {len(flags)} flags, expected one for each line of the log; the events name lines "
            f"{lines_N.min()} to {lines_N.max()}"
        )
    exact_N = flags[lines_N - 1].astype(bool)
    last_U, long_U = sequences.offsets_U1[1:] - 1, np.diff(sequences.offsets_U1) > 1
    return np.asarray(long_U & exact_N[last_U] & exact_N[np.maximum(last_U - 1, 0)])


def _measure_all(
    project: Project, sequences: ItemSequences, options: TableOptions, exact_U: NDArray[np.bool_] | None
) -> Iterator[Measured]:
    for recipe in options.recipes:
        for seed in options.seeds:
            name, overrides = run_name(recipe, seed), {"training": {"seed": seed}}
            console.print(f"[bold]{recipe}[/] (seed {seed})")
            trained = (
                train_model(project, recipe, name=name, overrides=overrides)
                if options.train
                else trained_so_far(project, recipe, name, overrides)
            )
            if trained is not None:
                yield _measure(recipe, seed, trained, sequences, exact_U)


def _measure(
    recipe: str, seed: int, trained: TrainedModel, sequences: ItemSequences, exact_U: NDArray[np.bool_] | None
) -> Measured:
    model, protocol = trained.model, trained.recipe.training.next_item.protocol
    if not isinstance(model, NextItemModel):
        raise DataError(f"recipe '{recipe}' trains a ranker, expected a next-item model such as hstu-next")

    def evaluated(cases: Cases) -> tuple[NDArray[np.float64], RankingEvaluation]:
        ranks_U = target_ranks(sequences, model, cases)
        return ranks_U, evaluate_ranking(ranks_U, cases.user_U, NEXT_ITEM_CUTS, bootstrap=_BOOTSTRAP)

    cases, valid_cases = (sequences.cases(protocol, split) for split in (Split.TEST, Split.VALID))
    ranks_U, test = evaluated(cases)
    valid = evaluated(valid_cases)[1] if len(valid_cases) else None
    exact = None
    if exact_U is not None and (kept_U := exact_U[cases.user_U]).any():
        exact = evaluate_ranking(ranks_U[kept_U], cases.user_U[kept_U], NEXT_ITEM_CUTS, bootstrap=_BOOTSTRAP)
    best_epoch = trained.result.best_step / steps_per_epoch(sequences, trained.recipe.training)
    return Measured(recipe, seed, trained, test, valid, best_epoch, exact)


def _row(name: str, runs: Sequence[Measured]) -> dict[str, Metric]:
    """The metrics of one recipe: means over seeds; low and high are the spread over seeds, of one seed over users."""
    row = {f"{name}.{_key(metric)}": _over_seeds([one.test for one in runs], metric) for metric in SHOWN}
    valid = [one.valid for one in runs if one.valid is not None]
    exact = [one.exact for one in runs if one.exact is not None]
    for part, evaluations in (("validation", valid), ("exact_clock", exact)):
        if evaluations:
            row |= {f"{name}.{part}.{_key(metric)}": _over_seeds(evaluations, metric) for metric in SHOWN[:2]}
    row[f"{name}.seeds"] = Metric(len(runs))
    row[f"{name}.epochs"] = _spread([one.best_epoch for one in runs])
    row[f"{name}.step_s"] = _spread([_step_seconds(one.trained.result) for one in runs], "s")
    return row


def _key(metric: str) -> str:
    return metric.replace("@", "")


def _over_seeds(evaluations: Sequence[RankingEvaluation], name: str) -> Metric:
    found = [one.metrics[name] for one in evaluations]
    if len(found) == 1:
        return Metric(found[0].value, found[0].low, found[0].high)
    return _spread([one.value for one in found])


def _spread(values: Sequence[float], unit: str = "") -> Metric:
    if len(values) == 1:
        return Metric(values[0], unit=unit)
    mean = float(np.mean(values))
    return Metric(mean, min([*values, mean]), max([*values, mean]), unit)


def _step_seconds(result: TrainingResult) -> float:
    last = result.curve[-1]
    return last.examples / last.step / result.examples_per_s


def _command(project: Project, options: TableOptions) -> str:
    exact = f" --exact-times {options.exact_times.name}" if options.exact_times is not None else ""
    seeds = " ".join(f"--seeds {seed}" for seed in options.seeds)
    recipes = " ".join(f"--recipes {recipe}" for recipe in options.recipes)
    return f"plait bench next-item -w {project.root.name} {recipes} {seeds}{exact} --name {options.name}"


def _notes(
    by_recipe: Mapping[str, Sequence[Measured]],
    sequences: ItemSequences,
    exact_U: NDArray[np.bool_] | None,
    best: str | None,
) -> str:
    notes = [
        "One held-out item per user, ranked in the whole catalogue, items seen before removed, ties against the model. "
        "Test items, unless the name says otherwise; epoch chosen by the validation item (recipes under the published "
        "protocol have none: last epoch). low and high: spread over seeds; with one seed, 95 % over resampled users. "
        "epochs: after which the kept weights stood. step_s: of batch_size users, by the wall clock, whatever else the "
        "machine did at the time."
    ]
    if best is not None:
        notes.append(f"best: {best}, the largest NDCG@10 of the validation items among these recipes.")
    if exact_U is not None:
        notes.append(
            f"exact_clock: the {int(exact_U.sum()):,} of {len(sequences.users):,} users whose last two times "
            "are the log's own, as the flags say; of the others' two at least one was filled in."
        )
    unfinished = [
        f"{recipe} seed {one.seed} ({one.trained.result.epochs} of at most {one.trained.recipe.training.epochs} epochs)"
        for recipe, runs in by_recipe.items()
        for one in runs
        if not one.trained.finished
    ]
    if unfinished:
        notes.append(f"PARTIAL, stopped before early stopping or the last epoch: {', '.join(unfinished)}.")
    counts = ", ".join(
        f"{row_name(recipe)} is {recipe} ({' '.join(str(one.seed) for one in runs)})"
        for recipe, runs in by_recipe.items()
    )
    return " ".join([*notes, f"Rows, with their seeds: {counts}."])
