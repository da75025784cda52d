"""What training asks of a dataset, and in which order it takes the exposures."""

import math
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from plait import seeding
from plait.features.batch import FeatureBatch
from plait.features.spec import FeatureSpec
from plait.models.ranker import Layout, Ranker, SplitRanker
from plait.schema import Split
from plait.training.config import TrainingConfig

_BUCKET_BATCHES = 16
"""In the user layout, stretches of this many batches are sorted by length together."""
_LOOKAHEAD = 2
"""Batches that are made while the model works on the one before."""

Plan = list[NDArray[np.int64]]
"""The batches of one pass: rows of exposures, or numbers of stretches in the user layout."""


class TrainingData(Protocol):
    """The part of `EncodedDataset` that training needs."""

    @property
    def spec(self) -> FeatureSpec: ...

    def rows(self, split: Split) -> NDArray[np.int64]:
        """Rows of the exposures of one split, ascending."""

    def user_rows(self, rows_B: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of the users of exposures."""

    def before(self, rows_B: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many events of its user each exposure may see."""

    def impression_batch(self, rows_B: NDArray[np.int64], length: int | NDArray[np.int64]) -> FeatureBatch:
        """Any exposures, each with its own last `length` events (one number for all, or one for each)."""

    def grouped_batch(
        self, rows_B: NDArray[np.int64], group_B: NDArray[np.int64], length: int, step: int = 1
    ) -> FeatureBatch:
        """The user layout: exposures in groups of one user each, each group's events once; see `EncodedDataset`."""


class Loader:
    """Batches of one split in the layout that a model likes.

    In the user layout a batch consists of *stretches*: the exposures of one user that lie within `history - lookback`
    events of one another, over one slice of at most `history` events that begins at a multiple of that difference. A
    batch so holds stretches of many users, and not many exposures of few, whose labels would be alike; the number of
    events that are passed over is the same. Where `history` equals `lookback` a stretch is a whole user.

    Args:
        dataset: what to read.
        split: which exposures.
        model: names the layout and how many events it wants.
        batch_size: exposures a batch.
        batch_events: in the user layout, the most events a batch holds, padding included.
        layout: None for the one that the model likes.
        users_U: only exposures of these users; None for all.
        rows_B: only these exposures, ascending; None for all.
    """

    def __init__(
        self,
        dataset: TrainingData,
        split: Split,
        model: Ranker,
        *,
        batch_size: int,
        batch_events: int,
        layout: Layout | None = None,
        users_U: NDArray[np.int64] | None = None,
        rows_B: NDArray[np.int64] | None = None,
    ) -> None:
        self._dataset = dataset
        self._layout = layout or model.layout
        self._model = model
        self._batch_size = batch_size
        self._batch_events = batch_events
        self._rows_B = dataset.rows(split) if rows_B is None else rows_B
        if users_U is not None:
            self._rows_B = self._rows_B[np.isin(dataset.user_rows(self._rows_B), users_U)]
        if self._layout == "user":
            self._find_stretches()

    def __len__(self) -> int:
        """Number of exposures."""
        return len(self._rows_B)

    def in_order(self) -> Plan:
        """The batches of a pass that reads on: the same every time."""
        if self._layout == "impression":
            return _split(self._rows_B, self._batch_size)
        return self._fill_batches(np.argsort(self._events_C, kind="stable"))

    def shuffled(self, seed: int, epoch: int) -> Plan:
        """The batches of one epoch, in an order that follows from seed and epoch alone.

        User layout: stretches are shuffled, sorted by number of events within buckets of several batches (so that
        little is padding), cut into batches, and the batches are shuffled.
        """
        rng = seeding.generator(seed, "shuffle", epoch)
        if self._layout == "impression":
            return _split(rng.permutation(self._rows_B), self._batch_size)
        plan: Plan = []
        for bucket_C in _split(rng.permutation(len(self._events_C)), self._bucket_size()):
            plan += self._fill_batches(bucket_C[np.argsort(self._events_C[bucket_C], kind="stable")])
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
            return self._dataset.impression_batch(rows_B, self._windows(rows_B)), rows_B
        chosen_C = np.sort(keys)
        sizes_C = self._exposures_C[chosen_C]
        group_B = np.repeat(np.arange(len(chosen_C)), sizes_C)
        within_B = np.arange(len(group_B)) - np.repeat(np.cumsum(sizes_C) - sizes_C, sizes_C)
        rows_B = self._stretched_B[self._first_C[chosen_C][group_B] + within_B]
        return self._dataset.grouped_batch(rows_B, group_B, self._model.lookback, self._step), rows_B

    @property
    def _step(self) -> int:
        """In how many events exposures of one stretch may lie apart; slices begin at its multiples."""
        return max(1, self._model.history - self._model.lookback)

    def _windows(self, rows_B: NDArray[np.int64]) -> int | NDArray[np.int64]:
        """How many events exposures on their own are given: to a split ranker, what a request would be."""
        if not isinstance(self._model, SplitRanker):
            return self._model.history
        return np.array([self._model.window(before) for before in self._dataset.before(rows_B).tolist()], np.int64)

    def _find_stretches(self) -> None:
        """Sort the exposures by stretch; note where each of the C stretches begins, and its exposures and events."""
        user_B, before_B = self._dataset.user_rows(self._rows_B), self._dataset.before(self._rows_B)
        whole_users = self._model.history == self._model.lookback
        chunk_B = np.zeros_like(before_B) if whole_users else before_B // self._step
        order_B = np.lexsort((self._rows_B, chunk_B, user_B))
        self._stretched_B = self._rows_B[order_B]
        user_B, before_B, chunk_B = user_B[order_B], before_B[order_B], chunk_B[order_B]
        changes_B = (np.diff(user_B, prepend=-1) != 0) | (np.diff(chunk_B, prepend=-1) != 0)
        self._first_C = np.flatnonzero(changes_B)
        self._exposures_C = np.diff(np.append(self._first_C, len(user_B)))
        if len(self._first_C):
            low_C = np.minimum.reduceat(before_B, self._first_C)
            high_C = np.maximum.reduceat(before_B, self._first_C)
            self._events_C = high_C - np.maximum(low_C - self._model.lookback, 0) // self._step * self._step
        else:
            self._events_C = np.empty(0, np.int64)

    def _bucket_size(self) -> int:
        """How many stretches are sorted together: those of several batches."""
        if not len(self._events_C):
            return 1
        by_exposures = self._batch_size / float(self._exposures_C.mean())
        by_events = self._batch_events / max(1.0, float(self._events_C.mean()))
        return max(1, round(_BUCKET_BATCHES * min(by_exposures, by_events)))

    def _fill_batches(self, order_C: NDArray[np.int64]) -> Plan:
        """Batches of stretches in the given order, each as large as exposures and padded events allow."""
        plan: Plan = []
        batch: list[int] = []
        exposures = longest = 0
        for place in order_C.tolist():
            exposures += int(self._exposures_C[place])
            longest = max(longest, int(self._events_C[place]))
            if batch and (exposures > self._batch_size or longest * (len(batch) + 1) > self._batch_events):
                plan.append(np.array(batch))
                batch, exposures, longest = [], int(self._exposures_C[place]), int(self._events_C[place])
            batch.append(place)
        return [*plan, np.array(batch)] if batch else plan


def training_rows(dataset: TrainingData, config: TrainingConfig) -> NDArray[np.int64]:
    """Rows of the training window: all, or the share of them that the settings draw."""
    rows_B = dataset.rows(Split.TRAIN)
    if config.share == 1:
        return rows_B
    if config.share_of == "users":
        users_U = draw_users(dataset, Split.TRAIN, math.ceil(config.share * len(rows_B)), config.seed)
        return rows_B if users_U is None else rows_B[np.isin(dataset.user_rows(rows_B), users_U)]
    count = max(1, round(config.share * len(rows_B)))
    return np.sort(seeding.generator(config.seed, "training share").permutation(rows_B)[:count])


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
