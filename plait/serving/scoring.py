"""A trained model as a function from features to probabilities."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from plait.features.batch import FeatureBatch
from plait.features.history import History
from plait.models.batch import Batch
from plait.models.calibrated import uncalibrated
from plait.models.ranker import Ranker, ServesRequests

RowScorer = Callable[[FeatureBatch], NDArray[np.float32]]
"""Probabilities `[B, T]` of rows of one request."""


class Scorer(Protocol):
    """What ranks candidates."""

    def window(self, before: int) -> int:
        """How many of the last events a request after `before` events looks at."""
        ...

    def arrived(self, history: History) -> None:
        """Take note that a user has this history now; a request may come later."""
        ...

    def begin(self, batch: FeatureBatch) -> "RowScorer":
        """Make ready what all rows of a request share: user, context, time and history.

        Args:
            batch: rows of one request, with the last `window(before)` events.
        """
        ...


class TorchScorer:
    """A PyTorch ranker in inference mode."""

    def __init__(self, model: nn.Module) -> None:
        if not isinstance(model, Ranker):
            raise TypeError(f"found {type(model).__name__}, expected a ranker: layout, history, forward(batch)")
        self._history = int(model.history)
        model.eval()
        with torch.inference_mode():
            self._begin = model.for_requests() if isinstance(model, ServesRequests) else lambda _: model

    def window(self, before: int) -> int:
        """See `Scorer`."""
        return min(before, self._history)

    def arrived(self, history: History) -> None:
        """See `Scorer`; nothing is kept between requests."""

    def begin(self, batch: FeatureBatch) -> RowScorer:
        """What scores rows of the request that `batch` holds rows of."""
        with torch.inference_mode():
            logits = self._begin(Batch.from_features(batch))

        def score(rows: FeatureBatch) -> NDArray[np.float32]:
            with torch.inference_mode():
                probabilities_BT: NDArray[np.float32] = torch.sigmoid(logits(Batch.from_features(rows))).numpy()
            return probabilities_BT

        return score

    def score(self, batch: FeatureBatch) -> NDArray[np.float32]:
        """Probabilities `[B, T]`: the sigmoid of the model's logits."""
        return self.begin(batch)(batch)


def item_vectors(model: nn.Module, item_rows_RI: NDArray[np.int32]) -> NDArray[np.float32] | None:
    """Each catalogue item as the model's own item vector: its id's embedding beside the mean of its other fields'.

    Args:
        model: a trained ranker.
        item_rows_RI: `FeatureTables.item_rows_RI`.

    Returns:
        `[R, D]`, zeros for row 0 (no item); None for a model without embeddings.
    """
    trunk = getattr(uncalibrated(model), "trunk", None)
    if trunk is None:
        return None
    with torch.inference_mode():
        vectors_RD: NDArray[np.float32] = trunk.vectors_of(torch.from_numpy(item_rows_RI)).numpy().copy()
    vectors_RD[0] = 0.0
    return vectors_RD
