"""Rows and their texts on one plane, before and after alignment: what stage one of CTRL does, to look at."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from plait import seeding
from plait.embedding.sample_texts import SampleTexts
from plait.errors import ConfigError
from plait.features.dataset import EncodedDataset
from plait.models.batch import Batch
from plait.models.ctrl import AlignedTower
from plait.nn.alignment import similarities
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.feature_groups import dataset_with
from plait.pipelines.model_kinds import model_kind
from plait.pipelines.project import Project
from plait.pipelines.sample_texts import aligned_texts
from plait.pipelines.train import train_model
from plait.schema import Split


@dataclass(frozen=True, slots=True)
class Plane:
    """N rows and their N texts on the two axes along which all of them together differ most."""

    row_N2: tuple[tuple[float, float], ...]
    text_N2: tuple[tuple[float, float], ...]
    found: float
    """Share of rows and texts whose best match among the N is their own partner."""


@dataclass(frozen=True, slots=True)
class AlignmentMap:
    """The same exposures with the weights that training began with, and with those it ended with."""

    workspace: str
    simulated: bool
    recipe: str
    names: tuple[str, ...]
    """Of the exposures' items."""
    before: Plane
    after: Plane


def alignment_map(project: Project, recipe: str, *, seed: int = 1, rows: int = 150) -> AlignmentMap:
    """Test exposures of different texts, as a stage-one recipe places them; trained now unless it has been.

    Raises:
        ArtifactError: `plait embed` was not run.
        ConfigError: the recipe does not align.
    """
    overrides = {"training": {"seed": seed}}
    trained = train_model(project, recipe, name=f"{recipe}-start-{seed}", overrides=overrides, register=False)
    if not isinstance(trained.model, AlignedTower):
        raise ConfigError(f"--recipe {recipe}: found a ranker, expected stage one of CTRL, such as ctrl-dcnv2-align")
    torch.manual_seed(seeding.derive_seed(seed, "weights"))
    untrained = model_kind(project, trained.recipe).build(trained.recipe).eval()
    dataset = dataset_with(project, trained.recipe.features.use)
    _, texts = aligned_texts(project, trained.model.align)
    chosen = _different(dataset, texts, rows, seed)
    return AlignmentMap(
        workspace=project.workspace.name,
        simulated=project.workspace.simulated,
        recipe=recipe,
        names=_item_ids(project, chosen),
        before=_plane(untrained, dataset, texts, chosen),
        after=_plane(trained.model, dataset, texts, chosen),
    )


def _different(dataset: EncodedDataset, texts: SampleTexts, rows: int, seed: int) -> NDArray[np.int64]:
    """Rows of the test window, drawn by seed, no two with the same text."""
    order_B = seeding.generator(seed, "alignment map").permutation(dataset.rows(Split.TEST))
    _, first_B = np.unique(texts.keys(order_B), return_index=True)
    return np.sort(order_B[np.sort(first_B)[:rows]])


def _item_ids(project: Project, rows_B: NDArray[np.int64]) -> tuple[str, ...]:
    dataset = EncodedDataset.open(encoded_dataset(project))
    return tuple(str(dataset.tables.items.ids.value(int(row))) for row in dataset.item_rows(rows_B))


@torch.inference_mode()
def _plane(model: torch.nn.Module, dataset: EncodedDataset, texts: SampleTexts, rows_B: NDArray[np.int64]) -> Plane:
    if not isinstance(model, AlignedTower):
        raise TypeError(f"{type(model).__name__} is not aligned with texts")
    batch = Batch.from_features(dataset.impression_batch(rows_B, model.rows.history))
    text_NMK, row_NMK = model(batch, texts.batch(rows_B))
    both = similarities(text_NMK, row_NMK)
    own_N = torch.arange(len(rows_B))
    hits = [(side_NN.argmax(1) == own_N).float().mean() for side_NN in (both.of_text_BB, both.of_tabular_BB)]
    flat = [side.flatten(1).double().numpy() for side in (row_NMK, text_NMK)]
    joined = np.concatenate(flat)
    centred = joined - joined.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    places = tuple((float(x), float(y)) for x, y in centred @ axes[:2].T)
    return Plane(places[: len(rows_B)], places[len(rows_B) :], float(sum(hits)) / 2)
