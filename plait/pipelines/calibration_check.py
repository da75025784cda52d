"""Calibration before and after on a later window: by objective, by scenario x objective, and over time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from plait.calibration import DriftRule, Window, drift_windows
from plait.evaluation import Estimate, Evaluation, field_rce
from plait.features.dataset import EncodedDataset
from plait.models.loading import load_model
from plait.pipelines.calibrate import Calibrated
from plait.pipelines.evaluate import registered_dataset
from plait.pipelines.measure import measure
from plait.pipelines.project import Project
from plait.registry import Registry
from plait.schema import Split
from plait.training import predict


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well probabilities are calibrated on one window."""

    evaluation: Evaluation
    field_rce: dict[str, float]
    """Relative calibration error over scenarios, by objective."""

    def cells(self) -> list[tuple[str, str, int, Estimate]]:
        """Scenario, objective, positives and PCOC of every cell that has positives."""
        return [
            (scenario, objective, scores.positives, scores.pcoc)
            for scenario, objectives in self.evaluation.cells.items()
            for objective, scores in objectives.items()
            if scores.pcoc.defined
        ]

    @property
    def pcoc(self) -> float:
        """Predicted over observed, summed over all mature labels of all objectives."""
        scores = self.evaluation.by_objective.values()
        observed = sum(one.positives for one in scores)
        predicted = sum(one.positives * one.pcoc.value for one in scores if one.pcoc.defined)
        return predicted / observed if observed else float("nan")


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """The same exposures without and with calibration curves."""

    before: Calibration
    after: Calibration


def check_calibration(done: Calibrated, *, bootstrap: int) -> BeforeAfter:
    """Measure a model without and with its curves on the test window, which neither has seen."""
    return BeforeAfter(*(_measured(done.dataset, model, bootstrap=bootstrap) for model in (done.ranker, done.model)))


def calibration_of(
    dataset: EncodedDataset, rows_B: NDArray[np.int64], probabilities_BT: NDArray[np.floating], *, bootstrap: int
) -> Calibration:
    """Measure probabilities of the exposures `rows_B`, whoever made them."""
    scenario_B, labels_BT, mask_BT = dataset.scenarios(rows_B), dataset.labels(rows_B), dataset.mask(rows_B)
    errors = {}
    for index, objective in enumerate(dataset.spec.objectives):
        known_B = mask_BT[:, index] & (scenario_B >= 0)
        errors[objective] = field_rce(labels_BT[known_B, index], probabilities_BT[known_B, index], scenario_B[known_B])
    return Calibration(measure(dataset, rows_B, probabilities_BT, bootstrap=bootstrap), errors)


def drift_of(
    project: Project,
    reference: str,
    *,
    split: Split,
    width_ms: int,
    rule: DriftRule,
    objectives: Sequence[str] = (),
) -> dict[str, list[Window]]:
    """PCOC of a registered ranker over time, by objective, with alarms.

    Args:
        project: the workspace.
        reference: `name`, `name@version` or `name@alias`.
        split: which window.
        width_ms: of each stretch of time.
        rule: when drift is an alarm.
        objectives: which; all where none is named.

    Raises:
        ArtifactError: there is no such ranker, or it is of other data.
    """
    registered = Registry(project.hidden / "registry").resolve(reference)
    dataset = registered_dataset(project, registered)
    predictions = predict(dataset, load_model(registered), split)
    time_B = dataset.times(predictions.rows)
    found = {}
    for index, objective in enumerate(dataset.spec.objectives):
        mature_B = predictions.mask_BT[:, index]
        if (objectives and objective not in objectives) or not mature_B.any():
            continue
        labels_B, probabilities_B = predictions.labels_BT[:, index] > 0, predictions.probabilities_BT[:, index]
        found[objective] = drift_windows(
            time_B[mature_B], labels_B[mature_B], probabilities_B[mature_B], width_ms=width_ms, rule=rule
        )
    return found


def _measured(dataset: EncodedDataset, model: nn.Module, *, bootstrap: int) -> Calibration:
    predictions = predict(dataset, model, Split.TEST, label="test window")
    return calibration_of(dataset, predictions.rows, predictions.probabilities_BT, bootstrap=bootstrap)
