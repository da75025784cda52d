"""Encoded samples, mapped from disk, and the batches that training takes from them."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait.features.assembly import ContextRows, FeatureTables, References
from plait.features.batch import FeatureBatch
from plait.features.history import History, HistoryFacts
from plait.features.preference import Shown
from plait.features.spec import FeatureSpec
from plait.features.store import EXPOSURE_IDS_FOLDER, EncodedArrays
from plait.schema import Split

_SPLITS = list(Split)


class EncodedDataset:
    """The encoded samples of one workspace.

    Exposures are numbered from 0 ("rows") in the order of the samples: by part, user and time. Users are numbered by
    their rows in the user table, from 1.
    """

    def __init__(self, tables: FeatureTables, arrays: EncodedArrays, exposure_ids: Path) -> None:
        self.tables = tables
        self.arrays = arrays
        self._exposure_ids_folder = exposure_ids

    @classmethod
    def open(cls, path: Path, groups: Sequence[Path] = ()) -> "EncodedDataset":
        """The dataset that `encode_samples` wrote to `path`; arrays are mapped, not read.

        Args:
            path: the folder.
            groups: folders of derived feature groups whose columns batches have behind the others.

        Raises:
            ArtifactError: a folder is missing, unfinished or damaged, or a group is of other samples.
        """
        return cls(FeatureTables.load(path, groups), EncodedArrays.open(path), path / EXPOSURE_IDS_FOLDER)

    @property
    def spec(self) -> FeatureSpec:
        return self.tables.spec

    @property
    def item_fields_VI(self) -> NDArray[np.int32]:
        """Codes of the item fields and their lists by item code, for the items of a sequence."""
        return self.tables.item_fields_VI

    def __len__(self) -> int:
        """Number of exposures."""
        return len(self.arrays.time_E)

    def rows(self, split: Split) -> NDArray[np.int64]:
        """Rows of the exposures of one split, ascending."""
        return np.flatnonzero(self.arrays.split_E == _SPLITS.index(split))

    def users(self, split: Split) -> NDArray[np.int64]:
        """Rows of the users that have exposures in one split, ascending."""
        return np.unique(self.arrays.user_E[self.rows(split)]).astype(np.int64)

    def labels(self, rows_B: NDArray[np.int64]) -> NDArray[np.float32]:
        """`labels_BT` of exposures; meaningful only where `mask` is True."""
        return self.arrays.labels_ET[rows_B].astype(np.float32)

    def mask(self, rows_B: NDArray[np.int64]) -> NDArray[np.bool_]:
        """`mask_BT` of exposures: True where the label is mature."""
        return np.asarray(self.arrays.mature_ET[rows_B])

    def times(self, rows_B: NDArray[np.int64]) -> NDArray[np.int64]:
        """Times of exposures, epoch milliseconds."""
        return np.asarray(self.arrays.time_E[rows_B])

    def scenarios(self, rows_B: NDArray[np.int64]) -> NDArray[np.int32]:
        """Indices into the specification's scenarios."""
        return np.asarray(self.arrays.context_EF[rows_B, 0]) - 1

    def user_rows(self, rows_B: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of the users of exposures: what metrics by user group by."""
        return self.arrays.user_E[rows_B].astype(np.int64)

    def history_lengths(self, users_U: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number of events of users, those after their exposures included."""
        return np.asarray(self.arrays.event_length_U[users_U], np.int64)

    def item_rows(self, rows_B: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of the items of exposures in the item table."""
        return self.arrays.item_E[rows_B].astype(np.int64)

    def creative_rows(self, rows_B: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of the creatives of exposures in the creative table; 0 where there was none."""
        return self.arrays.creative_E[rows_B].astype(np.int64)

    def exposure_ids(self, rows_B: NDArray[np.int64]) -> pl.Series:
        """Ids of exposures, integers or text as in the tables."""
        return self._exposure_ids[rows_B]

    def history(self, user_row: int, before: int | None = None) -> History:
        """The first `before` events of one user as codes; all of them where `before` is None."""
        start = int(self.arrays.event_start_U[user_row])
        length = int(self.arrays.event_length_U[user_row])
        places_N = np.arange(start, start + (length if before is None else min(before, length)))
        return self._events(places_N)

    def impression_batch(self, rows_B: NDArray[np.int64], length: int | NDArray[np.int64]) -> FeatureBatch:
        """The `impression` layout: any exposures, each with its own copy of the last `length` events before it.

        Args:
            rows_B: exposures.
            length: the same number for all, or one for each.
        """
        user_B = self.arrays.user_E[rows_B]
        stop_B = self.arrays.event_start_U[user_B] + self.arrays.before_E[rows_B]
        kept_B = np.minimum(self.arrays.before_E[rows_B], length).astype(np.int64)
        return self._batch(rows_B, np.arange(len(rows_B)), kept_B, stop_B - kept_B, kept_B)

    def user_batch(
        self,
        users_U: NDArray[np.int64],
        length: int,
        splits: Sequence[Split] = (Split.TRAIN,),
        *,
        max_events: int | None = None,
    ) -> tuple[FeatureBatch, NDArray[np.int64]]:
        """The `user` layout: all exposures of some users, each user's events once.

        A user's slice of events begins `length` events before the first of the exposures and ends with the last event
        that the last one may see, so that every exposure finds its last `length` events in it. An exposure may
        find more than that: a model that must not look further back limits its attention itself. `before_B` counts
        from the beginning of the slice.

        Args:
            users_U: rows of users; those without exposures in `splits` have an empty slice.
            length: how many events every exposure must find.
            splits: which exposures.
            max_events: the longest slice; the oldest events are cut, so that early exposures find fewer (or none).

        Returns:
            The batch, and the row of each of its exposures.
        """
        rows_B, user_B = self._exposures_of(users_U, splits)
        return self._sliced(rows_B, user_B, users_U, length, max_events=max_events), rows_B

    def grouped_batch(
        self, rows_B: NDArray[np.int64], group_B: NDArray[np.int64], length: int, step: int = 1
    ) -> FeatureBatch:
        """The `user` layout over some exposures of some users: each group's events once.

        A group's slice of events is that of `user_batch`: from `length` events before its first exposure to the last
        event that its last one may see; it begins at a multiple of `step`, counted from the user's first event.

        Args:
            rows_B: exposures.
            group_B: group of each, from 0 without gaps; all exposures of a group are of one user.
            length: how many events every exposure must find.
            step: where slices may begin.
        """
        users_U = np.zeros(int(group_B.max()) + 1 if len(group_B) else 0, np.int64)
        users_U[group_B] = self.user_rows(rows_B)
        return self._sliced(rows_B, group_B, users_U, length, step=step)

    def before(self, rows_B: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many events of its user each exposure may see."""
        return self.arrays.before_E[rows_B].astype(np.int64)

    def _sliced(
        self,
        rows_B: NDArray[np.int64],
        user_B: NDArray[np.int64],
        users_U: NDArray[np.int64],
        length: int,
        *,
        max_events: int | None = None,
        step: int = 1,
    ) -> FeatureBatch:
        before_B = self.before(rows_B)
        first_U = np.full(len(users_U), np.iinfo(np.int64).max)
        np.minimum.at(first_U, user_B, before_B)
        last_U = np.zeros(len(users_U), np.int64)
        np.maximum.at(last_U, user_B, before_B)
        begin_U = np.minimum(np.maximum(first_U - length, 0), last_U) // step * step
        if max_events is not None:
            begin_U = np.maximum(begin_U, last_U - max_events)
        start_U = self.arrays.event_start_U[users_U] + begin_U
        relative_B = np.maximum(before_B - begin_U[user_B], 0)
        return self._batch(rows_B, user_B, relative_B, start_U, last_U - begin_U)

    def _batch(
        self,
        rows_B: NDArray[np.int64],
        user_B: NDArray[np.int64],
        before_B: NDArray[np.int64],
        start_U: NDArray[np.int64],
        length_U: NDArray[np.int64],
    ) -> FeatureBatch:
        arrays = self.arrays
        references = References(
            arrays.user_E[rows_B], arrays.item_E[rows_B], arrays.creative_E[rows_B], self.times(rows_B)
        )
        bags = arrays.context_bags(rows_B)
        context = ContextRows(arrays.context_EF[rows_B], arrays.context_numbers_EG[rows_B], bags)
        bag_BP, bags = self.tables.multi(references, context)
        derived = {"match_BG": np.asarray(arrays.match_EG[rows_B]), "preference_BG": self._preference(rows_B)}
        facts = HistoryFacts(arrays.history_counts_EC[rows_B], arrays.history_gaps_ED[rows_B])
        offsets_U1 = np.concatenate([[0], np.cumsum(length_U)]).astype(np.int64)
        events = self._events(np.arange(offsets_U1[-1]) + np.repeat(start_U - offsets_U1[:-1], length_U))
        return FeatureBatch(
            categorical_BF=self.tables.categorical(references, context),
            numeric_BG=self.tables.numeric(references, context, facts, **derived),
            bag_BP=bag_BP,
            token_offsets_J1=bags.offsets_J1,
            token_codes_N=bags.codes_N,
            scenario_B=context.codes_RF[:, 0] - 1,
            time_B=references.time_R,
            user_B=user_B,
            before_B=before_B,
            history_offsets_U1=offsets_U1,
            history_item_N=events.item_N,
            history_action_N=events.action_N,
            history_scenario_N=events.scenario_N,
            history_time_N=events.time_N,
            labels_BT=self.labels(rows_B),
            mask_BT=self.mask(rows_B),
        )

    def exposures_before(self, user_row: int, time: int, most: int) -> NDArray[np.int64]:
        """Rows of one user's last `most` exposures strictly before a time; none for an unknown user (row 0)."""
        start = int(self.arrays.exposure_start_U[user_row])
        times_N = self.arrays.time_E[start : start + int(self.arrays.exposure_length_U[user_row])]
        before = int(np.searchsorted(times_N, time, side="left"))
        return np.arange(start + max(before - most, 0), start + before)

    def shown(self, rows_B: NDArray[np.int64]) -> Shown:
        """Some exposures with when they were answered; none unless a group knows that."""
        group, arrays = self.tables.answers, self.arrays
        if group is None or group.answered_E is None:
            return Shown.empty()
        references = (arrays.item_E[rows_B], arrays.creative_E[rows_B], self.scenarios(rows_B), self.times(rows_B))
        return Shown(*references, np.asarray(group.answered_E[rows_B]))

    def _preference(self, rows_B: NDArray[np.int64]) -> NDArray[np.float32]:
        group = self.tables.answers
        if group is None or group.preference_EG is None:
            return np.zeros((1, 0), np.float32)
        return np.asarray(group.preference_EG[rows_B])

    def _events(self, places_N: NDArray[np.int64]) -> History:
        arrays = self.arrays
        return History(
            np.asarray(arrays.event_item_N[places_N]),
            arrays.event_action_N[places_N].astype(np.int32),
            arrays.event_scenario_N[places_N].astype(np.int32),
            np.asarray(arrays.event_time_N[places_N]),
        )

    def _exposures_of(
        self, users_U: NDArray[np.int64], splits: Sequence[Split]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of the users' exposures in these splits, and the place of each one's user in `users_U`."""
        length_U = self.arrays.exposure_length_U[users_U]
        first_U = np.cumsum(length_U) - length_U
        rows_B = np.arange(int(length_U.sum())) + np.repeat(self.arrays.exposure_start_U[users_U] - first_U, length_U)
        user_B = np.repeat(np.arange(len(users_U)), length_U)
        wanted_B = np.isin(self.arrays.split_E[rows_B], [_SPLITS.index(split) for split in splits])
        return rows_B[wanted_B], user_B[wanted_B]

    @cached_property
    def _exposure_ids(self) -> pl.Series:
        return pl.read_parquet(sorted(self._exposure_ids_folder.glob("part-*.parquet"))).to_series()
