"""The pandas and DuckDB versions of the benchmark give Plait's samples, and a difference does not pass."""

import json
import random
import shutil
from pathlib import Path

import polars as pl
import pytest
from samples_worlds import behaviour, exposure, workspace, write_tables

from plait.config import ObjectiveSettings
from plait.data.samples import build_samples, data_horizon
from plait.data.splits import make_plan
from plait.errors import DataError
from plait.pipelines import bench_samples

CHECKOUT = Path(__file__).resolve().parents[2]
SPACE = workspace(
    [
        ObjectiveSettings(name="pay", action="pay", parent="install", window=900, min_value=0.5),
        ObjectiveSettings(name="click", action="click", window=300),
        ObjectiveSettings(name="install", action="install", parent="click", window=500),
        ObjectiveSettings(name="named", action="click", window=100, attribution="exposure_id"),
    ]
)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """Tables without repeats and without one item twice at one moment, as the benchmark's input promises."""
    dice = random.Random(11)
    folder = tmp_path_factory.mktemp("world")
    moments = dice.sample(range(2000), 300)
    shown = [exposure(n, time, dice.randrange(6), dice.randrange(4)) for n, time in enumerate(moments)]
    done = []
    for time in dice.sample(range(2300), 900):
        named = dice.choice(shown) if dice.random() < 0.4 else None
        late = time + dice.randrange(300) if dice.random() < 0.2 else None
        action = dice.choice(["click", "click", "install", "pay", "use"])
        user, item = (named["user_id"], named["item_id"]) if named else (dice.randrange(7), dice.randrange(4))
        named_id = named["exposure_id"] if named else None
        done.append(behaviour(time, action, user, item, dice.choice([None, 0.5, 2.0]), named_id, late))
    write_tables(folder, shown, done)
    build_samples(folder, SPACE, folder / "plait")
    return folder


def test_the_world_has_positives_of_all_objectives(world):
    labels = pl.read_parquet(world / "plait/exposures/*.parquet").select(pl.col("^label_.*$").sum()).row(0)
    assert min(labels) >= 3


@pytest.mark.parametrize("name", ["pandas", "duckdb"])
def test_version_gives_the_same_samples(world, name, monkeypatch):
    monkeypatch.chdir(CHECKOUT)
    plan = make_plan(data_horizon(world), SPACE.split)
    objectives = bench_samples.plain_objectives(SPACE)
    assert [objective["name"] for objective in objectives] == ["click", "install", "named", "pay"]
    content = {"objectives": objectives, "cuts": plan.cuts, "as_of": plan.as_of, "threads": 1}
    (world / "specification.json").write_text(json.dumps(content), encoding="utf-8")
    run = bench_samples.run_version(name, world, world / name)
    assert 0 < run.exposures_seconds <= run.seconds
    bench_samples.compare_outputs(world / "plait", world / name)


@pytest.mark.parametrize(
    ("view", "change"),
    [
        ("exposures", pl.col("behaviours_before") + (pl.int_range(pl.len()) == 3).cast(pl.Int32)),
        ("exposures", pl.col("label_click") ^ (pl.int_range(pl.len()) == 5).cast(pl.Int8)),
        ("users", pl.col("time").list.reverse()),
        ("users", pl.col("value").list.head(3)),
    ],
)
def test_a_difference_is_found(world, view, change, tmp_path):
    shutil.copytree(world / "plait", tmp_path / "other")
    path = next((tmp_path / "other" / view).glob("*.parquet"))
    pl.read_parquet(path).with_columns(change).write_parquet(path)
    with pytest.raises(DataError, match="differ"):
        bench_samples.compare_outputs(world / "plait", tmp_path / "other")
