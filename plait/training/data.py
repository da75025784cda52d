"""What training asks of a dataset, and in which order it takes the exposures."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from plait import seeding
from plait.features.batch import FeatureBatch
from plait.features.spec import FeatureSpec
from plait.models.ranker import Layout
from plait.schema import Split

_BUCKET_BATCHES = 16
"""In the user layout, users of this many batches are sorted by length together."""
_LOOKAHEAD = 2
"""Batches that are made while the model works on the one before."""

Plan = list[NDArray[np.int64]]
"""The batches of one pass: rows of exposures, or of users in the user layout."""


class TrainingData(Protocol):
    """The part of `EncodedDataset` that training needs."""

    @property
    def spec(self) -> FeatureSpec: ...

    def rows(self, split: Split) -> NDArray[np.int64]:
        """Rows of the exposures of one split, ascending."""

    def user_rows(self, rows_B: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of the users of exposures."""

    def history_lengths(self, users_U: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number of events of users."""

    def impression_batch(self, rows_B: NDArray[np.int64], length: int) -> FeatureBatch:
        """Any exposures, each with its own last `length` events."""

    def user_batch(
        self, users_U: NDArray[np.int64], length: int, splits: Sequence[Split]
    ) -> tuple[FeatureBatch, NDArray[np.int64]]:
        """All exposures of users in `splits`, each user's events once; and the exposures' rows."""


class Loader:
    """Batches of one split in the layout that a model likes.

    Args:
        dataset: what to read.
        split: which exposures.
        layout: `impression`: any exposures; `user`: whole users.
        history: how many events before each exposure a batch must hold.
        batch_size: exposures a batch.
        batch_events: in the user layout, the most events a batch holds, padding included.
        users_U: only exposures of these users; None for all.
    """

    def __init__(
        self,
        dataset: TrainingData,
        split: Split,
        layout: Layout,
        *,
        history: int,
        batch_size: int,
        batch_events: int,
        users_U: NDArray[np.int64] | None = None,
    ) -> None:
        self._dataset = dataset
        self._split = split
        self._layout = layout
        self._history = history
        self._batch_size = batch_size
        self._batch_events = batch_events
        self._rows_B = dataset.rows(split)
        user_B = dataset.user_rows(self._rows_B)
        if users_U is not None:
            self._rows_B = self._rows_B[np.isin(user_B, users_U)]
            user_B = dataset.user_rows(self._rows_B)
        self._users_U, self._exposures_U = np.unique(user_B, return_counts=True)

    def __len__(self) -> int:
        """Number of exposures."""
        return len(self._rows_B)

    def in_order(self) -> Plan:
        """The batches of a pass that reads on: the same every time."""
        if self._layout == "impression":
            return _split(self._rows_B, self._batch_size)
        order_U = np.argsort(self._lengths(), kind="stable")
        return self._whole_users(order_U)

    def shuffled(self, seed: int, epoch: int) -> Plan:
        """The batches of one epoch, in an order that follows from seed and epoch alone.

        User layout: users are shuffled, sorted by history length within buckets of several batches (so that little is
        padding), cut into batches, and the batches are shuffled.
        """
        rng = seeding.generator(seed, "shuffle", epoch)
        if self._layout == "impression":
            return _split(rng.permutation(self._rows_B), self._batch_size)
        lengths_U = self._lengths()
        plan: Plan = []
        per_bucket = max(1, _BUCKET_BATCHES * self._users_per_batch())
        for bucket_U in _split(rng.permutation(len(self._users_U)), per_bucket):
            plan += self._whole_users(bucket_U[np.argsort(lengths_U[bucket_U], kind="stable")])
        return [plan[index] for index in rng.permutation(len(plan))]

    def batches(self, plan: Plan) -> Iterator[tuple[FeatureBatch, NDArray[np.int64]]]:
        """The batches of `plan` and the rows of their exposures, made ahead in a thread of their own."""
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
            ahead: list[Future[tuple[FeatureBatch, NDArray[np.int64]]]] = []
            try:
                for keys in plan:
                    ahead.append(pool.submit(self._make, keys))
                    if len(ahead) > _LOOKAHEAD:
                        yield ahead.pop(0).result()
                while ahead:
                    yield ahead.pop(0).result()
            finally:
                for future in ahead:
                    future.cancel()

    def _make(self, keys: NDArray[np.int64]) -> tuple[FeatureBatch, NDArray[np.int64]]:
        if self._layout == "impression":
            rows_B = np.sort(keys)
            return self._dataset.impression_batch(rows_B, self._history), rows_B
        return self._dataset.user_batch(keys, self._history, (self._split,))

    def _lengths(self) -> NDArray[np.int64]:
        return self._dataset.history_lengths(self._users_U)

    def _users_per_batch(self) -> int:
        return round(self._batch_size / max(1.0, float(self._exposures_U.mean()))) if len(self._users_U) else 1

    def _whole_users(self, order_U: NDArray[np.int64]) -> Plan:
        """Batches of whole users in the given order, each as large as exposures and padded events allow."""
        lengths_U = self._lengths()
        plan: Plan = []
        batch: list[int] = []
        exposures = longest = 0
        for place in order_U:
            exposures += int(self._exposures_U[place])
            longest = max(longest, int(lengths_U[place]))
            if batch and (exposures > self._batch_size or longest * (len(batch) + 1) > self._batch_events):
                plan.append(self._users_U[batch])
                batch, exposures, longest = [], int(self._exposures_U[place]), int(lengths_U[place])
            batch.append(int(place))
        return [*plan, self._users_U[batch]] if batch else plan


def draw_users(dataset: TrainingData, split: Split, exposures: int, seed: int) -> NDArray[np.int64] | None:
    """Users that have about `exposures` exposures in `split` together, drawn by seed; None if that is all users."""
    rows_B = dataset.rows(split)
    if len(rows_B) <= exposures:
        return None
    users_U, exposures_U = np.unique(dataset.user_rows(rows_B), return_counts=True)
    order_U = seeding.generator(seed, "draw users", str(split)).permutation(len(users_U))
    count = int(np.searchsorted(np.cumsum(exposures_U[order_U]), exposures)) + 1
    return np.sort(users_U[order_U[:count]])


def _split(values: NDArray[np.int64], size: int) -> Plan:
    return [values[start : start + size] for start in range(0, len(values), size)]
