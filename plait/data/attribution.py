"""Which behaviours fulfil which objectives of which exposures, as known at an as-of time.

For objective o with an action, a least value and a window w, a behaviour b counts for an exposure e when its action and
value fit, `0 <= b.time - e.time <= w`, `b.available_time <= as_of(e)`, and b belongs to e: e is the exposure
of the same user that b names by `exposure_id`, or, where it names none and o allows last touch, the latest
exposure of user and item with `e.time <= b.time` (of several then, the one whose exposure_id comes last). The first
fulfilment follows the funnel:

    first_o(e) = min { b.time : b counts for e and o, b.time >= first_parent(o)(e) },   label_o(e) = 1 if there is one

A label is mature once the largest window w* on the way to the funnel's top is over: `e.time + w* <= as_of(e)`. Before
that a 0 means "unknown", not "no".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait.config import ObjectiveSettings
from plait.data.ordering import Timeline, bits_for, shared_codes
from plait.schema import Columns as C

NEVER = np.iinfo(np.int64).max
"""First fulfilment of an objective that has none."""


@dataclass(frozen=True, slots=True)
class Touches:
    """Behaviours that belong to an exposure, whatever objective they may count for."""

    exposure_N: NDArray[np.int64]
    """Row of the exposure."""
    time_N: NDArray[np.int64]
    available_N: NDArray[np.int64]
    action_N: NDArray[np.int64]
    """Place of the action in `relevant_actions`."""
    value_N: NDArray[np.float64]
    """NaN where there is none."""
    named_N: NDArray[np.bool_]
    """The behaviour names the exposure by its id."""


def relevant_actions(objectives: Sequence[ObjectiveSettings]) -> list[str]:
    """The actions that some objective waits for, in order of first mention."""
    return list(dict.fromkeys(objective.action for objective in objectives))


def find_touches(
    exposures: pl.DataFrame, behaviours: pl.DataFrame, timeline: Timeline, objectives: Sequence[ObjectiveSettings]
) -> Touches:
    """The exposure that each behaviour belongs to; behaviours without one, or of no objective's action, drop out.

    Args:
        exposures: `user` (codes), `time`, `item_id`, `exposure_id`, sorted by user, time and exposure_id.
        behaviours: `user` (codes), `time`, `available_time`, `item_id`, `action`, `value`, `exposure_id`.
        timeline: covers the times of both.
        objectives: says which actions matter.
    """
    actions = pl.Enum(relevant_actions(objectives))
    code = pl.col(C.ACTION).cast(pl.String).cast(actions, strict=False).to_physical().cast(pl.Int64)
    columns = ["user", C.TIME, C.AVAILABLE_TIME, C.ITEM_ID, C.VALUE, C.EXPOSURE_ID, code.alias("action_code")]
    relevant = behaviours.select(columns).filter(pl.col("action_code").is_not_null())
    parts = [_named(exposures, relevant)]
    if any(objective.attribution == "last_touch" for objective in objectives):
        parts.append(_last_touched(exposures, relevant.filter(pl.col(C.EXPOSURE_ID).is_null()), timeline))
    found = pl.concat(parts)
    return Touches(
        exposure_N=found["row"].to_numpy(),
        time_N=found[C.TIME].to_numpy(),
        available_N=found[C.AVAILABLE_TIME].to_numpy(),
        action_N=found["action_code"].to_numpy(),
        value_N=found[C.VALUE].fill_null(np.nan).to_numpy(),
        named_N=found["named"].to_numpy(),
    )


def labels_of(
    touches: Touches, time_B: NDArray[np.int64], as_of_B: NDArray[np.int64], objectives: Sequence[ObjectiveSettings]
) -> dict[str, NDArray[np.bool_]]:
    """The label of every objective, per exposure.

    Args:
        touches: behaviours with their exposures.
        time_B: exposure times, epoch milliseconds.
        as_of_B: as-of time of each exposure, epoch milliseconds.
        objectives: in any order; parents are looked up by name.
    """
    delay_N = touches.time_N - time_B[touches.exposure_N]
    known_N = (delay_N >= 0) & (touches.available_N <= as_of_B[touches.exposure_N])
    actions = relevant_actions(objectives)
    by_name = {objective.name: objective for objective in objectives}
    first: dict[str, NDArray[np.int64]] = {}

    def first_of(objective: ObjectiveSettings) -> NDArray[np.int64]:
        if objective.name not in first:
            counts_N = known_N & (touches.action_N == actions.index(objective.action)) & (delay_N <= objective.window)
            if objective.attribution == "exposure_id":
                counts_N &= touches.named_N
            if objective.min_value is not None:
                counts_N &= touches.value_N >= objective.min_value
            if objective.parent is not None:
                counts_N &= touches.time_N >= first_of(by_name[objective.parent])[touches.exposure_N]
            first_B = np.full(len(time_B), NEVER)
            np.minimum.at(first_B, touches.exposure_N[counts_N], touches.time_N[counts_N])
            first[objective.name] = first_B
        return first[objective.name]

    return {objective.name: first_of(objective) < NEVER for objective in objectives}


def maturity_window(objective: ObjectiveSettings, objectives: Sequence[ObjectiveSettings]) -> int:
    """The largest window on the way from `objective` to the top of its funnel, in milliseconds."""
    by_name = {other.name: other for other in objectives}
    window = objective.window
    while objective.parent is not None:
        objective = by_name[objective.parent]
        window = max(window, objective.window)
    return window


_FOUND = ("row", C.TIME, C.AVAILABLE_TIME, "action_code", C.VALUE, "named")


def _named(exposures: pl.DataFrame, behaviours: pl.DataFrame) -> pl.DataFrame:
    """Behaviours that name an exposure of their own user."""
    naming = behaviours.filter(pl.col(C.EXPOSURE_ID).is_not_null())
    if naming.is_empty():
        return naming.with_columns(row=pl.lit(0, pl.Int64), named=pl.lit(value=True)).select(_FOUND)
    shown = exposures.select(C.EXPOSURE_ID, shown_to="user").with_row_index("row")
    joined = naming.join(shown, on=C.EXPOSURE_ID, how="inner").filter(pl.col("user") == pl.col("shown_to"))
    return joined.with_columns(pl.col("row").cast(pl.Int64), named=pl.lit(value=True)).select(_FOUND)


def _last_touched(exposures: pl.DataFrame, behaviours: pl.DataFrame, timeline: Timeline) -> pl.DataFrame:
    """Behaviours whose user saw their item before, with the latest such exposure.

    Rows of `exposures` are in time order within a user, so the pairs (item, row) in order hold, for one user and item,
    the exposures in time order; the one before (item, number of exposures up to the behaviour) is the latest.
    """
    if behaviours.is_empty() or exposures.is_empty():
        return behaviours.clear().with_columns(row=pl.lit(0, pl.Int64), named=pl.lit(value=False)).select(_FOUND)
    user_B, user_N = exposures["user"].to_numpy(), behaviours["user"].to_numpy()
    key_B = timeline.key(user_B, exposures[C.TIME].to_numpy())
    upto_N = np.searchsorted(key_B, timeline.key(user_N, behaviours[C.TIME].to_numpy()), side="right")
    _, (item_B, item_N) = shared_codes(exposures[C.ITEM_ID], behaviours[C.ITEM_ID])
    bits = bits_for(len(user_B) + 1)
    shown = np.sort((item_B << bits) | np.arange(len(user_B)))
    place_N = np.searchsorted(shown, (item_N << bits) | upto_N, side="left") - 1
    before = shown[np.maximum(place_N, 0)]
    row_N = before & ((1 << bits) - 1)
    found_N = (place_N >= 0) & (before >> bits == item_N) & (user_B[row_N] == user_N)
    columns = behaviours.with_columns(row=pl.Series(row_N), named=pl.lit(value=False)).select(_FOUND)
    return columns.filter(pl.Series(found_N))
