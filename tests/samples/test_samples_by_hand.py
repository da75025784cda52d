"""Samples of worlds that a reader can work out on paper. Times are small numbers of milliseconds."""

import json

import polars as pl
import pytest
from samples_worlds import behaviour, exposure, workspace, write_tables

from plait.config import ObjectiveSettings, SplitSettings
from plait.data.samples import build_samples
from plait.errors import DataError

CLICK = ObjectiveSettings(name="click", action="click", window=10)
INSTALL = ObjectiveSettings(name="install", action="install", parent="click", window=100)
OPEN = ObjectiveSettings(name="open", action="open", parent="install", window=20)
LATE = 10_000
"""An as-of time by which everything is known."""


def labels(samples: list[dict], objective: str) -> dict[int, int]:
    return {row["exposure_id"]: row[f"label_{objective}"] for row in samples}


@pytest.mark.parametrize(("delay", "label"), [(-1, 0), (0, 1), (10, 1), (11, 0)])
def test_the_window_includes_both_ends(sampled, delay, label):
    samples, _ = sampled([exposure(1, 100)], [behaviour(100 + delay)], workspace([CLICK]), LATE)
    assert labels(samples, "click") == {1: label}


def test_last_touch_takes_the_latest_exposure_of_the_item(sampled):
    exposures = [exposure(1, 100), exposure(2, 105), exposure(3, 106, item_id=2), exposure(4, 109)]
    samples, _ = sampled(exposures, [behaviour(108)], workspace([CLICK]), LATE)
    assert labels(samples, "click") == {1: 0, 2: 1, 3: 0, 4: 0}


def test_of_exposures_at_one_moment_the_last_id_is_touched(sampled):
    samples, _ = sampled([exposure(2, 100), exposure(1, 100)], [behaviour(100)], workspace([CLICK]), LATE)
    assert labels(samples, "click") == {1: 0, 2: 1}


def test_a_named_exposure_wins_and_has_no_substitute(sampled):
    exposures = [exposure(1, 100), exposure(2, 105)]
    named = [behaviour(108, exposure_id=1)]
    samples, _ = sampled(exposures, named, workspace([CLICK]), LATE)
    assert labels(samples, "click") == {1: 1, 2: 0}
    out_of_its_window = [behaviour(111, exposure_id=1)]
    samples, _ = sampled(exposures, out_of_its_window, workspace([CLICK]), LATE)
    assert labels(samples, "click") == {1: 0, 2: 0}


def test_without_last_touch_only_named_exposures_count(sampled):
    strict = ObjectiveSettings(name="click", action="click", window=10, attribution="exposure_id")
    exposures = [exposure(1, 100), exposure(2, 200)]
    samples, _ = sampled(exposures, [behaviour(101), behaviour(201, exposure_id=2)], workspace([strict]), LATE)
    assert labels(samples, "click") == {1: 0, 2: 1}


def test_least_value(sampled):
    liked = ObjectiveSettings(name="liked", action="rate", window=10, min_value=4)
    exposures = [exposure(n, 100 * n, item_id=n) for n in (1, 2, 3)]
    rated = [behaviour(100 * n, "rate", item_id=n, value=value) for n, value in ((1, 4.0), (2, 3.5), (3, None))]
    samples, _ = sampled(exposures, rated, workspace([liked]), LATE)
    assert labels(samples, "liked") == {1: 1, 2: 0, 3: 0}


def test_the_funnel_needs_every_step_in_order(sampled):
    space = workspace([OPEN, INSTALL, CLICK])
    exposures = [exposure(n, 1000 * n, item_id=n) for n in range(1, 6)]
    steps = {
        1: [("click", 1), ("install", 2), ("open", 3)],  # all three
        2: [("install", 2), ("open", 3)],  # no click: nothing below it counts
        3: [("install", 1), ("click", 2), ("open", 3)],  # installed before the click: neither install nor open
        4: [("install", 1), ("click", 2), ("install", 3), ("open", 3)],  # installed again; the same moment is in order
        5: [("click", 11), ("install", 12)],  # clicked outside the click's window
    }
    done = [behaviour(1000 * n + at, action, item_id=n) for n, of in steps.items() for action, at in of]
    samples, _ = sampled(exposures, done, space, LATE)
    assert labels(samples, "click") == {1: 1, 2: 0, 3: 1, 4: 1, 5: 0}
    assert labels(samples, "install") == {1: 1, 2: 0, 3: 0, 4: 1, 5: 0}
    assert labels(samples, "open") == {1: 1, 2: 0, 3: 0, 4: 1, 5: 0}


