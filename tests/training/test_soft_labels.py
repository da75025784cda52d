"""Distillation as other labels: worked by hand, and as the sum of two losses."""

import numpy as np
import torch

from plait.schema import Split
from plait.testing.batches import random_batch, random_item_fields, small_spec
from plait.training import Predictions
from plait.training.objective import objective_losses
from plait.training.soft_labels import SoftLabels

SPEC = small_spec(objectives=1)
FEATURES = random_batch(SPEC, random_item_fields(SPEC), users=2, exposures_per_user=2, seed=1)


class FourRows:
    """Rows 0 to 2 train, row 3 does not."""

    spec = SPEC

    def rows(self, split):
        return np.arange(3) if split == Split.TRAIN else np.array([3])

    def impression_batch(self, rows_B, length):
        return FEATURES


def test_only_training_rows_are_mixed():
    soft_BT = np.array([[0.2], [0.6], [1.0]], np.float32)
    teacher = Predictions(np.arange(3), soft_BT, soft_BT, soft_BT > 0)
    taught = SoftLabels(FourRows(), teacher, 0.25).impression_batch(np.arange(4), 0)
    hard_BT = FEATURES.labels_BT
    expected_BT = np.concatenate([0.75 * hard_BT[:3] + 0.25 * soft_BT, hard_BT[3:]])
    np.testing.assert_allclose(taught.labels_BT, expected_BT, rtol=1e-6)
    assert taught.mask_BT is FEATURES.mask_BT


def test_mixed_labels_are_mixed_losses():
    logit_BT, mask_BT = torch.tensor([[0.3], [-1.2]]), torch.ones(2, 1, dtype=torch.bool)
    hard_BT, soft_BT = torch.tensor([[1.0], [0.0]]), torch.tensor([[0.7], [0.4]])
    hard_T, soft_T, mixed_T = (
        objective_losses(logit_BT, labels_BT, mask_BT).mean_T
        for labels_BT in (hard_BT, soft_BT, 0.6 * hard_BT + 0.4 * soft_BT)
    )
    torch.testing.assert_close(mixed_T, 0.6 * hard_T + 0.4 * soft_T)
