"""The stage: built once per content of tables and settings."""

from pathlib import Path

import polars as pl

from plait.features.dataset import EncodedDataset
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.project import open_project
from plait.testing.datasets import small_samples

WORKSPACE = """
name = "小"
[tables]
users = { path = "tables/users/*.parquet", columns = { region = "category", age = "number" } }
items = { path = "tables/items/*.parquet", columns = { price = "number" } }
creatives = { path = "tables/creatives/*.parquet", columns = { tone = "category" } }
exposures = { path = "exposures.parquet", columns = { network = "category", battery = "number" } }
behaviours = { path = "behaviours.parquet" }
[[scenarios]]
name = "首页"
[[scenarios]]
name = "search"
[[objectives]]
name = "click"
action = "click"
[features]
min_count = 1
"""


def test_built_once_and_again_when_a_setting_changes(tmp_path: Path) -> None:
    made = small_samples(tmp_path, users=12, exposures=10, behaviours=20)
    lists = ["item_id", "action", "value", "scenario", "time", "available_time"]
    users = pl.read_parquet(made.samples / "users" / "*.parquet").explode(lists, empty_as_null=False)
    users.rename({"available_time": "received_time"}).write_parquet(tmp_path / "behaviours.parquet")
    exposures = pl.read_parquet(sorted((made.samples / "exposures").glob("*.parquet")))
    derived = pl.selectors.matches("^(label_.*|mature_.*|behaviours_before|split)$")
    exposures.drop(derived).write_parquet(tmp_path / "exposures.parquet")
    (tmp_path / "plait.toml").write_text(WORKSPACE, encoding="utf-8")

    first = encoded_dataset(open_project(tmp_path))
    written = (first / "spec.json").stat().st_mtime_ns
    assert encoded_dataset(open_project(tmp_path)) == first
    assert (first / "spec.json").stat().st_mtime_ns == written
    dataset = EncodedDataset.open(first)
    assert len(dataset) == len(exposures)
    assert dataset.spec.scenarios == ("首页", "search")

    (tmp_path / "plait.toml").write_text(WORKSPACE.replace("min_count = 1", "min_count = 1000"), encoding="utf-8")
    rarer = encoded_dataset(open_project(tmp_path))
    assert rarer != first
    assert EncodedDataset.open(rarer).spec.fields[0].size == 1
