"""A trained model as a function from features to probabilities."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plait.features.batch import FeatureBatch
from plait.models.batch import Batch
from plait.models.ranker import Ranker, ServesRequests

_USER_STATE = "user_state"
"""Attribute of rankers that keep a state per user apart from the candidate."""


RowScorer = Callable[[FeatureBatch], NDArray[np.float32]]
"""Probabilities `[B, T]` of rows of one request."""


class Scorer(Protocol):
    """What ranks candidates."""

    history: int
    """How many of the last events it looks at."""

    def begin(self, batch: FeatureBatch) -> "RowScorer":
        """Make ready what all rows of a request share: user, context, time and history.

        Args:
            batch: rows of one request.
        """
        ...


class CachedUserState(nn.Module):
    """The user-state part of an HSTU ranker, computed once per history and kept for the next request of the user.

    Every row of a request shares one user and one history, so that one state serves all candidates (and all further
    creatives): the split of Zhai et al. 2024, "Actions Speak Louder than Words", section 3.4, into a pass over the
    history and a light head over candidates.
    """

    def __init__(self, inner: nn.Module, size: int = 2_000) -> None:
        super().__init__()
        self.inner = inner
        self._size = size
        self._states: OrderedDict[bytes, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def forward(self, batch: Batch, trunk: object) -> Tensor:
        """States `[B, D]`, all equal.

        Args:
            batch: one request: U = 1, and every row sees all of the history.
            trunk: passed on to the model's own user state.
        """
        if len(batch) == 0 or len(batch.history_offsets_U1) != 2:
            raise ValueError("expected the rows of one request")
        key = _history_key(batch)
        with self._lock:
            state_1D = self._states.get(key)
            if state_1D is not None:
                self._states.move_to_end(key)
        if state_1D is None:
            state_1D = self.inner(batch, trunk)[:1].clone()
            with self._lock:
                self._states[key] = state_1D
                if len(self._states) > self._size:
                    self._states.popitem(last=False)
        return state_1D.expand(len(batch), -1)


def _history_key(batch: Batch) -> bytes:
    """Names the content of a history, so that users whose histories are equal may share a state."""
    digest = hashlib.blake2b(digest_size=16)
    for codes_N in (batch.history_item_N, batch.history_action_N, batch.history_scenario_N, batch.history_time_N):
        digest.update(codes_N.numpy().tobytes())
    return digest.digest()


class TorchScorer:
    """A PyTorch ranker in inference mode; its user state, where it has one, is cached by history."""

    def __init__(self, model: nn.Module) -> None:
        if not isinstance(model, Ranker):
            raise TypeError(f"found {type(model).__name__}, expected a ranker: layout, history, forward(batch)")
        state = getattr(model, _USER_STATE, None)
        if isinstance(state, nn.Module):
            setattr(model, _USER_STATE, CachedUserState(state))
        self.history = int(model.history)
        model.eval()
        with torch.inference_mode():
            self._begin = model.for_requests() if isinstance(model, ServesRequests) else lambda _: model

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
    trunk = getattr(model, "trunk", None)
    if trunk is None:
        return None
    with torch.inference_mode():
        vectors_RD: NDArray[np.float32] = trunk.vectors_of(torch.from_numpy(item_rows_RI)).numpy().copy()
    vectors_RD[0] = 0.0
    return vectors_RD
