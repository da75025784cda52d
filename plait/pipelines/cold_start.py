"""What item embeddings do for items that training hardly knows: AUC by how often training showed the item."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plait.evaluation import Evaluation, compare_over_seeds, over_seeds
from plait.features.dataset import EncodedDataset
from plait.pipelines.embed import embedding_encoder, item_texts_by_row
from plait.pipelines.embedding_groups import ITEM_EMBEDDING
from plait.pipelines.feature_groups import dataset_with
from plait.pipelines.measure import measure
from plait.pipelines.project import Project
from plait.pipelines.results import RESULTS_FOLDER, Metric, write_result
from plait.pipelines.train import train_model
from plait.retrieval.protocol import RetrievalQuery, recency_weights
from plait.retrieval.vector_index import TextNeighbours, unit_vectors
from plait.schema import Split
from plait.telemetry import console
from plait.training import predict

BUCKETS = {"0": (0, 0), "1_5": (1, 5), "6_20": (6, 20)}
"""Training exposures of an item, first and last of each bucket."""
_NEAREST = 100
_RECENT = 20


@dataclass(frozen=True, slots=True)
class ColdStart:
    """The measured table."""

    workspace: str
    simulated: bool
    encoder: str
    recipe: str
    seeds: tuple[int, ...]
    metrics: Mapping[str, Metric]


def measure_cold_start(
    project: Project, *, recipe: str = "dnn", seeds: Sequence[int] = (7, 8, 9), bootstrap: int = 200
) -> ColdStart:
    """Train the recipe with and without item embeddings and measure both on the test exposures of rare items.

    Raises:
        ArtifactError: `plait embed` was not run, or something has changed since.
    """
    encoder = embedding_encoder(project)
    without = _by_bucket(project, recipe, (), seeds, bootstrap)
    with_text = _by_bucket(project, recipe, (ITEM_EMBEDDING,), seeds, bootstrap)
    dataset = dataset_with(project, ())
    metrics: dict[str, Metric] = {}
    for bucket, plain in without.items():
        for kind, evaluations in (("without", plain), ("with", with_text[bucket])):
            auc = over_seeds(evaluations)["auc"]
            metrics[f"auc_{bucket}.{kind}"] = Metric(auc.value, auc.low, auc.high)
        gain = compare_over_seeds(plain, with_text[bucket]).overall["auc"]
        metrics[f"auc_{bucket}.gain"] = Metric(gain.difference, gain.low, gain.high, "AUC")
        metrics[f"rows_{bucket}"] = Metric(plain[0].rows, unit="test exposures")
    metrics |= _recall(project, dataset)
    workspace = project.workspace
    return ColdStart(workspace.name, workspace.simulated, encoder, recipe, tuple(seeds), metrics)


def write_cold_start(found: ColdStart, name: str, command: str, *, folder: Path = RESULTS_FOLDER) -> Path:
    """Keep the table as a result."""
    notes = (
        f"Recipe {found.recipe} with and without item embeddings of the encoder {found.encoder}; test exposures by how "
        "often training showed their item. gain: paired difference. Intervals: 95 %, over resampled users and seeds. "
        f"recall_<bucket>: share of each bucket's items that users wanted in the test window which stand among the "
        f"{_NEAREST} with texts nearest to the user's {_RECENT} recent ones; chance_<bucket>: of {_NEAREST} at random."
    )
    made_up = " (simulated)" if found.simulated else ""
    return write_result(
        name,
        command=command,
        data=f"{found.workspace}{made_up}",
        seeds=found.seeds,
        metrics=found.metrics,
        notes=notes,
        folder=folder,
    )


def _by_bucket(
    project: Project, recipe: str, use: Sequence[str], seeds: Sequence[int], bootstrap: int
) -> dict[str, list[Evaluation]]:
    """By bucket, an evaluation per seed."""
    dataset = dataset_with(project, use)
    found: dict[str, list[Evaluation]] = {bucket: [] for bucket in BUCKETS}
    for seed in seeds:
        console.print(f"[bold]{recipe}[/] {'with item embeddings' if use else 'without'} (seed {seed})")
        trained = train_model(
            project,
            recipe,
            name=f"cold-start-{Path(recipe).stem}-{len(use)}-{seed}",
            overrides={"training": {"seed": seed}, "features": {"use": list(use)}},
            register=False,
        )
        predictions = predict(dataset, trained.model, Split.TEST)
        counts_B = _training_counts(dataset)[dataset.item_rows(predictions.rows)]
        for bucket, (first, last) in BUCKETS.items():
            kept_B = (counts_B >= first) & (counts_B <= last)
            rows_B, probabilities_BT = predictions.rows[kept_B], predictions.probabilities_BT[kept_B]
            found[bucket].append(measure(dataset, rows_B, probabilities_BT, bootstrap=bootstrap))
    return found


def _training_counts(dataset: EncodedDataset) -> NDArray[np.int64]:
    """Training exposures by item row."""
    return np.bincount(dataset.item_rows(dataset.rows(Split.TRAIN)), minlength=len(dataset.tables.items))


def _recall(project: Project, dataset: EncodedDataset) -> dict[str, Metric]:
    """How many of the rare items that users turned out to want have texts near those of their recent items."""
    known = item_texts_by_row(project, dataset.tables.items.ids)
    if known is None:
        return {}
    source = TextNeighbours(unit_vectors(known[1]))
    candidates = int(known[1].any(axis=1).sum())
    row_of_code = np.zeros(len(dataset.item_fields_VI), np.int64)
    code_R = dataset.tables.items.codes_RF[:, 0]
    row_of_code[code_R[code_R > 0]] = np.flatnonzero(code_R > 0)
    test = dataset.rows(Split.TEST)
    worth_T = np.array([objective.value > 0 for objective in project.workspace.objectives])
    wanted = test[(dataset.labels(test) * dataset.mask(test))[:, worth_T].any(axis=1)]
    counts_B = _training_counts(dataset)[dataset.item_rows(wanted)]
    metrics = {}
    for bucket, (first, last) in BUCKETS.items():
        rows_B = wanted[(counts_B >= first) & (counts_B <= last)]
        hits = [_found(source, dataset, int(row), row_of_code) for row in rows_B]
        if hits:
            metrics[f"recall_{bucket}"] = Metric(float(np.mean(hits)), unit=f"recall@{_NEAREST}")
            metrics[f"chance_{bucket}"] = Metric(_NEAREST / candidates, unit=f"recall@{_NEAREST}")
    return metrics


def _found(source: TextNeighbours, dataset: EncodedDataset, row: int, row_of_code: NDArray[np.int64]) -> bool:
    rows_1 = np.array([row])
    history = dataset.history(int(dataset.user_rows(rows_1)[0]), int(dataset.before(rows_1)[0]))
    latest = dict.fromkeys(row_of_code[history.item_N[::-1]].tolist())
    recent_R = np.array([item for item in latest if item][:_RECENT], np.int64)
    near = source.retrieve(RetrievalQuery(0, recent_R, recency_weights(len(recent_R))), _NEAREST)
    return int(dataset.item_rows(rows_1)[0]) in near.items_K
