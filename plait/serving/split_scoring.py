"""A split ranker as a function from features to probabilities: states that advance, and a light head."""

import numpy as np
import torch
from numpy.typing import NDArray

from plait.features.batch import FeatureBatch
from plait.features.history import History
from plait.models.batch import Batch
from plait.models.ranker import SplitRanker
from plait.serving.scoring import RowScorer
from plait.serving.user_tracks import UserTracks


class SplitScorer:
    """The tower's states are kept per user and advanced as behaviours arrive; the head scores candidates with them.

    The split of Zhai et al. 2024, "Actions Speak Louder than Words", section 3.4, with states that outlive a request.
    """

    def __init__(self, model: SplitRanker) -> None:
        with torch.inference_mode():
            self._tower, head = model.split()
            self._window = model.window
            self._begin = head.for_requests()
        self._tracks = UserTracks(self._tower.steps())

    def window(self, before: int) -> int:
        """See `plait.serving.scoring.Scorer`."""
        return self._window(before)

    def arrived(self, history: History) -> None:
        """See `plait.serving.scoring.Scorer`."""
        self._tracks.arrived(history.last(self._tower.window(len(history))))

    def begin(self, batch: FeatureBatch) -> RowScorer:
        """What scores rows of the request that `batch` holds rows of."""
        events = History(batch.history_item_N, batch.history_action_N, batch.history_scenario_N, batch.history_time_N)
        user = self._tracks.summary(events.last(self._tower.window(len(events))))
        with torch.inference_mode():
            logits = self._begin(user, Batch.from_features(batch))

        def score(rows: FeatureBatch) -> NDArray[np.float32]:
            with torch.inference_mode():
                probabilities_BT: NDArray[np.float32] = torch.sigmoid(logits(Batch.from_features(rows))).numpy()
            return probabilities_BT

        return score
