"""The behaviours that enter users' texts, as arrays: what was done, to which item, and from when it could be known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait.config import Workspace
from plait.embedding.catalogue import Catalogue, Key
from plait.schema import Columns as C
from plait.telemetry import progress


@dataclass(frozen=True)
class TextEvents:
    """U users, N events: those of user u are rows `offsets_U1[u]:offsets_U1[u + 1]`, in order of arrival."""

    users: Sequence[Key]
    offsets_U1: NDArray[np.int64]
    action_N: NDArray[np.int32]
    """Place among the actions."""
    item_N: NDArray[np.int32]
    """Row in the catalogue."""
    time_N: NDArray[np.int64]
    available_N: NDArray[np.int64]
    """From when each may be used, ascending for each user; epoch milliseconds."""

    def known_before(self, user_B: NDArray[np.int64], time_B: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many events of each user were available strictly before each time."""
        counts_B = np.empty(len(user_B), np.int64)
        order_B = np.argsort(user_B, kind="stable")
        starts = np.flatnonzero(np.diff(user_B[order_B], prepend=-1))
        for rows in np.split(order_B, starts[1:]) if len(order_B) else []:
            user = int(user_B[rows[0]])
            own_N = self.available_N[self.offsets_U1[user] : self.offsets_U1[user + 1]]
            counts_B[rows] = np.searchsorted(own_N, time_B[rows], side="left")
        return counts_B

    @property
    def lengths_U(self) -> NDArray[np.int64]:
        """How many events each user has."""
        return np.diff(self.offsets_U1)


def text_actions(workspace: Workspace) -> dict[str, str]:
    """The actions that enter users' texts and what these call them.

    Where `[embedding] actions` says nothing: the actions of the objectives that are worth something (of all, if none
    is), under their own names.
    """
    if workspace.embedding.actions:
        return workspace.embedding.actions
    worth = [objective.action for objective in workspace.objectives if objective.value > 0]
    return {action: action for action in worth or [objective.action for objective in workspace.objectives]}


def read_events(samples: Path, catalogue: Catalogue, actions: Mapping[str, str]) -> TextEvents:
    """The events of these actions, of all users of the samples, on items that the catalogue has."""
    codes = pl.DataFrame({C.ACTION: list(actions), "_action": np.arange(len(actions), dtype=np.int32)})
    items = pl.DataFrame({C.ITEM_ID: list(catalogue.rows), "_item": np.array(list(catalogue.rows.values()), np.int32)})
    parts: list[pl.DataFrame] = []
    users: list[Key] = []
    files = sorted((samples / "users").glob("part-*.parquet"))
    with progress("reading behaviour", len(files)) as advance:
        for file in files:
            wanted = [C.USER_ID, C.ITEM_ID, C.ACTION, C.TIME, C.AVAILABLE_TIME]
            part = pl.read_parquet(file, columns=wanted)
            base = len(users)
            users += part[C.USER_ID].to_list()
            parts.append(_events_of(part.with_row_index("_user", base), codes, items))
            advance()
    events = pl.concat(parts) if parts else pl.DataFrame(schema={"_user": pl.UInt32})
    lengths_U = np.bincount(events["_user"].to_numpy(), minlength=len(users))
    arrays = (events[name].to_numpy() for name in ("_action", "_item", C.TIME, C.AVAILABLE_TIME))
    return TextEvents(users, np.concatenate([[0], np.cumsum(lengths_U)]), *arrays)


def _events_of(part: pl.DataFrame, codes: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """The rows of one part's lists that are wanted, in their order."""
    lists = [C.ITEM_ID, C.ACTION, C.TIME, C.AVAILABLE_TIME]
    rows = part.drop(C.USER_ID).explode(lists, empty_as_null=False, keep_nulls=False)
    rows = rows.filter(pl.col(C.ACTION).is_in(codes[C.ACTION].implode()))
    kept = rows.join(codes, on=C.ACTION, maintain_order="left").join(items, on=C.ITEM_ID, maintain_order="left")
    return kept.select("_user", "_action", "_item", C.TIME, C.AVAILABLE_TIME)
