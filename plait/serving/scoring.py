"""A trained model as a function from features to probabilities."""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from plait.features.batch import FeatureBatch
from plait.models.batch import Batch
from plait.models.ranker import Ranker


class Scorer(Protocol):
    """What ranks candidates."""

    history: int
    """How many of the last events it looks at."""

    def score(self, batch: FeatureBatch) -> NDArray[np.float32]:
        """Probabilities `[B, T]`."""
        ...


class TorchScorer:
    """A PyTorch ranker in inference mode."""

    def __init__(self, model: nn.Module) -> None:
        if not isinstance(model, Ranker):
            raise TypeError(f"found {type(model).__name__}, expected a ranker: layout, history, forward(batch)")
        self._model = model.eval()
        self.history = int(model.history)

    def score(self, batch: FeatureBatch) -> NDArray[np.float32]:
        """Probabilities `[B, T]`: the sigmoid of the model's logits."""
        with torch.inference_mode():
            probabilities_BT: NDArray[np.float32] = torch.sigmoid(self._model(Batch.from_features(batch))).numpy()
        return probabilities_BT


def item_vectors(model: nn.Module, codes_RI: NDArray[np.int32], columns: tuple[int, ...]) -> NDArray[np.float32] | None:
    """Each catalogue item as the model's own item vector: its id's embedding beside the mean of its other fields'.

    Args:
        model: a trained ranker.
        codes_RI: item-field codes of every row of the item table.
        columns: the item fields among all fields.

    Returns:
        `[R, D]`, zeros for row 0 (no item); None for a model without embeddings.
    """
    table = getattr(getattr(model, "trunk", None), "fields", None)
    if table is None:
        return None
    with torch.inference_mode():
        fields_RID = table.lookup(torch.from_numpy(codes_RI).long(), columns)
        parts = [fields_RID[:, 0]] + ([fields_RID[:, 1:].mean(1)] if len(columns) > 1 else [])
        vectors_RD: NDArray[np.float32] = torch.cat(parts, dim=1).numpy().copy()
    vectors_RD[0] = 0.0
    return vectors_RD
