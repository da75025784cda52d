"""The raw tables of a simulated world: complete, in order, consistent with the declared workspace."""

import json
import re
from pathlib import Path

import polars as pl
import pytest

from plait.config import Workspace, load_workspace
from plait.schema import Meaning, TableName
from plait.simulation.explain import explain
from plait.simulation.world import START
from plait.testing.raw_tables import scan_table

CHINESE = re.compile(r"[一-鿿]")


@pytest.fixture(scope="module")
def workspace(tiny_folder: Path) -> Workspace:
    return load_workspace(tiny_folder)


@pytest.fixture(scope="module")
def tables(tiny_folder: Path, workspace: Workspace) -> dict[TableName, pl.DataFrame]:
    return {name: scan_table(tiny_folder, workspace, name).collect() for name in workspace.tables}


def test_market_is_as_wide_as_promised(workspace: Workspace) -> None:
    assert workspace.simulated
    assert len({scenario.app for scenario in workspace.scenarios}) >= 20
    assert len(workspace.scenarios) >= 30
    assert {scenario.kind for scenario in workspace.scenarios} == {"recommendation", "search", "ads", "games"}
    assert len(workspace.objectives) >= 10


def test_every_reference_resolves(tables: dict[TableName, pl.DataFrame]) -> None:
    users, items = tables[TableName.USERS]["user_id"], tables[TableName.ITEMS]["item_id"]
    creatives, exposures = tables[TableName.CREATIVES], tables[TableName.EXPOSURES]
    behaviours = tables[TableName.BEHAVIOURS]
    for table in (exposures, behaviours):
        assert table["user_id"].is_in(users.implode()).all()
        assert table["item_id"].is_in(items.implode()).all()
    assert exposures["exposure_id"].is_unique().all()
    shown = exposures.join(creatives, on="creative_id", how="left", suffix="_of_creative")
    assert (shown["item_id"] == shown["item_id_of_creative"]).all()
    named = behaviours.filter(pl.col("exposure_id").is_not_null())
    joined = named.join(exposures, on="exposure_id", how="left", suffix="_shown")
    for column in ("user_id", "item_id", "scenario"):
        assert (joined[column] == joined[column + "_shown"]).all()
    assert (joined["time"] > joined["time_shown"]).all()


def test_declared_columns_scenarios_and_actions_exist(
    workspace: Workspace, tables: dict[TableName, pl.DataFrame]
) -> None:
    for name, settings in workspace.tables.items():
        meant = {column for column, meaning in settings.columns.items() if meaning != Meaning.IGNORE}
        assert meant <= set(tables[name].columns)
    assert set(tables[TableName.EXPOSURES]["scenario"].unique()) <= set(workspace.scenario_names())
    assert set(tables[TableName.BEHAVIOURS]["action"].unique()) <= set(workspace.actions)


def test_log_ends_with_what_is_known(tables: dict[TableName, pl.DataFrame]) -> None:
    end = START + 28 * 86_400_000
    behaviours, exposures = tables[TableName.BEHAVIOURS], tables[TableName.EXPOSURES]
    assert START <= exposures["time"].min() <= exposures["time"].max() < end
    known = behaviours.select(pl.max_horizontal("time", "received_time")).to_series()
    assert known.max() < end
    late = behaviours.filter(pl.col("received_time").is_not_null())
    assert 0.01 < len(late) / len(behaviours) < 0.1
    assert (late["received_time"] > late["time"]).all()


