"""Feature groups from text vectors: `user_embedding` (dated, of behaviour), `item_embedding` (of what items are)."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plait.config import EmbeddingSettings
from plait.embedding.reduction import Projection, fit_projection
from plait.embedding.supervised import Outcomes, fit_supervised
from plait.features.dataset import EncodedDataset
from plait.features.groups import EntityColumns, FeatureGroup
from plait.features.spec import Number
from plait.features.vectors import DatedVectors
from plait.pipelines.embed import UserVectors, item_vectors, user_vectors
from plait.pipelines.project import Project
from plait.schema import Split

USER_EMBEDDING, ITEM_EMBEDDING = "user_embedding", "item_embedding"
PROJECTION_FILE = "projection.safetensors"
_SUPERVISED_FROM = 256
"""Principal components that a supervised projection reads."""
_LIMIT = 8.0


def user_embedding_group(project: Project, encoded: Path) -> Path:
    """Users' snapshots in `[embedding] width` dimensions, for the encoded samples in a folder.

    Raises:
        ArtifactError: `plait embed` was not run, or something has changed since.
    """
    folder, vectors = user_vectors(project)
    settings = project.workspace.embedding
    inputs = _inputs(project, folder, encoded) | {"reduction": settings.reduction}

    def make(out: Path) -> None:
        dataset = EncodedDataset.open(encoded)
        projection = _user_projection(dataset, vectors, settings, project.workspace.seed)
        dated = _dated(dataset, vectors, projection(vectors.vectors_MD))
        FeatureGroup.of_vectors(USER_EMBEDDING, "user", dated).save(out)
        projection.save(out / PROJECTION_FILE)

    return project.store.build(f"features-{USER_EMBEDDING}", inputs, make)


def item_embedding_group(project: Project, encoded: Path) -> Path:
    """Items' vectors in `[embedding] width` principal components, those of items that training shows.

    An item that training never showed has a vector all the same: its text is known when it is listed.

    Raises:
        ArtifactError: as `user_embedding_group`.
    """
    folder, vectors = item_vectors(project)

    def make(out: Path) -> None:
        dataset = EncodedDataset.open(encoded)
        rows_V = dataset.tables.items.ids.encode(vectors.items)
        shown_R = np.bincount(dataset.item_rows(dataset.rows(Split.TRAIN)), minlength=len(dataset.tables.items)) > 0
        seen_VD = vectors.vectors_VD[shown_R[rows_V] & (rows_V > 0)]
        projection = fit_projection(seen_VD, project.workspace.embedding.width)
        std_X = projection(seen_VD).std(axis=0)
        numbers_RG = np.zeros((len(dataset.tables.items), projection.width), np.float32)
        numbers_RG[rows_V] = np.clip(projection(vectors.vectors_VD) / np.maximum(std_X, 1e-6), -_LIMIT, _LIMIT)
        numbers_RG[0] = 0.0
        names = (f"{ITEM_EMBEDDING}.{place}" for place in range(projection.width))
        columns = EntityColumns(np.zeros((len(numbers_RG), 0), np.int32), numbers_RG)
        numbers = tuple(Number(name, "item", group=ITEM_EMBEDDING) for name in names)
        FeatureGroup(ITEM_EMBEDDING, numbers=numbers, columns={"item": columns}).save(out)
        projection.save(out / PROJECTION_FILE)

    return project.store.build(f"features-{ITEM_EMBEDDING}", _inputs(project, folder, encoded), make)


def _inputs(project: Project, vectors: Path, encoded: Path) -> dict[str, object]:
    return {"vectors": vectors.name, "encoded": encoded.name, "width": project.workspace.embedding.width}


def _user_projection(
    dataset: EncodedDataset, vectors: UserVectors, settings: EmbeddingSettings, seed: int
) -> Projection:
    """Fitted on the texts that training exposures see, and for a supervised one on their outcomes."""
    seen_MD = vectors.vectors_MD[np.unique(vectors.text_R[vectors.training_R])]
    if settings.reduction != "supervised":
        return fit_projection(seen_MD, settings.width, settings.reduction, seed=seed)
    wide = fit_projection(seen_MD, min(_SUPERVISED_FROM, seen_MD.shape[1]))
    std_X = np.maximum(wide(seen_MD).std(axis=0), 1e-6)
    scaled = wide.then(Projection(np.zeros(wide.width, np.float32), np.diag(1 / std_X).astype(np.float32)))
    rows_B = dataset.rows(Split.TRAIN)
    outcomes = Outcomes(
        _dated(dataset, vectors, scaled(vectors.vectors_MD)).at(dataset.user_rows(rows_B), dataset.times(rows_B)),
        dataset.item_rows(rows_B),
        dataset.labels(rows_B),
        dataset.mask(rows_B),
    )
    weight_DX = fit_supervised(outcomes, settings.width, seed=seed)
    return scaled.then(Projection(np.zeros(len(weight_DX), np.float32), weight_DX))


def _dated(dataset: EncodedDataset, vectors: UserVectors, reduced_MX: NDArray[np.float32]) -> DatedVectors:
    rows_U = dataset.tables.users.ids.encode(vectors.users)
    train_end = int(dataset.times(dataset.rows(Split.TRAIN)).max(initial=0)) + 1
    return DatedVectors.fit(
        rows_U[vectors.user_R], np.asarray(vectors.time_R), reduced_MX[vectors.text_R], train_end=train_end
    )
