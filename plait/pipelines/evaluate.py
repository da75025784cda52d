"""The evaluation stage: a registered model on one split of its workspace."""

from plait.errors import ArtifactError
from plait.evaluation import Evaluation
from plait.features.dataset import EncodedDataset
from plait.models.loading import load_model
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.measure import measure
from plait.pipelines.oracle import measure_oracle
from plait.pipelines.project import Project
from plait.registry import RegisteredModel, Registry
from plait.schema import Split
from plait.training import predict


def evaluate_model(project: Project, reference: str, *, split: Split, bootstrap: int) -> Evaluation:
    """Measure a registered model.

    Args:
        project: the opened workspace.
        reference: `name`, `name@version` or `name@alias`.
        split: which window to measure on.
        bootstrap: resamples of users for the intervals; 0: none.

    Raises:
        ArtifactError: there is no such model, or it was trained on other codes than the workspace has now.
    """
    registered = Registry(project.hidden / "registry").resolve(reference)
    encoded = encoded_dataset(project)
    _check_same_data(registered, encoded.name)
    dataset = EncodedDataset.open(encoded)
    predictions = predict(dataset, load_model(registered), split)
    return measure(dataset, predictions.rows, predictions.probabilities_BT, bootstrap=bootstrap)


def evaluate_oracle(project: Project, *, split: Split, bootstrap: int) -> Evaluation | None:
    """Measure the true probabilities of a simulated world on the same rows; None where there are none."""
    dataset = EncodedDataset.open(encoded_dataset(project))
    return measure_oracle(project.root, dataset, split, bootstrap=bootstrap)


def _check_same_data(registered: RegisteredModel, encoded: str) -> None:
    trained_on = registered.manifest.data_fingerprint
    if trained_on != encoded:
        raise ArtifactError(
            f"{registered.manifest.name}@{registered.version} was trained on data {trained_on}, the workspace now has "
            f"{encoded}: codes may differ; train it again (plait train)"
        )
