"""A small dataset in memory with something to learn, for tests of training."""

import numpy as np
from numpy.typing import NDArray

from plait import seeding
from plait.features.batch import FeatureBatch
from plait.features.spec import FeatureSpec
from plait.schema import Split
from plait.testing.batches import random_batch, random_item_fields, small_spec

_SPLITS = (Split.TRAIN, Split.VALID, Split.TEST)


class SmallDataset:
    """What training asks of an encoded dataset, over a random batch of whole users.

    A label is likely where the item's category is the one of the user's last event, and items differ in their rates;
    so every model family has something to find, and sequence models more than the others.

    Args:
        users: number of users.
        exposures: exposures of each.
        max_history: the longest history.
        seed: of everything.
    """

    def __init__(self, users: int = 60, exposures: int = 20, max_history: int = 30, *, seed: int = 0) -> None:
        self.spec: FeatureSpec = small_spec(objectives=2)
        self.item_fields_VI = random_item_fields(self.spec, seed=seed)
        whole = random_batch(
            self.spec,
            self.item_fields_VI,
            users=users,
            exposures_per_user=exposures,
            max_history=max_history,
            seed=seed,
        )
        rng = seeding.generator(seed, "small dataset")
        self._whole = whole
        self._labels_BT = (rng.random(whole.labels_BT.shape) < self._rates(rng)[:, None]).astype(np.float32)
        self._split_B = np.tile(np.repeat([0, 1, 2], [exposures - 2 * (exposures // 4)] + [exposures // 4] * 2), users)

    def rows(self, split: Split) -> NDArray[np.int64]:
        return np.flatnonzero(self._split_B == _SPLITS.index(split))

    def user_rows(self, rows_B: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._whole.user_B[rows_B]

    def before(self, rows_B: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._whole.before_B[rows_B]

    def impression_batch(self, rows_B: NDArray[np.int64], length: int | NDArray[np.int64]) -> FeatureBatch:
        """Exposures with a copy each of their last `length` events."""
        kept_B = np.minimum(self._whole.before_B[rows_B], length)
        stop_B = self._whole.history_offsets_U1[self._whole.user_B[rows_B]] + self._whole.before_B[rows_B]
        return self._batch(rows_B, np.arange(len(rows_B)), kept_B, stop_B - kept_B, kept_B)

    def grouped_batch(
        self, rows_B: NDArray[np.int64], group_B: NDArray[np.int64], length: int, step: int = 1
    ) -> FeatureBatch:
        """Exposures in groups of one user each; a group's events from `length` before its first exposure on."""
        before_B = self._whole.before_B[rows_B]
        groups = range(int(group_B.max()) + 1)
        low_U = np.array([max(0, before_B[group_B == group].min() - length) // step * step for group in groups])
        high_U = np.array([before_B[group_B == group].max() for group in groups])
        user_U = np.array([self._whole.user_B[rows_B][group_B == group][0] for group in groups])
        start_U = self._whole.history_offsets_U1[user_U] + low_U
        return self._batch(rows_B, group_B, before_B - low_U[group_B], start_U, high_U - low_U)

    def _batch(
        self,
        rows_B: NDArray[np.int64],
        user_B: NDArray[np.int64],
        before_B: NDArray[np.int64],
        start_U: NDArray[np.int64],
        length_U: NDArray[np.int64],
    ) -> FeatureBatch:
        whole = self._whole
        events_N = np.concatenate([np.arange(a, a + n) for a, n in zip(start_U, length_U, strict=True)]).astype(int)
        return FeatureBatch(
            categorical_BF=whole.categorical_BF[rows_B],
            numeric_BG=whole.numeric_BG[rows_B],
            bag_BP=whole.bag_BP[rows_B],
            token_offsets_J1=whole.token_offsets_J1,
            token_codes_N=whole.token_codes_N,
            scenario_B=whole.scenario_B[rows_B],
            time_B=whole.time_B[rows_B],
            user_B=user_B,
            before_B=before_B,
            history_offsets_U1=np.concatenate([[0], np.cumsum(length_U)]),
            history_item_N=whole.history_item_N[events_N],
            history_action_N=whole.history_action_N[events_N],
            history_scenario_N=whole.history_scenario_N[events_N],
            history_time_N=whole.history_time_N[events_N],
            labels_BT=self._labels_BT[rows_B],
            mask_BT=whole.mask_BT[rows_B],
        )

    def _rates(self, rng: np.random.Generator) -> NDArray[np.float64]:
        whole = self._whole
        item_B = whole.categorical_BF[:, self.spec.item_columns[0]]
        last_B = np.maximum(whole.history_offsets_U1[whole.user_B] + whole.before_B - 1, 0)
        category_B = self.item_fields_VI[whole.history_item_N[last_B], 1]
        alike_B = (category_B == whole.categorical_BF[:, self.spec.item_columns[1]]) & (whole.before_B > 0)
        return np.where(alike_B, 0.85, 0.6 * rng.random(len(self.item_fields_VI))[item_B])
