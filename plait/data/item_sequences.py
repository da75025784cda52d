"""Item sequences: each user's behaviours in stable time order as codes, and which of them are held out.

The catalogue is every item that appears in the log. One event is one behaviour: item, action, time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait.config import ActionSettings
from plait.errors import ArtifactError, DataError
from plait.schema import Columns as C
from plait.schema import Split, TableName

Protocol = Literal["validation", "published"]
"""Which events are held out: the last two of each user (validation, then test), or the last one only (test)."""

HELD_OUT: dict[Protocol, tuple[Split, ...]] = {
    "validation": (Split.VALID, Split.TEST),
    "published": (Split.TEST,),
}
"""What each protocol holds out of the end of a sequence, in order."""

ITEMS_FILE = "items.parquet"
_USERS_FILE = "users.parquet"
_NO_LOG_ID = -1


@dataclass(frozen=True, slots=True)
class Cases:
    """One held-out event per user: the events before it, and it."""

    user_U: NDArray[np.int64]
    """The users that have one."""
    start_U: NDArray[np.int64]
    """First event of each user's sequence."""
    target_U: NDArray[np.int64]
    """The held-out event; those from `start_U` up to it are known."""

    def __len__(self) -> int:
        return len(self.user_U)


@dataclass(frozen=True, slots=True)
class ItemSequences:
    """The events of U users, N in all, one user behind the other, each in order of arrival; ties as logged."""

    offsets_U1: NDArray[np.int64]
    """User u's events are `offsets_U1[u]:offsets_U1[u + 1]`."""
    item_N: NDArray[np.int32]
    """Row of `items`."""
    action_N: NDArray[np.int16]
    """Code of action and value bucket."""
    time_N: NDArray[np.int64]
    """Epoch ms."""
    log_id_N: NDArray[np.int64]
    """The exposure that the behaviour answers, where ids are integers (importers count the log's lines); else -1."""
    users: pl.DataFrame
    """One row per user: `user_id`."""
    items: pl.DataFrame
    """The catalogue: the clean items that appear in the log, V rows by id."""

    @classmethod
    def open(cls, folder: Path) -> "ItemSequences":
        """The sequences that `write_sequences` wrote.

        Raises:
            ArtifactError: a file is missing or damaged.
        """
        try:
            arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in _ARRAYS}
            users, items = (pl.read_parquet(folder / name) for name in (_USERS_FILE, ITEMS_FILE))
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            raise ArtifactError(f"{folder}: not item sequences: {error}; delete the folder and run again") from error
        return cls(**arrays, users=users, items=items)

    @property
    def actions(self) -> int:
        """Number of action codes."""
        return int(self.action_N.max()) + 1

    def training_lengths(self, protocol: Protocol) -> NDArray[np.int64]:
        """How many first events of each user may be learnt from: those before everything held out.

        A user keeps at least the first event, which is no target: then less is held out.
        """
        return np.asarray(np.maximum(np.diff(self.offsets_U1) - len(HELD_OUT[protocol]), 1))

    def cases(self, protocol: Protocol, split: Split) -> Cases:
        """The held-out events of one split: the last of each user is the test's, the one before it the validation's.

        A user with n events has a held-out event only where at least one event comes before it.
        """
        held_out = HELD_OUT[protocol]
        if split not in held_out:
            return Cases(*(np.empty(0, np.int64) for _ in range(3)))
        target_U = self.offsets_U1[1:] - len(held_out) + held_out.index(split)
        start_U = self.offsets_U1[:-1]
        user_U = np.flatnonzero(target_U > start_U)
        return Cases(user_U, start_U[user_U], target_U[user_U])


_ARRAYS = [field.name for field in fields(ItemSequences) if field.name.endswith(("_N", "_U1"))]


def write_sequences(tables: Path, actions: Mapping[str, ActionSettings], out: Path) -> None:
    """Sequences of the clean tables, to `out`.

    Events are sorted by user and arrival (`max(time, received_time)`); what arrived in one moment keeps the order of
    the log: that of `exposure_id` where it is a number, then that of the table.

    Args:
        tables: folder with clean `behaviours/part-*.parquet` and `items/part-*.parquet`.
        actions: where an action's value is cut into buckets.
        out: folder to fill.

    Raises:
        DataError: there are no behaviours.
    """
    behaviours = _read(tables, TableName.BEHAVIOURS)
    if behaviours.is_empty():
        raise DataError(f"{tables / 'behaviours'}: found no rows, expected at least one behaviour to make sequences of")
    arrival = pl.max_horizontal(*(name for name in (C.TIME, C.RECEIVED_TIME) if name in behaviours.columns))
    events = behaviours.with_columns(arrival=arrival, log_id=_log_id(behaviours), kind=_kind(behaviours, actions))
    events = events.sort(C.USER_ID, "arrival", "log_id", maintain_order=True)
    items = events.select(C.ITEM_ID).unique().sort(C.ITEM_ID)
    users = events.select(pl.col(C.USER_ID).rle().alias("run")).unnest("run")
    arrays = {
        "offsets_U1": np.concatenate([[0], np.cumsum(users["len"].to_numpy(), dtype=np.int64)]),
        "item_N": _codes(events[C.ITEM_ID], items[C.ITEM_ID]).astype(np.int32),
        "action_N": _codes(events["kind"], events["kind"].unique().sort()).astype(np.int16),
        "time_N": events[C.TIME].to_numpy(),
        "log_id_N": events["log_id"].to_numpy(),
    }
    for name, array in arrays.items():
        np.save(out / f"{name}.npy", array, allow_pickle=False)
    users.select(pl.col("value").alias(C.USER_ID)).write_parquet(out / _USERS_FILE)
    known = _read(tables, TableName.ITEMS) if (tables / TableName.ITEMS).is_dir() else items
    items.join(known, on=C.ITEM_ID, how="left", maintain_order="left").write_parquet(out / ITEMS_FILE)


def _read(tables: Path, name: TableName) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(part) for part in sorted((tables / name).glob("part-*.parquet"))])


def _log_id(behaviours: pl.DataFrame) -> pl.Expr:
    numbered = behaviours.schema.get(C.EXPOSURE_ID, pl.String()).is_integer()
    return pl.col(C.EXPOSURE_ID).cast(pl.Int64).fill_null(_NO_LOG_ID) if numbered else pl.lit(_NO_LOG_ID, pl.Int64)


def _kind(behaviours: pl.DataFrame, actions: Mapping[str, ActionSettings]) -> pl.Expr:
    """Action and bucket of the value, as text that sorts: "rate/3"; "rate/" without a value or without edges."""
    bucket = pl.lit("")
    for name, settings in actions.items():
        if settings.value_edges and C.VALUE in behaviours.columns:
            place = pl.sum_horizontal(pl.col(C.VALUE) >= edge for edge in settings.value_edges).cast(pl.String)
            bucket = pl.when(pl.col(C.ACTION) == name).then(place.fill_null("")).otherwise(bucket)
    return pl.col(C.ACTION) + "/" + bucket


def _codes(values: pl.Series, distinct: pl.Series) -> NDArray[np.int64]:
    """The place of each value among `distinct`, which are sorted."""
    places = pl.DataFrame({"value": distinct, "place": np.arange(len(distinct))})
    joined = values.to_frame("value").join(places, on="value", how="left", maintain_order="left")
    return joined["place"].to_numpy()
