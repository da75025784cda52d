"""Batches of both layouts: against slices taken one exposure at a time."""

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from plait.errors import ArtifactError
from plait.features.batch import FeatureBatch
from plait.features.dataset import EncodedDataset
from plait.schema import Split

PER_EXPOSURE = ("categorical_BF", "numeric_BG", "scenario_B", "time_B", "labels_BT", "mask_BT")
PER_EVENT = ("history_item_N", "history_action_N", "history_scenario_N", "history_time_N")


def seen(batch: FeatureBatch, exposure: int, length: int) -> list[np.ndarray]:
    """The last `length` events that one exposure of a batch may see."""
    start = batch.history_offsets_U1[batch.user_B[exposure]]
    stop = start + batch.before_B[exposure]
    return [getattr(batch, name)[max(start, stop - length) : stop] for name in PER_EVENT]


def assert_consistent(batch: FeatureBatch) -> None:
    lengths_U = np.diff(batch.history_offsets_U1)
    assert (lengths_U >= 0).all()
    assert batch.history_offsets_U1[0] == 0
    assert batch.history_offsets_U1[-1] == len(batch.history_time_N)
    assert (batch.before_B >= 0).all()
    assert (batch.before_B <= lengths_U[batch.user_B]).all()
    kinds = {field.name: getattr(batch, field.name).dtype.name for field in dataclasses.fields(batch)}
    assert kinds == {
        "categorical_BF": "int32",
        "numeric_BG": "float32",
        "bag_BP": "int64",
        "token_offsets_J1": "int64",
        "token_codes_N": "int32",
        "scenario_B": "int32",
        "time_B": "int64",
        "user_B": "int64",
        "before_B": "int64",
        "history_offsets_U1": "int64",
        "history_item_N": "int32",
        "history_action_N": "int32",
        "history_scenario_N": "int32",
        "history_time_N": "int64",
        "labels_BT": "float32",
        "mask_BT": "bool",
    }


@pytest.mark.parametrize("length", [0, 1, 50, 1_000])
def test_impressions_have_their_last_events(dataset: EncodedDataset, length: int) -> None:
    rows_B = np.random.default_rng(0).permutation(len(dataset))[:100]
    batch = dataset.impression_batch(rows_B, length)
    assert_consistent(batch)
    np.testing.assert_array_equal(batch.user_B, np.arange(100))
    for exposure, row in enumerate(rows_B):
        before = int(dataset.arrays.before_E[row])
        history = dataset.history(int(dataset.user_rows(rows_B[[exposure]])[0]), before).last(length)
        assert len(history) == min(before, length) == batch.before_B[exposure]
        found = seen(batch, exposure, length)
        expected = (history.item_N, history.action_N, history.scenario_N, history.time_N)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)
        assert (history.time_N < batch.time_B[exposure]).all()


def test_histories_are_the_events_of_the_samples(dataset: EncodedDataset, encoded_folder: Path) -> None:
    users = pl.read_parquet(encoded_folder.parent / "samples" / "users" / "part-*.parquet")
    for user_id, times in zip(users["user_id"], users["time"], strict=True):
        history = dataset.history(dataset.tables.users.ids.code(user_id))
        np.testing.assert_array_equal(history.time_N, np.array(times.to_list(), np.int64))
    rows = np.array([dataset.tables.users.ids.code(user_id) for user_id in users["user_id"]])
    np.testing.assert_array_equal(dataset.history_lengths(rows), users["time"].list.len().to_numpy())


@pytest.mark.parametrize("splits", [(Split.TRAIN,), (Split.VALID, Split.TEST), tuple(Split)])
@pytest.mark.parametrize("length", [1, 7, 1_000])
def test_user_layout_shows_each_exposure_what_impressions_do(
    dataset: EncodedDataset, length: int, splits: tuple[Split, ...]
) -> None:
    users_U = np.random.default_rng(1).permutation(np.arange(1, len(dataset.tables.users)))[:12]
    batch, rows_B = dataset.user_batch(users_U, length, splits)
    assert_consistent(batch)
    wanted = np.concatenate([dataset.rows(split) for split in splits])
    assert set(rows_B) == set(wanted[np.isin(dataset.user_rows(wanted), users_U)])
    np.testing.assert_array_equal(users_U[batch.user_B], dataset.user_rows(rows_B))
    single = dataset.impression_batch(rows_B, length)
    for name in PER_EXPOSURE:
        np.testing.assert_array_equal(getattr(batch, name), getattr(single, name))
    for exposure in range(len(rows_B)):
        for one, other in zip(seen(batch, exposure, length), seen(single, exposure, length), strict=True):
            np.testing.assert_array_equal(one, other)