@pytest.mark.parametrize(
    ("as_of", "label", "click_mature", "open_mature"),
    [
        (104, 0, False, False),  # the click of 105 has not happened yet: unknown, not negative
        (106, 0, False, False),  # it has, but arrives at 107
        (107, 1, False, False),  # known, though the window is still open
        (110, 1, True, False),  # 100 + 10
        (199, 1, True, False),
        (200, 1, True, True),  # open's own window is 20, its parent install's 100: 100 + 100
    ],
)
def test_labels_and_maturity_by_as_of(sampled, as_of, label, click_mature, open_mature):
    space = workspace([CLICK, INSTALL, OPEN])
    (row,), _ = sampled([exposure(1, 100)], [behaviour(105, received_time=107)], space, as_of)
    assert (row["label_click"], row["mature_click"], row["mature_open"]) == (label, click_mature, open_mature)


def test_histories_hold_what_had_arrived(sampled):
    done = [
        behaviour(10, "click"),
        behaviour(20, "open", received_time=50),  # late: enters at 50
        behaviour(30, "pay", value=2.0, received_time=5),  # received before it happened: enters at 30
        behaviour(40, "click", user_id=2),
    ]
    exposures = [exposure(1, 10), exposure(2, 30), exposure(3, 31), exposure(4, 50), exposure(5, 51)]
    samples, users = sampled(exposures, done, workspace([CLICK]))
    assert [row["behaviours_before"] for row in samples] == [0, 1, 2, 2, 3]
    assert users[0] == {
        "user_id": 1,
        "item_id": [1, 1, 1],
        "action": ["click", "pay", "open"],
        "value": [None, 2.0, None],
        "scenario": ["home"] * 3,
        "time": [10, 30, 20],
        "available_time": [10, 30, 50],
    }
    assert users[1]["time"] == [40]  # a user without exposures has a sample too


def test_ties_of_arrival_are_ordered_by_time_item_action_value(sampled):
    done = [
        behaviour(5, "pay", item_id=2, value=2.0),
        behaviour(5, "pay", item_id=2, value=1.0),
        behaviour(5, "click", item_id=2),
        behaviour(5, "pay", item_id=1),
        behaviour(4, "pay", item_id=9, received_time=5),
    ]
    _, (user,) = sampled([exposure(1, 1)], done, workspace([CLICK]))
    assert user["item_id"] == [9, 1, 2, 2, 2]
    assert user["action"] == ["pay", "pay", "click", "pay", "pay"]
    assert user["value"] == [None, None, None, 1.0, 2.0]


def test_calendar_split_and_its_as_of_times(sampled):
    """Exposures from 0 to 1000: valid from 700, test from 800; each part knows its labels up to its own end."""
    exposures = [exposure(n, time) for n, time in enumerate((0, 699, 700, 799, 800, 1000))]
    done = [behaviour(700), behaviour(709), behaviour(1004, received_time=1009)]
    samples, _ = sampled(exposures, done, workspace([CLICK]))
    assert [row["split"] for row in samples] == ["train", "train", "valid", "valid", "test", "test"]
    # The click of 700 belongs to exposure 2 (700): last touch. Exposure 1 (699) ends training immature.
    assert labels(samples, "click") == {0: 0, 1: 0, 2: 1, 3: 0, 4: 0, 5: 1}
    # The log ends at 1009, so the window of the last exposure, to 1010, is not over.
    assert [row["mature_click"] for row in samples] == [True, False, True, False, True, False]


def test_training_never_learns_a_label_after_the_cut(sampled):
    exposures = [exposure(1, 0, item_id=7), exposure(2, 695), exposure(3, 1000, item_id=7)]
    samples, _ = sampled(exposures, [behaviour(701)], workspace([CLICK]))
    assert (samples[1]["split"], samples[1]["label_click"], samples[1]["mature_click"]) == ("train", 0, False)
    samples, _ = sampled(exposures, [behaviour(701)], workspace([CLICK]), as_of=701)
    assert samples[1]["label_click"] == 1


