"""What retrieval may look at: the training window, and nothing after it."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait.config import Workspace
from plait.errors import DataError
from plait.features.dataset import EncodedDataset
from plait.retrieval.popular import ExposureGains
from plait.schema import Columns as C
from plait.schema import Split


def objective_values(workspace: Workspace) -> NDArray[np.float64]:
    """What one of each objective is worth, `[T]`; all 1 in a workspace that gives none a value."""
    values_T = np.array([objective.value for objective in workspace.objectives], np.float64)
    return values_T if values_T.any() else np.ones_like(values_T)


def unwanted_actions(workspace: Workspace) -> frozenset[str]:
    """Actions that fulfil objectives of negative value: what a user dislikes leads to no candidates."""
    return frozenset(objective.action for objective in workspace.objectives if objective.value < 0)


def training_gains(dataset: EncodedDataset, values_T: NDArray[np.float64]) -> ExposureGains:
    """The training window's exposures with what came of each: `sum over mature objectives of label * value`."""
    rows_E = dataset.rows(Split.TRAIN)
    gain_E = (dataset.labels(rows_E) * dataset.mask(rows_E)) @ values_T
    return ExposureGains(
        dataset.item_rows(rows_E), dataset.scenarios(rows_E).astype(np.int64), dataset.times(rows_E), gain_E
    )


def available_times(dataset: EncodedDataset, samples: Path) -> NDArray[np.int64]:
    """When each event of the dataset became available, epoch milliseconds, in the dataset's order.

    Raises:
        DataError: the samples are not those that the dataset was encoded from.
    """
    arrays = dataset.arrays
    available_N = np.empty(len(arrays.event_time_N), np.int64)
    filled = 0
    for part in sorted((samples / "users").glob("part-*.parquet")):
        users = pl.read_parquet(part, columns=[C.USER_ID, C.AVAILABLE_TIME])
        lengths_U = users[C.AVAILABLE_TIME].list.len().fill_null(0).cast(pl.Int64).to_numpy()
        rows_U = dataset.tables.users.ids.encode(users[C.USER_ID])
        if not np.array_equal(arrays.event_length_U[rows_U], lengths_U):
            raise DataError(f"{part}: its users' events are not those of the encoded dataset; encode the samples again")
        times_N = users[C.AVAILABLE_TIME].explode(empty_as_null=False).drop_nulls().to_numpy()
        first_U = np.cumsum(lengths_U) - lengths_U
        places_N = np.arange(len(times_N)) + np.repeat(arrays.event_start_U[rows_U] - first_U, lengths_U)
        available_N[places_N] = times_N
        filled += len(times_N)
    if filled != len(available_N):
        raise DataError(f"{samples}: holds {filled} events, the encoded dataset {len(available_N)}; encode again")
    return available_N


def training_lengths(dataset: EncodedDataset, available_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of each user's events belong to the training window, `[U]` by user row.

    Those before the user's first held-out exposure. A user without one: those before the first held-out exposure of
    all, where the data is cut by the calendar; all of them where each user's own last exposures are held out.
    """
    arrays = dataset.arrays
    held_out = np.flatnonzero(np.asarray(arrays.split_E) != list(Split).index(Split.TRAIN))
    if not len(held_out):
        return np.asarray(arrays.event_length_U).copy()
    train_end = int(arrays.time_E[dataset.rows(Split.TRAIN)].max(initial=np.iinfo(np.int64).min))
    first_held_out = int(arrays.time_E[held_out].min())
    cut_by_calendar = train_end <= first_held_out
    user_N = np.repeat(np.arange(len(arrays.event_start_U)), arrays.event_length_U)
    places_N = np.repeat(arrays.event_start_U, arrays.event_length_U) + _places_within(arrays.event_length_U)
    limit = first_held_out if cut_by_calendar else np.iinfo(np.int64).max
    lengths_U = np.bincount(user_N[available_N[places_N] < limit], minlength=len(arrays.event_start_U))
    np.minimum.at(lengths_U, arrays.user_E[held_out], arrays.before_E[held_out])
    return lengths_U


def training_events(
    dataset: EncodedDataset, available_N: NDArray[np.int64], unwanted: frozenset[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The training window's events as jagged offsets by user row and the item row of each; -1 where none is known."""
    lengths_U = training_lengths(dataset, available_N)
    places_N = np.repeat(dataset.arrays.event_start_U, lengths_U) + _places_within(lengths_U)
    item_N = item_rows_of_codes(dataset)[dataset.arrays.event_item_N[places_N]]
    skipped = unwanted_codes(dataset, unwanted)
    item_N[np.isin(dataset.arrays.event_action_N[places_N], skipped)] = -1
    return np.concatenate([[0], np.cumsum(lengths_U)]), item_N


def item_rows_of_codes(dataset: EncodedDataset) -> NDArray[np.int64]:
    """The row of each item code; -1 for code 0, unknown."""
    code_R = dataset.tables.items.codes_RF[:, 0]
    rows_V = np.full(len(dataset.item_fields_VI), -1, np.int64)
    known = np.flatnonzero(code_R)
    rows_V[code_R[known]] = known
    return rows_V


def unwanted_codes(dataset: EncodedDataset, unwanted: frozenset[str]) -> NDArray[np.int64]:
    """Every action code of these actions."""
    first = dataset.spec.first_action_codes
    codes = [
        np.arange(first[action.name], first[action.name] + action.size)
        for action in dataset.spec.actions
        if action.name in unwanted
    ]
    return np.concatenate(codes) if codes else np.empty(0, np.int64)


def _places_within(lengths_U: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, ... within each of the consecutive stretches of these lengths."""
    return np.arange(int(lengths_U.sum())) - np.repeat(np.cumsum(lengths_U) - lengths_U, lengths_U)
