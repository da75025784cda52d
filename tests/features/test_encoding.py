"""Encoding: a hand-written samples folder, code by code."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from plait.config import Workspace
from plait.errors import ArtifactError, DataError
from plait.features.dataset import EncodedDataset
from plait.features.encoding import _PartEncoder, encode_samples
from plait.schema import Split
from plait.testing.datasets import SmallSamples, small_samples, write_part

THURSDAY = 1_700_092_800_000
"""2023-11-16 00:00 UTC, a Thursday."""
HOUR_MS = 3_600_000


def event(item: int, hours: float, action: str = "click", value: float | None = None) -> dict[str, Any]:
    time = THURSDAY + int(hours * HOUR_MS)
    return {"item_id": item, "action": action, "value": value, "scenario": None, "time": time, "available_time": time}


def exposure(name: str, user: str, item: int, hours: float, before: int, split: str, **more: Any) -> dict[str, Any]:
    row = {
        "exposure_id": name,
        "time": THURSDAY + int(hours * HOUR_MS),
        "user_id": user,
        "item_id": item,
        "creative_id": None,
        "scenario": "首页",
        "position": 1,
        "propensity": 0.5,
        "label_click": 0,
        "mature_click": True,
        "behaviours_before": before,
        "split": split,
    }
    return row | more


@pytest.fixture
def by_hand(tmp_path: Path) -> SmallSamples:
    """Two users, three items; item 3, its category's second level, `pay` and position 9 occur only after training."""
    workspace = Workspace.model_validate(
        {
            "name": "by hand",
            "tables": {
                "users": {"path": "u", "columns": {"city": "category", "age": "number"}},
                "items": {"path": "i", "columns": {"city": "category"}},
                "exposures": {"path": "e"},
                "behaviours": {"path": "b"},
            },
            "scenarios": [{"name": "search"}, {"name": "首页"}],
            "objectives": [{"name": "click", "action": "click"}],
            "actions": {"rate": {"value_edges": [4.0]}},
            "features": {"min_count": 1},
        }
    )
    users = pl.DataFrame({"user_id": ["甲", "乙"], "city": ["上海", None], "age": [30.0, None]})
    items = pl.DataFrame(
        {
            "item_id": [1, 2, 3],
            "category_1": ["游戏", "游戏", "游戏"],
            "category_2": ["棋牌", None, "射击"],
            "city": ["a", "b", "a"],
        }
    )
    for name, frame in (("users", users), ("items", items)):
        (tmp_path / "tables" / name).mkdir(parents=True)
        frame.write_parquet(tmp_path / "tables" / name / "part-00000.parquet")
    first = [event(1, 1), event(2, 2, "rate", 5.0), event(3, 30, "pay"), event(1, 31, "rate", 3.0)]
    shown = [
        exposure("x1", "甲", 1, 3, 2, "train", label_click=1),
        exposure("x2", "甲", 3, 50, 4, "test", mature_click=False, position=9),
    ]
    write_part(tmp_path / "samples", 0, {"甲": first}, [shown])
    write_part(tmp_path / "samples", 1, {"乙": []}, [[exposure("x3", "乙", 2, 4, 0, "train", scenario="search")]])
    return SmallSamples(workspace, tmp_path / "tables", tmp_path / "samples")


def encoded(made: SmallSamples, out: Path) -> EncodedDataset:
    encode_samples(made.samples, made.tables, made.workspace, out)
    return EncodedDataset.open(out)


