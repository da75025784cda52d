"""What differs between kinds of models on their way from the workspace to the registry."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from plait.data.artifacts import fingerprint, fingerprint_files, write_atomically
from plait.data.item_sequences import ITEMS_FILE, ItemSequences
from plait.features.dataset import EncodedDataset
from plait.llm.tunable import open_tunable
from plait.models.builder import build_model
from plait.models.config import AlignedConfig, AlignmentConfig, NextItemConfig
from plait.models.ctrl import AlignedTower
from plait.models.loading import MODEL_FILE, SPEC_FILE
from plait.models.next_item import NextItemModel
from plait.models.words import item_words
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.feature_groups import group_folders
from plait.pipelines.feedback import training_shares
from plait.pipelines.item_sequences import item_sequences
from plait.pipelines.project import Project
from plait.pipelines.sample_texts import aligned_texts
from plait.schema import Split
from plait.training import (
    AlignmentTask,
    NextItemTask,
    Predictions,
    Recipe,
    TrainingConfig,
    TrainingResult,
    predict,
    train,
    train_task,
)
from plait.training.soft_labels import SoftLabels


class ModelKind(Protocol):
    """One kind of models, with the workspace's data for it."""

    @property
    def data(self) -> Path:
        """The derived data that it is trained on; its name is the data's fingerprint."""

    def build(self, recipe: Recipe) -> nn.Module:
        """An untrained model; its weights come from PyTorch's global generator."""

    def train(self, model: nn.Module, config: TrainingConfig, run: Path, *, resume: bool) -> TrainingResult:
        """Train it; the best weights are in it afterwards."""

    def describe(self, recipe: Recipe, run: Path) -> dict[str, Path]:
        """The files that tell what the weights are of, by their name in the registry; some are written to `run`."""

    @property
    def groups(self) -> Mapping[str, str]:
        """The derived feature groups that it reads, and the fingerprint of each."""

    def fingerprints(self) -> Mapping[str, str]:
        """What else of the data the manifest names."""


def model_kind(project: Project, recipe: Recipe) -> ModelKind:
    """The kind of a recipe's model; what it is trained on is made now unless it is there."""
    if isinstance(recipe.model, NextItemConfig):
        return NextItemKind(item_sequences(project))
    encoded = encoded_dataset(project)
    groups = group_folders(project, encoded, recipe.features.use)
    if isinstance(recipe.model, AlignedConfig):
        return AlignmentKind(project, encoded, groups, recipe.model.align)
    return RankerKind(project, encoded, groups)


class RankerKind:
    """Rankers, on encoded samples.

    Args:
        project: the workspace, for when its labels became known.
        data: the encoded samples.
        groups: folders of the derived feature groups that the model reads, by name.
    """

    def __init__(self, project: Project, data: Path, groups: Mapping[str, Path]) -> None:
        self._project = project
        self.data = data
        self.teacher: Predictions | None = None
        """What a teacher says of the training window, for a recipe that has one."""
        self.groups = {name: folder.name for name, folder in groups.items()}
        self._dataset = EncodedDataset.open(data, list(groups.values()))

    def build(self, recipe: Recipe) -> nn.Module:
        """The ranker that the recipe sizes."""
        if isinstance(recipe.model, NextItemConfig):
            raise TypeError(f"{recipe.model.family} is no ranker")
        return build_model(recipe.model, self._dataset.spec, self._dataset.item_fields_VI)

    def train(self, model: nn.Module, config: TrainingConfig, run: Path, *, resume: bool) -> TrainingResult:
        """Descent, or one pass for a model that counts; on labels mixed with its teacher's, if it has one."""
        taught = self.teacher and SoftLabels(self._dataset, self.teacher, config.teacher_weight)
        shares = training_shares(self._project, self._dataset, config.delayed_feedback)
        return train(taught or self._dataset, model, config, run, resume=resume, shares=shares)

    def teach(self, model: nn.Module) -> Predictions:
        """What a trained model says of the training window."""
        return predict(self._dataset, model, Split.TRAIN)

    def describe(self, recipe: Recipe, run: Path) -> dict[str, Path]:
        """Recipe and specification."""
        described = recipe.to_dict() | {"item_fields_shape": list(self._dataset.item_fields_VI.shape)}
        write_atomically(run / MODEL_FILE, json.dumps(described, indent=1, ensure_ascii=False))
        write_atomically(run / SPEC_FILE, self._dataset.spec.to_json())
        return {MODEL_FILE: run / MODEL_FILE, SPEC_FILE: run / SPEC_FILE}

    def fingerprints(self) -> Mapping[str, str]:
        """Of specification and vocabularies."""
        return {
            "spec_fingerprint": fingerprint({"spec": self._dataset.spec.to_json()}),
            "vocabulary_fingerprint": fingerprint_files((self.data / "vocabularies").glob("*.parquet")),
        }


