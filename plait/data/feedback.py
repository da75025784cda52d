"""When each label became known: what delayed feedback is learned from, and what a label was at any earlier time.

A label turns to 1 once the behaviour that fulfils it has arrived, and those of its parents that came no later. For a
touch b of objective o (a behaviour that counts for the exposure, see `plait.data.attribution`)

    known(b) = max(b.available_time, min { known(c) : c a touch of o's parent, c.time <= b.time })

and the label is 1 as of t exactly if `min_b known(b) <= t`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait.config import ObjectiveSettings, Workspace
from plait.data.attribution import NEVER, Touches, find_touches, relevant_actions
from plait.data.buckets import BEHAVIOUR_COLUMNS, complete_behaviours
from plait.data.ordering import Timeline, order_by, shared_codes
from plait.schema import Columns as C
from plait.schema import TableName

_EXPOSURES = "exposures"


def known_times(
    touches: Touches, time_B: NDArray[np.int64], objectives: Sequence[ObjectiveSettings]
) -> dict[str, NDArray[np.int64]]:
    """When each exposure's label became known to be 1, by objective, epoch milliseconds; `NEVER` where it did not.

    Args:
        touches: behaviours with their exposures.
        time_B: exposure times, epoch milliseconds.
        objectives: in any order; parents are looked up by name.
    """
    delay_N = touches.time_N - time_B[touches.exposure_N]
    actions = relevant_actions(objectives)
    by_name = {objective.name: objective for objective in objectives}
    done: dict[str, NDArray[np.int64]] = {}

    def known(objective: ObjectiveSettings) -> NDArray[np.int64]:
        """Of every touch; `NEVER` for those that do not count."""
        if objective.name not in done:
            counts_N = (touches.action_N == actions.index(objective.action)) & (delay_N >= 0)
            counts_N &= delay_N <= objective.window
            if objective.attribution == "exposure_id":
                counts_N &= touches.named_N
            if objective.min_value is not None:
                counts_N &= touches.value_N >= objective.min_value
            known_N = np.where(counts_N, touches.available_N, NEVER)
            if objective.parent is not None:
                earlier_N = _earliest_before(touches, known(by_name[objective.parent]))
                known_N = np.where(counts_N, np.maximum(known_N, earlier_N), NEVER)
            done[objective.name] = known_N
        return done[objective.name]

    found = {}
    for objective in objectives:
        known_B = np.full(len(time_B), NEVER)
        np.minimum.at(known_B, touches.exposure_N, known(objective))
        found[objective.name] = known_B
    return found


def build_feedback(tables: Path, samples: Path, workspace: Workspace, out: Path) -> None:
    """Write `part-*.parquet` to `out`: the exposures of the samples, part by part and in their order.

    Columns: `exposure_id`, and per objective the milliseconds from the exposure until its label was known to be 1
    (null where the log ends before, or it never was).

    Args:
        tables: folder with clean `behaviours/part-*.parquet`.
        samples: folder that `build_samples` filled from them.
        workspace: objectives.
        out: folder to fill.
    """
    objectives = workspace.objectives
    relevant = pl.col(C.ACTION).cast(pl.String).is_in(relevant_actions(objectives))
    scan = pl.scan_parquet(tables / TableName.BEHAVIOURS / "*.parquet")
    present = scan.collect_schema().names()
    behaviours = scan.filter(relevant).select([name for name in BEHAVIOUR_COLUMNS if name in present]).collect()
    for part in sorted((samples / _EXPOSURES).glob("part-*.parquet")):
        exposures = pl.read_parquet(part, columns=[C.EXPOSURE_ID, C.USER_ID, C.ITEM_ID, C.TIME])
        own = behaviours.join(exposures.select(C.USER_ID).unique(), on=C.USER_ID, how="semi")
        _delays(exposures, own, objectives).write_parquet(out / part.name)


def _delays(exposures: pl.DataFrame, behaviours: pl.DataFrame, objectives: Sequence[ObjectiveSettings]) -> pl.DataFrame:
    behaviours = complete_behaviours(behaviours, exposures)
    users, (user_B, user_N) = shared_codes(exposures[C.USER_ID], behaviours[C.USER_ID])
    time_B = exposures[C.TIME].to_numpy()
    times = (time_B, behaviours[C.TIME].to_numpy(), behaviours[C.AVAILABLE_TIME].to_numpy())
    timeline = Timeline.over(len(users), *times)
    order_B = order_by(timeline.key(user_B, time_B), exposures, [C.EXPOSURE_ID], [C.EXPOSURE_ID])
    ordered = exposures.with_columns(user=pl.Series(user_B, dtype=pl.Int64))[order_B]
    coded = behaviours.with_columns(user=pl.Series(user_N, dtype=pl.Int64))
    known = known_times(find_touches(ordered, coded, timeline, objectives), time_B[order_B], objectives)
    columns = {}
    for name, known_B in known.items():
        after_B = np.empty(len(exposures), np.int64)
        after_B[order_B] = np.where(known_B < NEVER, known_B - time_B[order_B], -1)
        columns[name] = pl.Series(after_B).replace({-1: None})
    return exposures.select(C.EXPOSURE_ID).with_columns(**columns)


def _earliest_before(touches: Touches, known_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each touch the least of `known_N` among touches of its exposure that are no later; `NEVER` if none is.

    In order of exposure and time a running minimum does it, if it begins anew with each exposure: ranks of the times,
    less a step per exposure that is larger than any rank.
    """
    if not len(known_N):
        return known_N
    order_N = np.lexsort((touches.time_N, touches.exposure_N))
    exposure_N, time_N = touches.exposure_N[order_N], touches.time_N[order_N]
    values, rank_N = np.unique(known_N[order_N], return_inverse=True)
    step_N = exposure_N * (len(values) + 1)
    least_N = np.minimum.accumulate(rank_N - step_N) + step_N
    # Touches of one moment see each other: each takes what the last of them has.
    last_N = np.append((exposure_N[1:] != exposure_N[:-1]) | (time_N[1:] != time_N[:-1]), True)
    ends = np.flatnonzero(last_N)
    least_N = least_N[ends[np.searchsorted(ends, np.arange(len(least_N)))]]
    found_N = np.empty_like(known_N)
    found_N[order_N] = values[least_N]
    return found_N
