"""Predictions over one split, batch by batch."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from plait.models.batch import Batch
from plait.models.ranker import Layout, Ranker
from plait.schema import Split
from plait.telemetry import progress
from plait.training.data import Loader, TrainingData, draw_users
from plait.training.warm_start import set_training_mode


@dataclass(frozen=True, slots=True)
class Predictions:
    """Probabilities of some exposures, by row."""

    rows: NDArray[np.int64]
    """Rows of the exposures in the dataset, ascending."""
    probabilities_BT: NDArray[np.float32]
    labels_BT: NDArray[np.float32]
    mask_BT: NDArray[np.bool_]
    """True where the label is mature."""


def predict(
    dataset: TrainingData,
    model: nn.Module,
    split: Split,
    *,
    batch_size: int = 2048,
    batch_events: int = 32_768,
    layout: Layout | None = None,
    exposures: int | None = None,
    seed: int = 0,
    label: str = "predict",
) -> Predictions:
    """The model's probabilities for the exposures of one split.

    Args:
        dataset: what to read.
        model: a ranker; it is put in evaluation mode and back.
        split: which exposures.
        batch_size: exposures a batch.
        batch_events: in the user layout, the most events a batch holds, padding included.
        layout: None for the one that the model likes.
        exposures: about how many exposures, of whole users drawn by seed; None for all.
        seed: of that draw.
        label: of the progress bar.
    """
    ranker = as_ranker(model)
    users_U = draw_users(dataset, split, exposures, seed) if exposures is not None else None
    loader = Loader(
        dataset,
        split,
        ranker,
        layout=layout,
        batch_size=batch_size,
        batch_events=batch_events,
        users_U=users_U,
    )
    none_BT = np.empty((0, len(dataset.spec.objectives)), np.float32)
    parts = [(np.empty(0, np.int64), none_BT, none_BT, none_BT.astype(np.bool_))]
    was_training = model.training
    model.eval()
    with torch.inference_mode(), progress(label, len(loader)) as advance:
        for features, rows_B in loader.batches(loader.in_order()):
            probabilities_BT = torch.sigmoid(ranker(Batch.from_features(features))).float().numpy()
            parts.append((rows_B, probabilities_BT, features.labels_BT, features.mask_BT))
            advance(len(rows_B))
    if was_training:
        set_training_mode(model)
    rows_B, probabilities_BT, labels_BT, mask_BT = (np.concatenate(column) for column in zip(*parts, strict=True))
    order_B = np.argsort(rows_B, kind="stable")
    return Predictions(rows_B[order_B], probabilities_BT[order_B], labels_BT[order_B], mask_BT[order_B])


def as_ranker(model: nn.Module) -> Ranker:
    """The module as a ranker.

    Raises:
        TypeError: it lacks `layout`, `history` or `lookback`.
    """
    if not isinstance(model, Ranker):
        raise TypeError(
            f"{type(model).__name__} is no ranker: it needs 'layout', 'history' and 'lookback' (plait.models.ranker)"
        )
    return model