class AlignmentKind:
    """Stage one of CTRL: rankers to be, on encoded samples and their texts.

    Args:
        project: the workspace.
        data: the encoded samples.
        groups: folders of the derived feature groups that the model reads, by name.
        align: what the text tower is: frozen, or with layers that learn.
    """

    def __init__(self, project: Project, data: Path, groups: Mapping[str, Path], align: AlignmentConfig) -> None:
        self._ranker = RankerKind(project, data, groups)
        self.groups = self._ranker.groups
        self._dataset = EncodedDataset.open(data, list(groups.values()))
        self._project = project
        self.data, self._texts = aligned_texts(project, align)

    def build(self, recipe: Recipe) -> AlignedTower:
        """The ranker that the recipe sizes, and both projections."""
        if not isinstance(recipe.model, AlignedConfig):
            raise TypeError(f"{recipe.model.family} is not aligned with texts")
        layers, top = recipe.model.align.tuned_layers, None
        if layers:
            top = open_tunable(self._project.workspace.embedding.encoder, layers, self._project.root).top(layers)
        return AlignedTower(recipe.model, self._dataset.spec, self._dataset.item_fields_VI, self._texts.width, top)

    def train(self, model: nn.Module, config: TrainingConfig, run: Path, *, resume: bool) -> TrainingResult:
        """Descent on finding one's text, and one's row."""
        if not isinstance(model, AlignedTower):
            raise TypeError(f"{type(model).__name__} is not aligned with texts")
        task = AlignmentTask(self._dataset, self._texts, model, config)
        return train_task(task, config, run, resume=resume)

    def describe(self, recipe: Recipe, run: Path) -> dict[str, Path]:
        """As of the ranker."""
        return self._ranker.describe(recipe, run)

    def fingerprints(self) -> Mapping[str, str]:
        """As of the ranker."""
        return self._ranker.fingerprints()


class NextItemKind:
    """Next-item models, on item sequences."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.groups: Mapping[str, str] = {}
        self._sequences = ItemSequences.open(data)

    def build(self, recipe: Recipe) -> NextItemModel:
        """The model that the recipe sizes, for the catalogue and actions of the log."""
        if not isinstance(recipe.model, NextItemConfig):
            raise TypeError(f"{recipe.model.family} is no next-item model")
        words = item_words(self._sequences.items) if recipe.model.item_text else None
        return NextItemModel(recipe.model, len(self._sequences.items), self._sequences.actions, words)

    def train(self, model: nn.Module, config: TrainingConfig, run: Path, *, resume: bool) -> TrainingResult:
        """Descent on the next item of every event."""
        if not isinstance(model, NextItemModel):
            raise TypeError(f"{type(model).__name__} is no next-item model")
        return train_task(NextItemTask(self._sequences, model, config), config, run, resume=resume)

    def describe(self, recipe: Recipe, run: Path) -> dict[str, Path]:
        """Recipe, sizes of the catalogue, and the catalogue: which item each row is."""
        sizes: dict[str, Any] = {"items": len(self._sequences.items), "actions": self._sequences.actions}
        write_atomically(run / MODEL_FILE, json.dumps(recipe.to_dict() | sizes, indent=1, ensure_ascii=False))
        return {MODEL_FILE: run / MODEL_FILE, ITEMS_FILE: self.data / ITEMS_FILE}

    def fingerprints(self) -> Mapping[str, str]:
        """Of the catalogue."""
        return {"vocabulary_fingerprint": fingerprint_files([self.data / ITEMS_FILE])}