def test_user_slices_begin_and_end_where_they_should(dataset: EncodedDataset) -> None:
    users_U = dataset.users(Split.TEST)
    batch, rows_B = dataset.user_batch(users_U, 5, (Split.TEST,))
    before_B = dataset.arrays.before_E[rows_B]
    for place in range(len(users_U)):
        own = before_B[batch.user_B == place]
        slice_length = batch.history_offsets_U1[place + 1] - batch.history_offsets_U1[place]
        assert slice_length == own.max() - max(own.min() - 5, 0)


def test_max_events_cuts_the_oldest(dataset: EncodedDataset) -> None:
    users_U = dataset.users(Split.TRAIN)
    whole, rows_B = dataset.user_batch(users_U, 1_000)
    cut, same_B = dataset.user_batch(users_U, 1_000, max_events=20)
    np.testing.assert_array_equal(rows_B, same_B)
    assert_consistent(cut)
    lengths_U = np.diff(cut.history_offsets_U1)
    np.testing.assert_array_equal(lengths_U, np.minimum(np.diff(whole.history_offsets_U1), 20))
    for exposure in range(len(rows_B)):
        kept = int(cut.before_B[exposure])
        missing = np.diff(whole.history_offsets_U1)[whole.user_B[exposure]] - lengths_U[cut.user_B[exposure]]
        assert kept == max(whole.before_B[exposure] - missing, 0)
        for one, other in zip(seen(cut, exposure, kept), seen(whole, exposure, kept), strict=True):
            np.testing.assert_array_equal(one, other)


def test_users_without_exposures_have_an_empty_slice(dataset: EncodedDataset) -> None:
    batch, rows_B = dataset.user_batch(np.array([0]), 5)
    assert len(rows_B) == len(batch) == 0
    np.testing.assert_array_equal(batch.history_offsets_U1, [0, 0])


def test_history_numbers_are_standardised_on_training(dataset: EncodedDataset) -> None:
    batch = dataset.impression_batch(dataset.rows(Split.TRAIN), 1)
    columns = list(dataset.spec.number_columns("history"))
    numbers_BG = batch.numeric_BG[:, columns]
    names = np.array([dataset.spec.numbers[column].name for column in columns])
    # Every rating of the small samples has a value.
    constant = np.char.endswith(names, "rate.none")
    assert (numbers_BG[:, constant] == 0).all()
    uncut = ~constant & (np.abs(numbers_BG).max(axis=0) < 8)
    assert uncut.sum() > 15
    np.testing.assert_allclose(numbers_BG.mean(axis=0)[uncut], 0.0, atol=1e-4)
    np.testing.assert_allclose(numbers_BG.std(axis=0)[uncut], 1.0, atol=1e-4)


def test_changing_what_comes_later_changes_no_feature(dataset: EncodedDataset) -> None:
    """Every event that an exposure may not see gets another item, action, scenario and time."""
    arrays = dataset.arrays
    for row in np.random.default_rng(2).permutation(len(dataset))[:40]:
        user = arrays.user_E[row]
        changed = {name: np.array(getattr(arrays, name)) for name in vars_of_events()}
        first_hidden = arrays.event_start_U[user] + arrays.before_E[row]
        hidden = np.ones(len(arrays.event_time_N), bool)
        hidden[arrays.event_start_U[user] : first_hidden] = False
        changed["event_item_N"][hidden] = 1
        changed["event_action_N"][hidden] = 2
        changed["event_scenario_N"][hidden] = 1
        changed["event_time_N"][hidden] = 0
        altered = EncodedDataset(dataset.tables, dataclasses.replace(arrays, **changed), Path())
        one, other = dataset.impression_batch(np.array([row]), 50), altered.impression_batch(np.array([row]), 50)
        for field in dataclasses.fields(one):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


def vars_of_events() -> tuple[str, ...]:
    return ("event_item_N", "event_action_N", "event_scenario_N", "event_time_N")


def test_an_unfinished_or_damaged_folder_is_refused(tmp_path: Path, encoded_folder: Path) -> None:
    with pytest.raises(ArtifactError, match=r"found no spec\.json"):
        EncodedDataset.open(tmp_path)
    for path in encoded_folder.rglob("*"):
        if path.is_file() and path.name != "time_E.npy":
            copy = tmp_path / path.relative_to(encoded_folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    with pytest.raises(ArtifactError, match="not an encoded dataset"):
        EncodedDataset.open(tmp_path)
