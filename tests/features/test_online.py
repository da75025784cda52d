"""Requests: the same batch, bit by bit, as training builds for the same exposure."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from plait.errors import ArtifactError, ServingError
from plait.features.batch import FeatureBatch
from plait.features.dataset import EncodedDataset
from plait.features.encoding import encode_samples
from plait.features.history import History
from plait.features.online import OnlineFeatures
from plait.schema import Split
from plait.testing.datasets import small_samples

LENGTH = 50
NOT_KNOWN_ONLINE = {"labels_BT", "mask_BT"}


@pytest.fixture(scope="session")
def online(encoded_folder: Path) -> OnlineFeatures:
    return OnlineFeatures.open(encoded_folder)


def assert_same_features(one: FeatureBatch, other: FeatureBatch) -> None:
    for field in dataclasses.fields(FeatureBatch):
        if field.name not in NOT_KNOWN_ONLINE:
            left, right = getattr(one, field.name), getattr(other, field.name)
            assert left.dtype == right.dtype, field.name
            np.testing.assert_array_equal(left, right, err_msg=field.name)


def encoded_events(online: OnlineFeatures, user: dict[str, Any], before: int) -> History:
    """The history as an online store would have built it, an event at a time from what the platform sends."""
    names = ("item_id", "action", "value", "scenario", "time")
    coded = [online.encode_event(*values) for values in zip(*(user[name][:before] for name in names), strict=True)]
    item, action, scenario, time = zip(*coded, strict=True) if coded else ((), (), (), ())
    codes = [np.array(column, np.int32) for column in (item, action, scenario)]
    return History(*codes, np.array(time, np.int64))


def test_a_request_sees_what_training_saw(
    dataset: EncodedDataset, online: OnlineFeatures, encoded_folder: Path
) -> None:
    """From raw values on: ids, events one by one, context by name; position as logged."""
    samples = encoded_folder.parent / "samples"
    users = {row["user_id"]: row for row in pl.read_parquet(samples / "users" / "*.parquet").iter_rows(named=True)}
    logged = pl.read_parquet(sorted((samples / "exposures").glob("*.parquet")))
    assert logged["exposure_id"].to_list() == dataset.exposure_ids(np.arange(len(dataset))).to_list()
    chosen = np.random.default_rng(0).permutation(len(dataset))[:120]
    for row in chosen:
        exposure = logged.row(int(row), named=True)
        context = {name: exposure[name] for name in ("position", "network", "battery", "query", "hints")}
        creative = exposure["creative_id"]
        served = online.batch(
            online.user_row(exposure["user_id"]),
            np.array([online.item_row(exposure["item_id"])]),
            np.array([0 if creative is None else online.creative_row(creative)]),
            encoded_events(online, users[exposure["user_id"]], exposure["behaviours_before"]),
            online.encode_context(exposure["scenario"], exposure["time"], context),
            length=LENGTH,
        )
        assert_same_features(served, dataset.impression_batch(np.array([row]), LENGTH))
        assert not served.mask_BT.any()


def test_candidates_of_one_request_are_as_if_alone(dataset: EncodedDataset, online: OnlineFeatures) -> None:
    history = dataset.history(3)
    context = online.encode_context("search", 1_702_000_000_000)
    items_K, creatives_K = np.arange(len(dataset.tables.items)), np.zeros(len(dataset.tables.items), np.int64)
    together = online.batch(3, items_K, creatives_K, history, context)
    assert len(together) == len(items_K)
    for item in items_K:
        alone = online.batch(3, items_K[[item]], creatives_K[[item]], history, context)
        np.testing.assert_array_equal(alone.categorical_BF[0], together.categorical_BF[item])
        np.testing.assert_array_equal(alone.numeric_BG[0], together.numeric_BG[item])


def test_unknown_users_items_and_values(online: OnlineFeatures) -> None:
    assert online.user_row("nobody") == online.item_row(999) == online.creative_row("none") == 0
    context = online.encode_context("首页", 1_702_000_000_000, {"network": "6g", "surprise": 1})
    none = np.array([0])
    batch = online.batch(None, none, none, History.empty(), context)
    names = [field.name for field in online.spec.fields]
    known = dict(zip(names, batch.categorical_BF[0].tolist(), strict=True))
    # 2023-12-08 was a Friday; 01:46:40 UTC is in hour 1.
    vocabulary_position = known.pop("position")
    assert known == dict.fromkeys(known, 0) | {"scenario": 1, "hour": 2, "weekday": 5}
    assert vocabulary_position > 0, "served at position 1, which training knows"
    sources = [number.source for number in online.spec.numbers]
    assert all(value == 0 for value, source in zip(batch.numeric_BG[0], sources, strict=True) if source != "history")
    assert len(batch.history_time_N) == 0
    assert batch.before_B.tolist() == [0]


def test_unknown_events_are_kept_as_unknown(online: OnlineFeatures) -> None:
    assert online.encode_event(999, "fly", 1.0, "nowhere", 5) == (0, 0, 0, 5)
    assert online.encode_event(100, "click", None, None, 5)[1:] == (1, 0, 5)
    assert online.encode_event("100", "click", None, "search", 5) == online.encode_event(
        100, "click", None, "search", 5
    )


def test_requests_that_make_no_sense_are_refused(online: OnlineFeatures) -> None:
    with pytest.raises(ServingError, match=r"unknown scenario 'serach'; did you mean 'search'\?"):
        online.encode_context("serach", 0)
    with pytest.raises(ServingError, match="context value 'battery': found 'full', expected a number"):
        online.encode_context("search", 0, {"battery": "full"})


def test_serving_needs_no_arrays_but_the_features_of_training(
    online: OnlineFeatures, encoded_folder: Path, tmp_path: Path
) -> None:
    for name in ("tables", "vocabularies"):
        shutil.copytree(encoded_folder / name, tmp_path / name)
    shutil.copy(encoded_folder / "spec.json", tmp_path)
    assert OnlineFeatures.open(tmp_path, online.spec).item_row(117) == online.item_row(117)
    other = dataclasses.replace(online.spec, scenarios=("首页", "elsewhere"))
    with pytest.raises(ArtifactError, match="other features than the model was trained on"):
        OnlineFeatures.open(tmp_path, other)


def test_ids_and_rows_go_both_ways(online: OnlineFeatures) -> None:
    assert online.item_id(online.item_row(117)) == 117
    assert online.creative_id(online.creative_row(3)) == 3
    assert online.creative_id(0) is None


def altered_after(cut: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Gives every event that arrives at `cut` or later another item, action, value, scenario and (later) times."""

    def alter(user: dict[str, Any]) -> dict[str, Any]:
        later = [time >= cut for time in user["available_time"]]
        moved = {"item_id": 101, "action": "install", "value": None, "scenario": "首页"}
        for name, value in moved.items():
            user[name] = [value if change else old for old, change in zip(user[name], later, strict=True)]
        for name in ("time", "available_time"):
            times = zip(user[name], later, strict=True)
            user[name] = [cut + place if change else old for place, (old, change) in enumerate(times)]
        return user

    return alter


def test_the_law_of_the_samples(tmp_path: Path) -> None:
    """Altering every event from the first test exposure on, times included, changes nothing that exposure sees."""
    made = small_samples(tmp_path, users=12, exposures=10)
    encode_samples(made.samples, made.tables, made.workspace, tmp_path / "before")
    before = EncodedDataset.open(tmp_path / "before")
    test = before.rows(Split.TEST)
    cut = int(before.times(test).min())
    for path in (made.samples / "users").glob("*.parquet"):
        frame = pl.read_parquet(path)
        rows = [altered_after(cut)(row) for row in frame.iter_rows(named=True)]
        pl.DataFrame(rows, schema=frame.schema).write_parquet(path)
    encode_samples(made.samples, made.tables, made.workspace, tmp_path / "after")
    after = EncodedDataset.open(tmp_path / "after")
    assert (np.array(before.arrays.event_item_N) != np.array(after.arrays.event_item_N)).any()
    assert before.spec == after.spec
    until = np.flatnonzero(before.times(np.arange(len(before))) <= cut)
    assert set(test) & set(until)
    one, other = before.impression_batch(until, LENGTH), after.impression_batch(until, LENGTH)
    assert_same_features(one, other)
