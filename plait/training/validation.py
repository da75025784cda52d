"""What a validation window says about a model: log-loss and AUC."""

import numpy as np
from numpy.typing import NDArray

from plait.evaluation import auc, log_loss
from plait.training.predict import Predictions


def validation_metrics(predictions: Predictions, learned_T: NDArray[np.bool_]) -> dict[str, float]:
    """`logloss` and `auc`, each the mean over the learned objectives where it is defined; NaN where it is for none."""
    losses, areas = [], []
    for index in np.flatnonzero(learned_T):
        mature_B = predictions.mask_BT[:, index]
        labels_B = predictions.labels_BT[mature_B, index]
        scores_B = predictions.probabilities_BT[mature_B, index]
        if len(labels_B):
            losses.append(log_loss(labels_B, scores_B))
        if 0 < labels_B.sum() < len(labels_B):
            areas.append(auc(labels_B, scores_B))
    return {
        "logloss": float(np.mean(losses)) if losses else float("nan"),
        "auc": float(np.mean(areas)) if areas else float("nan"),
    }