def test_split_by_each_users_own_order(sampled):
    """Ten exposures of user 1: 7 train, 1 valid, 2 test. Three of user 2: floor(0.3 x 3) = 0, all train."""
    split = SplitSettings(kind="per_user_time", valid=0.1, test=0.2)
    exposures = [exposure(n, n) for n in range(10)] + [exposure(n, n, user_id=2) for n in range(10, 13)]
    samples, _ = sampled(exposures, [behaviour(99)], workspace([CLICK], split))
    assert [row["split"] for row in samples] == ["train"] * 7 + ["valid"] + ["test"] * 2 + ["train"] * 3


def test_one_moment_is_never_cut(sampled):
    """Places 6 to 9 share a moment, so they stay where place 6 is."""
    split = SplitSettings(kind="per_user_time", valid=0.1, test=0.2)
    exposures = [exposure(n, min(n, 6)) for n in range(10)]
    samples, _ = sampled(exposures, [behaviour(99)], workspace([CLICK], split))
    assert [row["split"] for row in samples] == ["train"] * 10


def test_no_behaviours_at_all(sampled):
    samples, users = sampled([exposure(1, 5)], [], workspace([CLICK]))
    assert (samples[0]["label_click"], samples[0]["behaviours_before"]) == (0, 0)
    assert users[0]["item_id"] == []


def test_optional_columns_may_be_absent(tmp_path):
    write_tables(tmp_path, [exposure(1, 100)], [behaviour(105)])
    path = tmp_path / "behaviours/part-000.parquet"
    pl.read_parquet(path).select("time", "user_id", "item_id", "action").write_parquet(path)
    build_samples(tmp_path, workspace([CLICK]), tmp_path / "out", as_of=LATE)
    assert pl.read_parquet(tmp_path / "out/exposures/*.parquet")["label_click"].to_list() == [1]
    user = pl.read_parquet(tmp_path / "out/users/*.parquet").row(0, named=True)
    assert (user["value"], user["scenario"], user["available_time"]) == ([None], [None], [105])


def test_extra_columns_of_exposures_stay(tmp_path):
    write_tables(tmp_path, [exposure(1, 100)], [])
    path = tmp_path / "exposures/part-000.parquet"
    pl.read_parquet(path).with_columns(network=pl.lit("wifi")).write_parquet(path)
    build_samples(tmp_path, workspace([CLICK]), tmp_path / "out")
    frame = pl.read_parquet(tmp_path / "out/exposures/*.parquet")
    assert frame["network"].to_list() == ["wifi"]
    kinds = (frame.schema["label_click"], frame.schema["mature_click"], frame.schema["behaviours_before"])
    assert kinds == (pl.Int8, pl.Boolean, pl.Int32)


def test_summary(tmp_path):
    exposures = [exposure(n, time) for n, time in enumerate((0, 699, 700, 799, 800, 1000))]
    write_tables(tmp_path, exposures, [behaviour(700), behaviour(709), behaviour(1004)])
    build_samples(tmp_path, workspace([CLICK]), tmp_path / "out")
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["cuts"] == [700, 800]
    assert summary["as_of"] == [700, 800, 1004]
    assert (summary["exposures"], summary["users"], summary["behaviours"]) == (6, 1, 3)
    assert summary["splits"]["valid"] == {"exposures": 2, "objectives": {"click": {"mature": 1, "positive": 1}}}


def test_wrong_tables_are_refused(tmp_path):
    with pytest.raises(DataError, match="no Parquet file found"):
        build_samples(tmp_path, workspace([CLICK]), tmp_path / "out")
    write_tables(tmp_path, [], [])
    with pytest.raises(DataError, match="at least one exposure"):
        build_samples(tmp_path, workspace([CLICK]), tmp_path / "out")
    path = tmp_path / "exposures/part-000.parquet"
    pl.read_parquet(path).with_columns(split=pl.lit("train")).write_parquet(path)
    with pytest.raises(DataError, match="'split' is one that samples add"):
        build_samples(tmp_path, workspace([CLICK]), tmp_path / "out")
    pl.read_parquet(path).drop("split").with_columns(pl.col("user_id").cast(pl.String)).write_parquet(path)
    with pytest.raises(DataError, match="one type"):
        build_samples(tmp_path, workspace([CLICK]), tmp_path / "out")
