"""The evaluation stage: a registered model on one split of its workspace."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from plait.data.item_sequences import ItemSequences
from plait.errors import ArtifactError
from plait.evaluation import Comparison, Evaluation, RankingEvaluation, evaluate_ranking, paired_difference
from plait.features.dataset import EncodedDataset
from plait.models.config import NextItemConfig
from plait.models.loading import describe_model, load_model, load_next_item_model
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.expert_use import ExpertUse, expert_use
from plait.pipelines.feature_groups import registered_groups
from plait.pipelines.item_sequences import item_sequences
from plait.pipelines.measure import measure
from plait.pipelines.oracle import measure_oracle
from plait.pipelines.project import Project
from plait.registry import RegisteredModel, Registry
from plait.schema import Split
from plait.training import predict, target_ranks
from plait.training.recipe import parse_recipe

NEXT_ITEM_CUTS = (1, 10, 50, 200)
"""Places that next-item metrics are cut at."""


def is_next_item(project: Project, reference: str) -> bool:
    """Whether a registered model predicts the next item (else it is a ranker).

    Raises:
        ArtifactError: there is no such model.
    """
    registered = Registry(project.hidden / "registry").resolve(reference)
    return bool(describe_model(registered)["model"]["family"] == NextItemConfig().family)


def evaluate_next_item(project: Project, reference: str, *, split: Split, bootstrap: int) -> RankingEvaluation:
    """Measure a registered next-item model on the held-out items of one split, under the protocol of its training.

    Args:
        project: the opened workspace.
        reference: `name`, `name@version` or `name@alias`.
        split: valid or test.
        bootstrap: resamples of users for the intervals; 0: none.

    Raises:
        ArtifactError: there is no such model, it is of another log, or its protocol has no such split.
    """
    registered = Registry(project.hidden / "registry").resolve(reference)
    folder = item_sequences(project)
    _check_same_data(registered, folder)
    sequences, described = ItemSequences.open(folder), describe_model(registered)
    recipe = parse_recipe({part: described[part] for part in ("model", "training")}, registered.reference)
    protocol = recipe.training.next_item.protocol
    cases = sequences.cases(protocol, split)
    if not len(cases):
        raise ArtifactError(f"{registered.reference}: the protocol '{protocol}' holds out no {split} items; try test")
    ranks_U = target_ranks(sequences, load_next_item_model(registered), cases)
    return evaluate_ranking(ranks_U, cases.user_U, NEXT_ITEM_CUTS, bootstrap=bootstrap)


def evaluate_model(
    project: Project, reference: str, *, split: Split, bootstrap: int, cell_replicates: bool = False
) -> Evaluation:
    """Measure a registered model.

    Args:
        project: the opened workspace.
        reference: `name`, `name@version` or `name@alias`.
        split: which window to measure on.
        bootstrap: resamples of users for the intervals; 0: none.
        cell_replicates: keep the resampled metrics of every scenario x objective, to compare them with another model's.

    Raises:
        ArtifactError: there is no such model, or it was trained on other codes than the workspace has now.
    """
    dataset, model = dataset_and_model(project, reference)
    predictions = predict(dataset, model, split)
    return measure(
        dataset,
        predictions.rows,
        predictions.probabilities_BT,
        bootstrap=bootstrap,
        cell_replicates=cell_replicates,
    )


def dataset_and_model(project: Project, reference: str) -> tuple[EncodedDataset, nn.Module]:
    """The workspace's samples with the feature groups that a registered model reads, and the model.

    Raises:
        ArtifactError: there is no such model, or it was trained on other codes than the workspace has now.
    """
    registered = Registry(project.hidden / "registry").resolve(reference)
    return registered_dataset(project, registered), load_model(registered)


@dataclass(frozen=True, slots=True)
class Measured:
    """A model, and perhaps how it differs from another and who uses its experts."""

    evaluation: Evaluation
    comparison: Comparison | None
    """This model minus the other."""
    experts: Sequence[ExpertUse]

    def to_json(self) -> dict[str, Any]:
        """The evaluation as plain data, and under `comparison` the differences where there are some."""
        content = self.evaluation.to_json()
        return content if self.comparison is None else content | {"comparison": self.comparison.to_json()}


def evaluate_against(
    project: Project, reference: str, other: str | None, *, split: Split, bootstrap: int, experts: bool = False
) -> Measured:
    """Measure a registered model, and another one on the same rows.

    Args:
        project: the opened workspace.
        reference: `name`, `name@version` or `name@alias`.
        other: a second one; None for none.
        split: which window to measure on.
        bootstrap: resamples of users for the intervals; 0: none.
        experts: also say who uses which expert.

    Raises:
        ArtifactError: there is no such model, or it was trained on other codes than the workspace has now.
    """
    paired = other is not None
    evaluation = evaluate_model(project, reference, split=split, bootstrap=bootstrap, cell_replicates=paired)
    comparison = None
    if other is not None:
        second = evaluate_model(project, other, split=split, bootstrap=bootstrap, cell_replicates=True)
        comparison = paired_difference(second, evaluation)
    use = expert_use(*dataset_and_model(project, reference), split) if experts else []
    return Measured(evaluation, comparison, use)


def registered_dataset(project: Project, registered: RegisteredModel) -> EncodedDataset:
    """The workspace's samples as the model reads them.

    Raises:
        ArtifactError: it was trained on other codes than the workspace has now.
    """
    encoded = encoded_dataset(project)
    _check_same_data(registered, encoded)
    return EncodedDataset.open(encoded, registered_groups(project, registered))


def evaluate_oracle(project: Project, *, split: Split, bootstrap: int) -> Evaluation | None:
    """Measure the true probabilities of a simulated world on the same rows; None where there are none."""
    dataset = EncodedDataset.open(encoded_dataset(project))
    return measure_oracle(project.root, dataset, split, bootstrap=bootstrap)


def _check_same_data(registered: RegisteredModel, data: Path) -> None:
    trained_on = registered.manifest.data_fingerprint
    if trained_on != data.name:
        raise ArtifactError(
            f"{registered.manifest.name}@{registered.version} was trained on data {trained_on}, the workspace now has "
            f"{data.name}: codes may differ; train it again (plait train)"
        )
