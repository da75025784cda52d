"""How wide should the feature be? A ranker with the user embedding at several widths, and without, on the same rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from plait.evaluation import Difference, Estimate, Evaluation, compare_over_seeds, over_seeds
from plait.pipelines.embed import embedding_encoder
from plait.pipelines.embedding_groups import USER_EMBEDDING
from plait.pipelines.feature_groups import dataset_with
from plait.pipelines.measure import measure
from plait.pipelines.project import Project
from plait.pipelines.results import RESULTS_FOLDER, Metric, write_result
from plait.pipelines.train import train_model
from plait.schema import Split
from plait.telemetry import console
from plait.training import predict

WIDTHS = (8, 16, 32, 64, 128, 256)


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One width, over all seeds."""

    width: int
    """0: without the feature."""
    auc: Estimate
    gain: Difference | None
    """Paired, against without."""
    rows: int


@dataclass(frozen=True, slots=True)
class Sweep:
    """All widths; the first point is without the feature."""

    workspace: str
    simulated: bool
    encoder: str
    recipe: str
    reduction: str
    every_days: float
    """Between two snapshots of users."""
    seeds: tuple[int, ...]
    points: tuple[SweepPoint, ...]

    @property
    def best(self) -> SweepPoint:
        """The width with the highest AUC, none included."""
        return max(self.points, key=lambda point: point.auc.value)


def sweep_widths(
    project: Project,
    *,
    recipe: str = "dnn",
    widths: Sequence[int] = WIDTHS,
    seeds: Sequence[int] = (7, 8, 9),
    bootstrap: int = 200,
) -> Sweep:
    """Train and measure the recipe on the test window, without the feature and at every width.

    Args:
        project: the workspace; `plait embed` has been run.
        recipe: the ranker.
        widths: of the feature.
        seeds: one model per width and seed.
        bootstrap: resamples of users for the intervals.

    Raises:
        ArtifactError: there are no vectors yet.
    """
    encoder = embedding_encoder(project)
    without = _measured(project, recipe, 0, seeds, bootstrap)
    points = [SweepPoint(0, over_seeds(without)["auc"], None, without[0].rows)]
    for width in widths:
        evaluations = _measured(project, recipe, width, seeds, bootstrap)
        gain = compare_over_seeds(without, evaluations).overall["auc"]
        points.append(SweepPoint(width, over_seeds(evaluations)["auc"], gain, evaluations[0].rows))
    workspace = project.workspace
    return Sweep(
        workspace=workspace.name,
        simulated=workspace.simulated,
        encoder=encoder,
        recipe=recipe,
        reduction=workspace.embedding.reduction,
        every_days=workspace.embedding.every / 86_400_000,
        seeds=tuple(seeds),
        points=tuple(points),
    )


def _measured(project: Project, recipe: str, width: int, seeds: Sequence[int], bootstrap: int) -> list[Evaluation]:
    """The recipe at one width, an evaluation per seed; a model that is trained already is used as it is."""
    use = [USER_EMBEDDING] if width else []
    if width:
        embedding = project.workspace.embedding.model_copy(update={"width": width})
        project = replace(project, workspace=project.workspace.model_copy(update={"embedding": embedding}))
    dataset, evaluations = dataset_with(project, use), []
    for seed in seeds:
        console.print(f"[bold]{recipe}[/] with a user embedding of {width} (seed {seed})")
        trained = train_model(
            project,
            recipe,
            name=f"embed-sweep-{Path(recipe).stem}-{width}-{seed}",
            overrides={"training": {"seed": seed}, "features": {"use": use}},
            register=False,
        )
        found = predict(dataset, trained.model, Split.TEST)
        evaluations.append(measure(dataset, found.rows, found.probabilities_BT, bootstrap=bootstrap))
    return evaluations


def write_sweep(sweep: Sweep, name: str, command: str, *, folder: Path = RESULTS_FOLDER) -> Path:
    """Keep the sweep as a result: `auc_without`, `auc_d<width>` and the paired `gain_d<width>`."""
    metrics: dict[str, Metric] = {}
    for point in sweep.points:
        key = f"d{point.width}" if point.width else "without"
        metrics[f"auc_{key}"] = Metric(point.auc.value, point.auc.low, point.auc.high)
        if point.gain is not None:
            metrics[f"gain_{key}"] = Metric(point.gain.difference, point.gain.low, point.gain.high, "AUC")
    made_up = " (simulated)" if sweep.simulated else ""
    notes = (
        f"Recipe {sweep.recipe} with the user embedding of the encoder {sweep.encoder} in d dimensions "
        f"({sweep.reduction}), a snapshot every {sweep.every_days:g} days, and without. gain: paired difference "
        f"to without. Intervals: 95 %, over resampled users and seeds. "
        f"Highest: {f'd = {sweep.best.width}' if sweep.best.width else 'without'}."
    )
    return write_result(
        name,
        command=command,
        data=f"{sweep.workspace}{made_up}: {sweep.points[0].rows:,} test exposures",
        seeds=sweep.seeds,
        metrics=metrics,
        notes=notes,
        folder=folder,
    )
