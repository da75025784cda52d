"""Amazon sequences: order, texts, attributes and sampled negatives."""

import polars as pl
import pytest
from importers_reference import negatives_are_fair

from plait.config import load_workspace
from plait.errors import ConfigError

DAY = 86_400_000
START = 946_684_800_000  # 2000-01-01


def test_order_becomes_days(importing, table, beauty):
    report = importing("amazon-beauty", beauty, negatives=0)

    assert table(report, "exposures").rows() == [
        (1, START, "UB", "B3", "shop", 0),
        (2, START + DAY, "UB", "B1", "shop", 0),
        (3, START + 2 * DAY, "UB", "B2", "shop", 0),
        (4, START, "UA", "B2", "shop", 0),
        (5, START + DAY, "UA", "B4", "shop", 0),
    ]
    assert table(report, "behaviours").rows() == [
        (START, "UB", "B3", "review", "shop", 1),
        (START + DAY, "UB", "B1", "review", "shop", 2),
        (START + 2 * DAY, "UB", "B2", "review", "shop", 3),
        (START, "UA", "B2", "review", "shop", 4),
        (START + DAY, "UA", "B4", "review", "shop", 5),
    ]
    assert table(report, "users").rows() == [("UB",), ("UA",)]


def test_the_clock_is_said_to_be_ordinal(importing, beauty):
    folder = importing("amazon-beauty", beauty).folder

    assert "THE CLOCK IS ORDINAL" in (folder / "plait.toml").read_text()
    assert load_workspace(folder).split.kind == "per_user_time"


def test_items_take_titles_then_short_texts_and_their_most_shared_attributes(importing, table, beauty):
    items = table(importing("amazon-beauty", beauty), "items")

    # Attribute 100 is on every item and says nothing; 6 is on three items, 5 on two, 9 on one.
    assert items.rows() == [
        ("B1", "Comb", "comb wood", 6, 5, None),
        ("B2", "Soap, green", None, 6, None, None),
        ("B3", "brush", "brush", 6, 5, None),
        ("B4", None, None, 9, None, None),
    ]


def test_negatives_stand_beside_their_positive(importing, table, beauty):
    shown = table(importing("amazon-beauty", beauty, negatives=1), "exposures")
    positives, negatives = shown.filter(is_sampled=0), shown.filter(is_sampled=1)

    # UB reviewed three of the four items, so one is left; UA two of four, so both are drawn, in some order.
    assert negatives.filter(user_id="UB").rows() == [(6, START, "UB", "B4", "shop", 1)]
    assert sorted(negatives.filter(user_id="UA")["item_id"]) == ["B1", "B3"]
    assert negatives.filter(user_id="UA")["time"].to_list() == [START, START + DAY]
    assert negatives["exposure_id"].to_list() == [6, 7, 8]
    assert positives.height == 5


def test_many_negatives_are_fair(importing, table, tmp_path):
    folder = tmp_path / "sports"
    folder.mkdir()
    lines = [f"U{user} " + " ".join(f"I{(user * 7 + step) % 40:02d}" for step in range(5)) for user in range(300)]
    (folder / "user_sequence.txt").write_text("\n".join(lines) + "\n")
    shown = table(importing("amazon-sports", folder, negatives=4), "exposures")
    chosen = shown.filter(is_sampled=0).select("user_id", "item_id")
    drawn = shown.filter(is_sampled=1).select("user_id", "item_id")

    negatives_are_fair(chosen.rows(), drawn.rows(), items=40, each=4)


def test_the_seed_decides(importing, table, beauty):
    first = table(importing("amazon-beauty", beauty, seed=1), "exposures")
    again = table(importing("amazon-beauty", beauty, seed=1, replace=True), "exposures")
    others = [table(importing("amazon-beauty", beauty, seed=seed, replace=True), "exposures") for seed in range(2, 12)]

    assert first.equals(again)
    assert any(not first.equals(other) for other in others)


def test_bad_lines_are_kept_with_reasons(importing, beauty):
    (beauty / "user_sequence.txt.gz").unlink()
    (beauty / "user_sequence.txt").write_bytes(b"UA B1 B2\nUB\nUA B3\nUC \xff\xfe\nUD B1 B2\nUE B3 B1\nUF B3 B1\n")
    report = importing("amazon-beauty", beauty)

    assert report.rejected == {"user_sequence.txt": 3}
    rejected = pl.read_csv(report.folder / "rejected.csv")
    assert rejected.select("line", "reason").rows() == [
        (2, "expected a user and at least one item"),
        (3, "this user has an earlier line"),
        (4, "not valid UTF-8"),
    ]


def test_option_out_of_range_is_refused(importing, beauty):
    with pytest.raises(ConfigError, match="negatives"):
        importing("amazon-beauty", beauty, negatives=-1)


def test_two_domains_share_people_and_no_history(importing, table, beauty_and_sports):
    report = importing("amazon-beauty-sports", beauty_and_sports, negatives=0)

    assert table(report, "users").rows() == [
        ("beauty:UB", "UB"),
        ("beauty:UA", "UA"),
        ("sports:UA", "UA"),
        ("sports:UC", "UC"),
    ]
    assert table(report, "items")["item_id"].to_list() == ["B1", "B2", "B3", "B4", "S1", "S2"]
    assert table(report, "items")["attribute_1"].to_list() == [
        "beauty:6",
        "beauty:6",
        "beauty:6",
        "beauty:9",
        None,
        None,
    ]
    shown = table(report, "exposures")
    assert shown.filter(scenario="sports").rows() == [
        (6, START, "sports:UA", "B4", "sports", 0),
        (7, START + DAY, "sports:UA", "S1", "sports", 0),
        (8, START, "sports:UC", "S1", "sports", 0),
        (9, START + DAY, "sports:UC", "S2", "sports", 0),
    ]
    assert load_workspace(report.folder).scenario_names() == ["beauty", "sports"]
    assert (
        table(importing("amazon-beauty-sports", beauty_and_sports, replace=True), "exposures")["exposure_id"]
        .is_unique()
        .all()
    )