def test_codes_by_hand(by_hand: SmallSamples, tmp_path: Path) -> None:
    dataset = encoded(by_hand, tmp_path / "encoded")
    sizes = {field.name: field.size for field in dataset.spec.fields}
    assert sizes == {
        "user_id": 3,
        "city": 2,
        "item_id": 3,
        "category_1": 2,
        "category_2": 2,
        "item.city": 3,
        "scenario": 3,
        "position": 2,
        "hour": 25,
        "weekday": 8,
    }
    # Training sees item 1 twice (x1 and an event) and item 2 twice (x3 and an event): equal, so by value.
    # 甲 and 乙 are seen once each; 乙 (U+4E59) comes before 甲 (U+7532).
    batch = dataset.impression_batch(np.arange(3), 10)
    expected = [
        [2, 1, 1, 1, 1, 1, 2, 1, 4, 4],
        [2, 1, 0, 1, 0, 1, 2, 0, 3, 6],
        [1, 0, 2, 1, 0, 2, 1, 1, 5, 4],
    ]
    np.testing.assert_array_equal(batch.categorical_BF, expected)
    np.testing.assert_array_equal(batch.scenario_B, [1, 1, 0])
    np.testing.assert_array_equal(dataset.item_fields_VI, [[0, 0, 0, 0], [1, 1, 1, 1], [2, 1, 0, 2]])


def test_histories_by_hand(by_hand: SmallSamples, tmp_path: Path) -> None:
    dataset = encoded(by_hand, tmp_path / "encoded")
    # Only what the training exposure could see: `pay` came later. click is 1; rate 2 (no value), 3 (< 4), 4 (>= 4).
    assert [(action.name, action.value_edges) for action in dataset.spec.actions] == [("click", ()), ("rate", (4.0,))]
    batch = dataset.impression_batch(np.arange(3), 3)
    np.testing.assert_array_equal(batch.history_offsets_U1, [0, 2, 5, 5])
    np.testing.assert_array_equal(batch.before_B, [2, 3, 0])
    np.testing.assert_array_equal(batch.history_item_N, [1, 2, 2, 0, 1])
    np.testing.assert_array_equal(batch.history_action_N, [1, 4, 4, 0, 3])
    hours = [1, 2, 2, 30, 31]
    np.testing.assert_array_equal(batch.history_time_N, [THURSDAY + hour * HOUR_MS for hour in hours])


def test_labels_splits_and_ids_by_hand(by_hand: SmallSamples, tmp_path: Path) -> None:
    dataset = encoded(by_hand, tmp_path / "encoded")
    np.testing.assert_array_equal(dataset.rows(Split.TRAIN), [0, 2])
    np.testing.assert_array_equal(dataset.rows(Split.VALID), [])
    np.testing.assert_array_equal(dataset.rows(Split.TEST), [1])
    np.testing.assert_array_equal(dataset.users(Split.TRAIN), [1, 2])
    rows = np.array([2, 1, 0])
    assert dataset.exposure_ids(rows).to_list() == ["x3", "x2", "x1"]
    np.testing.assert_array_equal(dataset.labels(rows), [[0.0], [0.0], [1.0]])
    np.testing.assert_array_equal(dataset.mask(rows), [[True], [False], [True]])
    np.testing.assert_array_equal(dataset.user_rows(rows), [2, 1, 1])
    np.testing.assert_array_equal(dataset.scenarios(rows), [0, 1, 1])
    np.testing.assert_array_equal(dataset.times(rows), [THURSDAY + hour * HOUR_MS for hour in (4, 50, 3)])


def test_numbers_by_hand(by_hand: SmallSamples, tmp_path: Path) -> None:
    dataset = encoded(by_hand, tmp_path / "encoded")
    age, events = dataset.spec.numbers[0], dataset.spec.numbers[1]
    # The only age that training sees is 30; the training exposures have 2 and 0 events before them.
    assert (age.name, age.mean, age.std) == ("age", 30.0, 1.0)
    assert events.name == "history.events"
    assert events.mean == pytest.approx(np.log(3) / 2, rel=1e-6)
    numeric_BG = dataset.impression_batch(np.arange(3), 0).numeric_BG
    np.testing.assert_array_equal(numeric_BG[:, 0], [0, 0, 0])
    # log 3 and log 1 are one deviation above and below their mean.
    np.testing.assert_allclose(numeric_BG[[0, 2], 1], [1.0, -1.0], rtol=1e-6)


