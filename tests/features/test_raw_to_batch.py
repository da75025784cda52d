"""From raw tables through samples to batches: what an exposure sees, against samples made by plain Python."""

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from plait.data.samples import build_samples
from plait.features.dataset import EncodedDataset
from plait.features.encoding import encode_samples
from plait.schema import Split
from plait.testing.datasets import SmallSamples, small_samples

LENGTH = 50
DERIVED = r"^(label_.*|mature_.*|behaviours_before|split)$"


def read(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(sorted(folder.glob("part-*.parquet")))


@pytest.fixture
def made(tmp_path: Path) -> SmallSamples:
    """Tables as a platform has them, rows in no order; beside them, the samples by plain Python."""
    made = small_samples(tmp_path, users=16, exposures=15, behaviours=40)
    lists = ["item_id", "action", "value", "scenario", "time", "available_time"]
    behaviours = read(made.samples / "users").explode(lists, empty_as_null=False)
    behaviours = behaviours.rename({"available_time": "received_time"})
    exposures = read(made.samples / "exposures").drop(pl.selectors.matches(DERIVED))
    for name, frame in (("behaviours", behaviours), ("exposures", exposures)):
        (made.tables / name).mkdir()
        frame.sample(fraction=1.0, shuffle=True, seed=1).write_parquet(made.tables / name / "part-00000.parquet")
    return made


def encoded(made: SmallSamples, out: Path) -> EncodedDataset:
    build_samples(made.tables, made.workspace, out / "samples")
    encode_samples(out / "samples", made.tables, made.workspace, out / "encoded")
    return EncodedDataset.open(out / "encoded")


def test_histories_are_those_of_plain_python(made: SmallSamples, tmp_path: Path) -> None:
    dataset = encoded(made, tmp_path / "derived")
    rows = np.arange(len(dataset))
    found = dict(zip(dataset.exposure_ids(rows), dataset.arrays.before_E, strict=True))
    logged = read(made.samples / "exposures")
    assert found == dict(zip(logged["exposure_id"], logged["behaviours_before"], strict=True))
    users = read(made.samples / "users")
    for user_id, times in zip(users["user_id"], users["time"], strict=True):
        history = dataset.history(dataset.tables.users.ids.code(user_id))
        np.testing.assert_array_equal(history.time_N, np.array(times.to_list(), np.int64))


def test_the_law_from_raw_tables(made: SmallSamples, tmp_path: Path) -> None:
    """Every behaviour that arrives once the test split has begun happens otherwise and elsewhen, or not at all."""
    before = encoded(made, tmp_path / "before")
    cut = int(before.times(before.rows(Split.TEST)).min())
    path = made.tables / "behaviours" / "part-00000.parquet"
    raw = pl.read_parquet(path)
    later = pl.col("received_time") >= cut
    moved = cut + pl.int_range(pl.len()) * 1_000
    changed = raw.with_columns(
        pl.when(later).then(pl.lit("install")).otherwise("action").alias("action"),
        pl.when(later).then(pl.lit(101)).otherwise("item_id").alias("item_id"),
        pl.when(later).then(moved).otherwise("time").alias("time"),
        pl.when(later).then(moved + 5).otherwise("received_time").alias("received_time"),
    ).filter(~later | (pl.int_range(pl.len()) % 3 > 0))
    assert 0 < len(changed) < len(raw)
    changed.write_parquet(path)
    after = encoded(made, tmp_path / "after")
    until = np.flatnonzero(before.times(np.arange(len(before))) <= cut)
    assert len(set(until) & set(before.rows(Split.TEST))) == 1
    assert before.exposure_ids(until).to_list() == after.exposure_ids(until).to_list()
    one, other = before.impression_batch(until, LENGTH), after.impression_batch(until, LENGTH)
    for field in dataclasses.fields(one):
        if field.name not in ("labels_BT", "mask_BT"):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)