def test_items_are_shown_and_used_only_after_launch(tables: dict[TableName, pl.DataFrame]) -> None:
    items = tables[TableName.ITEMS].select("item_id", "launch_time")
    day = 86_400_000
    assert (items["launch_time"] > START).mean() > 0.2
    for name in (TableName.EXPOSURES, TableName.BEHAVIOURS):
        joined = tables[name].join(items, on="item_id")
        assert (joined["time"] // day >= joined["launch_time"] // day).all()


def test_lives_are_mostly_organic_and_busy(tables: dict[TableName, pl.DataFrame]) -> None:
    behaviours = tables[TableName.BEHAVIOURS]
    assert len(behaviours) / (150 * 28) >= 10
    assert behaviours["exposure_id"].is_null().mean() > 0.75
    user_time = behaviours.select("user_id", "time")
    assert user_time.equals(user_time.sort("user_id", "time"))


def test_the_same_item_comes_with_several_creatives(tables: dict[TableName, pl.DataFrame]) -> None:
    counts = tables[TableName.EXPOSURES].group_by("item_id").agg(pl.col("creative_id").n_unique())
    assert counts["creative_id"].max() >= 3


def test_text_is_chinese_and_english(workspace: Workspace, tables: dict[TableName, pl.DataFrame]) -> None:
    items = tables[TableName.ITEMS]
    for column in ("name", "category_1", "category_2", "category_3", "description"):
        assert items[column].map_elements(lambda text: bool(CHINESE.search(text)), pl.Boolean).mean() > 0.95, column
        assert items[column + "_en" if column != "name" else "name_en"].str.contains(r"^[\x00-\x7f]+$").all()
    assert items["name"].n_unique() > 200
    for upper, lower in (("category_1", "category_2"), ("category_2", "category_3")):
        paths = items.select(upper, lower).unique()
        assert len(paths) >= items[upper].n_unique() * 2
    queries = tables[TableName.EXPOSURES].filter(pl.col("query").is_not_null())
    searching = {scenario.name for scenario in workspace.scenarios if scenario.kind == "search"}
    exposures = tables[TableName.EXPOSURES].filter(pl.col("scenario").is_in(searching))
    assert len(queries) == len(exposures) > 0
    assert set(queries["scenario"].unique()) <= searching


def test_ads_show_only_what_pays_and_games_only_games(
    workspace: Workspace, tables: dict[TableName, pl.DataFrame]
) -> None:
    kinds = pl.DataFrame(
        {"scenario": workspace.scenario_names(), "kind_of": [entry.kind for entry in workspace.scenarios]}
    )
    shown = tables[TableName.EXPOSURES].join(kinds, on="scenario").join(tables[TableName.ITEMS], on="item_id")
    assert set(shown.filter(pl.col("kind_of") == "games")["kind"].unique()) == {"game"}
    ads = shown.filter(pl.col("kind_of") == "ads").join(tables[TableName.CREATIVES], on="creative_id")
    assert (ads["bid"] > 0).all()
    assert ads["advertiser"].is_not_null().all()


def test_funnel_steps_follow_their_parents(workspace: Workspace, tables: dict[TableName, pl.DataFrame]) -> None:
    named = tables[TableName.BEHAVIOURS].filter(pl.col("exposure_id").is_not_null())
    moments = {
        action: frame.select("exposure_id", "time")
        for (action,), frame in named.group_by("action")
    }  # fmt: skip
    checked = 0
    for objective in workspace.objectives:
        if objective.parent is None:
            continue
        child = moments[objective.action].join(
            moments[objective.parent], on="exposure_id", how="left", suffix="_parent"
        )
        told_late = child["time_parent"].is_null()  # the parent's report had not arrived when the log ended
        assert told_late.mean() < 0.05, objective.name
        assert (child["time"] > child["time_parent"]).drop_nulls().all(), objective.name
        checked += len(child)
    assert checked > 1_000


def test_delays_fall_within_windows_mostly(workspace: Workspace, tables: dict[TableName, pl.DataFrame]) -> None:
    shown = tables[TableName.EXPOSURES].select("exposure_id", pl.col("time").alias("shown"))
    named = tables[TableName.BEHAVIOURS].join(shown, on="exposure_id")
    for objective in workspace.objectives:
        delay = named.filter(pl.col("action") == objective.action).select(pl.col("time") - pl.col("shown")).to_series()
        assert (delay <= objective.window).mean() > 0.95, objective.name


def test_truth_stands_apart_for_every_exposure(tiny_folder: Path, tables: dict[TableName, pl.DataFrame]) -> None:
    truth = pl.read_parquet(tiny_folder / "truth" / "exposures" / "*.parquet")
    assert truth["exposure_id"].sort().equals(tables[TableName.EXPOSURES]["exposure_id"].sort())
    assert not any(column.startswith(("p_", "q_", "part_")) for column in tables[TableName.EXPOSURES].columns)
    creatives = pl.read_parquet(tiny_folder / "truth" / "creatives.parquet")
    assert creatives["creative_id"].equals(tables[TableName.CREATIVES]["creative_id"])
    assert len(creatives.columns) == 16  # the fifteen fields and the file
    world = json.loads((tiny_folder / "truth" / "world.json").read_text())
    assert world["strengths"]["version"] == 1


def test_marginal_is_the_product_down_the_funnel(tiny_folder: Path, workspace: Workspace) -> None:
    truth = pl.read_parquet(tiny_folder / "truth" / "exposures" / "*.parquet")
    expected = (truth["q_impression"] * truth["q_click"] * truth["q_detail"] * truth["q_download"]).cast(pl.Float64)
    assert (truth["p_download"].cast(pl.Float64) - expected).abs().max() < 1e-6


def test_explanation_rises_from_guessing_to_the_oracle(tiny_folder: Path) -> None:
    text = explain(tiny_folder)
    table = json.loads((tiny_folder / "truth" / "auc_by_parts.json").read_text())
    click = list(table["click"].values())
    assert "oracle" in text
    assert click[0] < 0.62
    assert 0.75 < click[-1] < 0.95
    assert click[-1] > max(click) - 0.01