def test_a_minimum_count_makes_rare_values_unknown(by_hand: SmallSamples, tmp_path: Path) -> None:
    often = by_hand.workspace.model_copy(
        update={"features": by_hand.workspace.features.model_copy(update={"min_count": 2})}
    )
    dataset = encoded(SmallSamples(often, by_hand.tables, by_hand.samples), tmp_path / "encoded")
    sizes = {field.name: field.size for field in dataset.spec.fields}
    # Each user has one training exposure; item 1's second level is seen twice, with item 1.
    assert (sizes["user_id"], sizes["item_id"], sizes["category_2"]) == (1, 3, 2)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_killed_run_goes_on_and_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = small_samples(tmp_path, users=8, exposures=6, behaviours=10)
    encoded(made, tmp_path / "whole")
    encode_part, calls = _PartEncoder._encode_exposures, []

    def killed(self: _PartEncoder, *arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        encode_part(self, *arguments)

    monkeypatch.setattr(_PartEncoder, "_encode_exposures", killed)
    with pytest.raises(KeyboardInterrupt):
        encoded(made, tmp_path / "resumed")
    with pytest.raises(ArtifactError, match="expected a finished encoded dataset"):
        EncodedDataset.open(tmp_path / "resumed")
    encoded(made, tmp_path / "resumed")
    assert len(calls) == 3, "the first part is not made again"
    assert contents(tmp_path / "resumed") == contents(tmp_path / "whole")


def test_samples_that_do_not_fit_are_refused(by_hand: SmallSamples, tmp_path: Path) -> None:
    def refused(match: str, events: dict[str, list[dict[str, Any]]], *shown: dict[str, Any]) -> None:
        write_part(by_hand.samples, 1, events, [list(shown)])
        with pytest.raises(DataError, match=match):
            encoded(by_hand, tmp_path / match.replace(" ", "-").replace("'", ""))

    ok = exposure("y", "乙", 2, 4, 0, "train")
    refused("scenario '搜索' is not in plait.toml", {"乙": []}, ok | {"scenario": "搜索"})
    refused("user '丙' is not in the users table", {"丙": []}, ok)
    refused("more behaviours before it than its user has", {"乙": []}, ok | {"behaviours_before": 1})
    refused("not sorted by user", {"乙": []}, ok, ok | {"user_id": "甲"}, ok)
    for path in by_hand.samples.glob("users/*"):
        path.unlink()
    with pytest.raises(DataError, match="found 2 parts of exposures and 0 of users"):
        encoded(by_hand, tmp_path / "none")


def test_a_column_with_a_meaning_must_be_there(by_hand: SmallSamples, tmp_path: Path) -> None:
    tables = dict(by_hand.workspace.tables)
    settings = next(iter(tables.values()))
    tables = {
        name: table.model_copy(update={"columns": {"citty": "category"}}) if table is settings else table
        for name, table in tables.items()
    }
    wrong = by_hand.workspace.model_copy(update={"tables": tables})
    with pytest.raises(
        DataError, match=r"'citty' is given a meaning in plait\.toml but is not there; did you mean 'city'"
    ):
        encode_samples(by_hand.samples, by_hand.tables, wrong, tmp_path / "encoded")


def test_codes_stay_inside_their_fields(tmp_path: Path) -> None:
    made = small_samples(tmp_path, users=20)
    dataset = encoded(made, tmp_path / "encoded")
    batch = dataset.impression_batch(np.arange(len(dataset)), 20)
    sizes_F = np.array([field.size for field in dataset.spec.fields])
    assert (batch.categorical_BF >= 0).all()
    assert (batch.categorical_BF < sizes_F).all()
    assert batch.categorical_BF.max(axis=0).tolist() == (sizes_F - 1).tolist()
    assert batch.history_item_N.max() < len(dataset.item_fields_VI)
    assert 0 < batch.history_action_N.max() < dataset.spec.action_size
    assert {field.name for field in fields(batch)} >= {"labels_BT", "mask_BT"}


def test_nothing_of_the_logging_policy_is_a_feature(tmp_path: Path) -> None:
    spec = encoded(small_samples(tmp_path, users=4), tmp_path / "encoded").spec
    names = {field.name for field in spec.fields} | {number.name for number in spec.numbers}
    assert not names & {"propensity", "request_id", "exposure_id", "bid"}
    assert {"network", "battery", "tone", "advertiser", "price"} <= names
