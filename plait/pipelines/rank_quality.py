"""What splitting a ranker costs in quality: the same exposures by the whole model and by its parts."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from plait.errors import ArtifactError
from plait.features.dataset import EncodedDataset
from plait.models.batch import Batch
from plait.models.loading import load_model
from plait.models.ranker import SplitRanker
from plait.models.tower import UserTrack
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.feature_groups import registered_groups
from plait.pipelines.measure import measure
from plait.pipelines.models import model_registry
from plait.pipelines.project import Project
from plait.pipelines.results import Metric
from plait.schema import Split

_MOST_EXPOSURES = 10_000


def split_quality(project: Project, reference: str) -> dict[str, Metric]:
    """AUC on whole users of the test window: the whole model, its parts, and its parts with sliding windows.

    Raises:
        ArtifactError: there is no such model, or it does not split.
    """
    registered = model_registry(project).resolve(reference)
    model = load_model(registered)
    if not isinstance(model, SplitRanker):
        raise ArtifactError(f"{registered.reference} has no tower to split off; name an hstu model")
    dataset = EncodedDataset.open(encoded_dataset(project), registered_groups(project, registered))
    compared = Compared.over(dataset, model)

    def auc(scores_BT: NDArray[np.float32]) -> float:
        return measure(dataset, compared.rows_B, scores_BT, bootstrap=0).overall.auc.value

    whole, split = auc(compared.whole_BT), auc(compared.split_BT)
    return {
        "auc_whole": Metric(whole, unit="AUC"),
        "auc_split": Metric(split, unit="AUC"),
        "auc_loss": Metric(whole - split, unit="AUC"),
        "auc_slid": Metric(auc(compared.slid_BT), unit="AUC"),
        "split_difference": Metric(compared.largest(compared.split_BT), unit="probability"),
        "slid_difference": Metric(compared.largest(compared.slid_BT), unit="probability"),
        "slid_share": Metric(float(compared.slides_B.mean()), unit="exposures"),
        "exposures": Metric(len(compared.rows_B), unit="exposures"),
    }


@dataclass(frozen=True, slots=True)
class Compared:
    """Probabilities of exposures three ways."""

    rows_B: NDArray[np.int64]
    whole_BT: NDArray[np.float32]
    split_BT: NDArray[np.float32]
    slid_BT: NDArray[np.float32]
    slides_B: NDArray[np.bool_]
    """True where a sliding window has left events behind."""

    @classmethod
    def over(cls, dataset: EncodedDataset, model: nn.Module) -> "Compared":
        """All exposures of the test window of the first users, up to about `_MOST_EXPOSURES`."""
        rows_B = dataset.rows(Split.TEST)
        order_B = np.lexsort((dataset.before(rows_B), dataset.user_rows(rows_B)))
        rows_B = rows_B[order_B]
        users_B = dataset.user_rows(rows_B)
        rows_B = rows_B[: np.searchsorted(users_B, users_B[min(len(rows_B), _MOST_EXPOSURES) - 1], side="right")]
        comparison = _Comparison(dataset, model)
        with torch.inference_mode():
            parts = [comparison.scores(int(row)) for row in rows_B]
        return cls(rows_B, *(np.stack(column) for column in zip(*parts, strict=True)))

    def largest(self, scores_BT: NDArray[np.float32]) -> float:
        """The largest difference from the whole model."""
        return float(np.abs(scores_BT - self.whole_BT).max())


class _Comparison:
    """One exposure after the other, in order of user and history."""

    def __init__(self, dataset: EncodedDataset, model: nn.Module) -> None:
        if not isinstance(model, SplitRanker):
            raise TypeError(f"found {type(model).__name__}, expected a ranker that splits")
        self._dataset = dataset
        self._model = model
        self._tower, head = model.split()
        self._steps, self._begin = self._tower.steps(), head.for_requests()
        self._user = -1
        self._exact: UserTrack | None = None
        self._slid = self._steps.begin()
        self._taken = 0

    def scores(self, row: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], bool]:
        """Probabilities by the whole model, by its parts, and by its parts with a sliding window; whether that slid."""
        row_1 = np.array([row])
        user, before = int(self._dataset.user_rows(row_1)[0]), int(self._dataset.before(row_1)[0])
        if user != self._user:
            self._user, self._exact, self._slid, self._taken = user, None, self._steps.begin(), 0
        history, window = self._dataset.history(user, before), self._tower.window(before)
        self._exact = self._steps.follow(self._exact, history.last(window))
        self._steps.advance(self._slid, history.last(before - self._taken))
        self._taken = before
        batch = Batch.from_features(self._dataset.impression_batch(row_1, self._model.window(before)))
        summaries = self._steps.summary(self._exact), self._steps.summary(self._slid)
        split_T, slid_T = (torch.sigmoid(self._begin(summary, batch)(batch))[0].numpy() for summary in summaries)
        return torch.sigmoid(self._model(batch))[0].numpy(), split_T, slid_T, self._slid.state.dropped > 0
