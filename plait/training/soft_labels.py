"""Distillation: the training window's labels, drawn towards what a teacher gives each of them.

Cross-entropy is linear in its target, so `(1 - w) CE(label) + w CE(teacher)` is the cross-entropy of the mixed target
`(1 - w) label + w teacher`: a student needs no loss of its own, only other labels.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from plait.features.batch import FeatureBatch
from plait.features.spec import FeatureSpec
from plait.schema import Split
from plait.training.data import TrainingData
from plait.training.predict import Predictions


class SoftLabels:
    """A dataset whose training exposures have mixed labels; all else, validation and test too, is as it was.

    Args:
        dataset: encoded samples.
        teacher: probabilities of all exposures of the training window.
        weight: w, of the teacher.
    """

    def __init__(self, dataset: TrainingData, teacher: Predictions, weight: float) -> None:
        self._dataset, self._teacher, self._weight = dataset, teacher, weight

    @property
    def spec(self) -> FeatureSpec:
        """See `TrainingData`, as of all that follows."""
        return self._dataset.spec

    def rows(self, split: Split) -> NDArray[np.int64]:
        return self._dataset.rows(split)

    def user_rows(self, rows_B: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._dataset.user_rows(rows_B)

    def before(self, rows_B: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._dataset.before(rows_B)

    def impression_batch(self, rows_B: NDArray[np.int64], length: int) -> FeatureBatch:
        return self._mixed(rows_B, self._dataset.impression_batch(rows_B, length))

    def grouped_batch(self, rows_B: NDArray[np.int64], group_B: NDArray[np.int64], length: int) -> FeatureBatch:
        return self._mixed(rows_B, self._dataset.grouped_batch(rows_B, group_B, length))

    def _mixed(self, rows_B: NDArray[np.int64], batch: FeatureBatch) -> FeatureBatch:
        taught = self._teacher.rows
        place_B = np.searchsorted(taught, rows_B)
        place_B[place_B == len(taught)] = 0
        weight_B1 = (self._weight * (taught[place_B] == rows_B)).astype(np.float32)[:, None]
        soft_BT = self._teacher.probabilities_BT[place_B]
        return replace(batch, labels_BT=(1 - weight_B1) * batch.labels_BT + weight_B1 * soft_BT)
