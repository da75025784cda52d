"""One bucket of users in memory: their exposures and behaviours into exposure samples and user samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait.config import ObjectiveSettings
from plait.data.attribution import find_touches, labels_of, maturity_window
from plait.data.ordering import Timeline, order_by, shared_codes
from plait.data.sequences import arrival_order, behaviours_before, user_samples
from plait.data.splits import SPLITS, Plan, split_codes
from plait.schema import Columns as C
from plait.schema import label_column, mature_column

BEHAVIOUR_COLUMNS: tuple[str, ...] = (
    C.TIME,
    C.USER_ID,
    C.ITEM_ID,
    C.ACTION,
    C.VALUE,
    C.SCENARIO,
    C.EXPOSURE_ID,
    C.RECEIVED_TIME,
)
"""The columns that tell behaviours apart: rows that agree in all of them are one behaviour, logged more than once."""


@dataclass(frozen=True, slots=True)
class BucketSamples:
    """What a bucket becomes."""

    exposures: pl.DataFrame
    users: pl.DataFrame


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows in order by user and time, with their fused keys and each user's first row."""

    frame: pl.DataFrame
    user_N: NDArray[np.int64]
    key_N: NDArray[np.int64]
    starts_U1: NDArray[np.int64]

    def coded(self) -> pl.DataFrame:
        """The rows with the users' codes beside them."""
        return self.frame.with_columns(user=pl.Series(self.user_N, dtype=pl.Int64))


def bucket_samples(
    exposures: pl.DataFrame, behaviours: pl.DataFrame, objectives: Sequence[ObjectiveSettings], plan: Plan
) -> BucketSamples:
    """The samples of all users of one bucket; the same for any order of the rows and any repeats among them.

    Args:
        exposures: all exposures of the bucket's users, with all their columns.
        behaviours: all behaviours of the bucket's users, with `BEHAVIOUR_COLUMNS`.
        objectives: what to label.
        plan: splits and as-of times.
    """
    exposures = _unrepeated(exposures.rechunk())  # gathering rows from many chunks takes several times as long
    behaviours = complete_behaviours(behaviours.rechunk(), exposures)
    users, (user_B, user_N) = shared_codes(exposures[C.USER_ID], behaviours[C.USER_ID])
    shown_B, done_N, arrival_N = exposures[C.TIME], behaviours[C.TIME], behaviours[C.AVAILABLE_TIME]
    timeline = Timeline.over(len(users), *(times.to_numpy() for times in (shown_B, done_N, arrival_N)))
    key_B, key_N = timeline.key(user_B, shown_B.to_numpy()), timeline.key(user_N, arrival_N.to_numpy())

    def ordered(
        frame: pl.DataFrame, user: NDArray[np.int64], key: NDArray[np.int64], order: NDArray[np.int64]
    ) -> _Rows:
        return _Rows(frame[order], user[order], key[order], timeline.starts(len(users), key[order]))

    order_B = order_by(key_B, exposures, [C.EXPOSURE_ID], [C.EXPOSURE_ID])
    shown = ordered(exposures, user_B, key_B, order_B)
    done = ordered(behaviours, user_N, key_N, arrival_order(behaviours, key_N, BEHAVIOUR_COLUMNS))
    samples = _labelled(shown, done, timeline, objectives, plan)
    before_B = behaviours_before(shown.key_N, shown.user_N, done.key_N, done.starts_U1)
    samples = samples.with_columns(pl.Series(C.BEFORE, before_B))
    return BucketSamples(samples, user_samples(users, done.frame, done.starts_U1))


def _unrepeated(exposures: pl.DataFrame) -> pl.DataFrame:
    """One row per user and exposure id: the earliest, and of those the first by the other columns."""
    key = [C.USER_ID, C.EXPOSURE_ID]
    if exposures[C.EXPOSURE_ID].n_unique() == len(exposures):
        return exposures
    sortable = [name for name, dtype in exposures.schema.items() if not dtype.is_nested() and name != C.TIME]
    return exposures.sort(C.TIME, *sortable).unique(key, keep="first", maintain_order=True)


def complete_behaviours(behaviours: pl.DataFrame, exposures: pl.DataFrame) -> pl.DataFrame:
    """`BEHAVIOUR_COLUMNS` (null where a table has no such column) and the time of arrival."""
    kinds = {
        C.VALUE: pl.Float64(),
        C.SCENARIO: pl.String(),
        C.EXPOSURE_ID: exposures.schema[C.EXPOSURE_ID],
        C.RECEIVED_TIME: pl.Int64(),
    }
    absent = [pl.lit(None, kind).alias(name) for name, kind in kinds.items() if name not in behaviours.columns]
    full = behaviours.with_columns(absent)
    if full[C.EXPOSURE_ID].null_count() == len(full):  # an all-null column may have come with any type
        full = full.with_columns(pl.lit(None, kinds[C.EXPOSURE_ID]).alias(C.EXPOSURE_ID))
    arrival = pl.max_horizontal(C.TIME, C.RECEIVED_TIME)  # ignores nulls
    return full.select(*BEHAVIOUR_COLUMNS, arrival.alias(C.AVAILABLE_TIME)).with_columns(
        pl.col(C.VALUE).cast(pl.Float64)
    )


def _labelled(
    shown: _Rows, done: _Rows, timeline: Timeline, objectives: Sequence[ObjectiveSettings], plan: Plan
) -> pl.DataFrame:
    """The exposures with labels, maturity and split."""
    time_B = shown.frame[C.TIME].to_numpy()
    split_B = split_codes(plan, time_B, shown.starts_U1)
    as_of_B = np.array(plan.as_of)[split_B]
    labels = labels_of(find_touches(shown.coded(), done.coded(), timeline, objectives), time_B, as_of_B, objectives)
    columns: list[pl.Series] = []
    for objective in objectives:
        mature_B = time_B + maturity_window(objective, objectives) <= as_of_B
        columns.append(pl.Series(label_column(objective.name), labels[objective.name].astype(np.int8)))
        columns.append(pl.Series(mature_column(objective.name), mature_B))
    names = pl.Series(C.SPLIT, [split.value for split in SPLITS])
    return shown.frame.with_columns(columns).with_columns(names[split_B].alias(C.SPLIT))
