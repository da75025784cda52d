"""Frappe: contexts, sampled negatives, and a split by pair."""

import polars as pl

from plait.config import load_workspace

START = 946_684_800_000


def test_usage_becomes_exposures_and_behaviours(importing, table, frappe):
    report = importing("frappe", frappe)
    used = table(report, "exposures").filter(is_sampled=0)

    assert report.rows == {"users": 2, "items": 5, "exposures": 4 + 7, "behaviours": 4}
    assert used.select("exposure_id", "user_id", "item_id", "scenario").rows() == [
        (2, 0, 0, "phone"),
        (3, 0, 0, "phone"),
        (4, 0, 2, "phone"),
        (5, 1, 1, "phone"),
    ]
    assert used.select("daytime", "day_of_week", "day_kind", "place", "weather", "country", "city").row(1) == (
        ("noon", "monday", "workday", "work", "sunny", "Spain", "0")
    )
    behaviours = table(report, "behaviours")
    assert behaviours.select("user_id", "item_id", "action", "value", "exposure_id").rows() == [
        (0, 0, "use", 1.0, 2),
        (0, 0, "use", 4.0, 3),
        (0, 2, "use", 7.0, 4),
        (1, 1, "use", 2.0, 5),
    ]


def test_all_rows_of_a_pair_share_one_step(importing, table, frappe):
    used = table(importing("frappe", frappe), "exposures").filter(is_sampled=0)

    first, second, third, other = used["time"].to_list()
    assert first == second != third
    assert {first, third} == {START, START + 86_400_000}
    assert other == START


def test_negatives_share_context_and_step_with_their_pair(importing, table, frappe):
    shown = table(importing("frappe", frappe), "exposures")
    negatives = shown.filter(is_sampled=1)

    # User 0 used two of five apps: three are left for its two pairs. The pair that comes first in the table, app 0 in
    # two contexts, takes two of them, app 2 the last one: 2 x 2 + 1 x 1 rows. User 1 has one pair: two rows.
    assert negatives.height == 7
    assert set(negatives.filter(user_id=0)["item_id"]) == {1, 3, 4}
    assert set(negatives.filter(user_id=1)["item_id"]) <= {0, 2, 3, 4}
    contexts = ("user_id", "time", "daytime", "day_of_week", "place")
    assert negatives.join(shown.filter(is_sampled=0), on=contexts, how="anti").height == 0
    assert negatives["exposure_id"].to_list() == [6, 7, 8, 9, 10, 11, 12]


def test_a_pair_never_has_two_times(importing, table, frappe):
    shown = table(importing("frappe", frappe), "exposures")

    assert shown.group_by("user_id", "item_id").agg(pl.col("time").n_unique())["time"].max() == 1


def test_apps(importing, table, frappe):
    items = table(importing("frappe", frappe), "items")

    assert items.select("item_id", "name", "category_1", "description", "price", "rating", "cost").rows() == [
        (0, "Hello", "Tools", 'He said "hi"', 0.0, 4.5, "free"),
        (1, None, None, None, None, None, "free"),
        (2, "游戏", "Games", "好玩", 1002.5, 3.0, "paid"),
        (3, "Four", "Games", "x", 0.0, 2.0, None),
        (4, "Five", "Games", "x", 0.0, 2.0, None),
    ]


def test_without_descriptions(importing, table, frappe):
    (frappe / "meta.csv.gz").unlink()
    report = importing("frappe", frappe, negatives=0)

    assert table(report, "items").select("item_id", "name", "cost").rows() == [
        (0, None, "free"),
        (1, None, "free"),
        (2, None, "paid"),
    ]
    assert report.rows["exposures"] == 4


def test_workspace(importing, frappe):
    workspace = load_workspace(importing("frappe", frappe).folder)

    assert workspace.objective_names() == ["used"]
    assert workspace.split.kind == "per_user_time"
    assert workspace.tables["exposures"].columns["is_sampled"] == "ignore"


def test_apps_told_in_texts_are_never_shown(importing, table, frappe):
    report = importing("frappe", frappe, told=0.5, seed=2)
    shown, behaviours = table(report, "exposures"), table(report, "behaviours")
    told, used = behaviours.filter(action="have"), behaviours.filter(action="use")

    assert told.height > 0
    assert used.height > 0
    assert told["value"].sum() + used["value"].sum() == 1 + 4 + 7 + 2, "every use of the log is one or the other"
    assert told.select("user_id", "item_id").is_unique().all()
    assert not set(told["item_id"]) & {*used["item_id"], *shown["item_id"]}
    assert told["time"].unique().to_list() == [START]
    assert told["exposure_id"].null_count() == told.height
    assert min(shown["time"].min(), used["time"].min()) > START
    workspace = load_workspace(report.folder)
    assert workspace.embedding.actions == {"have": "apps"}
    assert workspace.embedding.recency == 36_500 * 86_400_000
    assert workspace.models["ctrl-dcnv2-align"].overrides["model"]["inputs"] == ["user", "item", "context"]
    tuned = workspace.models["ctrl-dcnv2-tuned-align"].overrides["model"]
    assert (tuned["embedding_dim"], tuned["align"]["tuned_parts"]) == (16, ["user", "context"])


def test_a_context_can_be_the_scenario(importing, table, frappe):
    report = importing("frappe", frappe, scenario="daytime")
    used = table(report, "exposures").filter(is_sampled=0)

    assert used["scenario"].to_list() == ["morning", "noon", "night", "night"]
    assert table(report, "behaviours")["scenario"].to_list() == ["morning", "noon", "night", "night"]
    assert load_workspace(report.folder).scenario_names() == ["morning", "night", "noon"]
