"""The real downloads, where they are at hand: official counts."""

import polars as pl
import pytest

pytestmark = pytest.mark.realdata


def test_movielens_1m(importing, table, real_data):
    report = importing("movielens-1m", real_data / "ml-1m" / "ml-1m.zip")
    behaviours = table(report, "behaviours")

    assert report.rows == {"items": 3_883, "users": 6_040, "exposures": 1_000_209, "behaviours": 1_000_209}
    assert report.rejected == {}
    assert behaviours["item_id"].n_unique() == 3_706
    assert behaviours["value"].unique().sort().to_list() == [1, 2, 3, 4, 5]
    assert table(report, "users").null_count().sum_horizontal().item() == 0


@pytest.mark.parametrize(
    ("name", "users", "events", "items"),
    [("amazon-beauty", 22_363, 198_502, 12_101), ("amazon-sports", 35_598, 296_337, 18_357)],
)
def test_amazon(importing, table, real_data, name, users, events, items):
    report = importing(name, real_data / name)

    assert report.rows == {"items": items, "users": users, "exposures": 2 * events, "behaviours": events}
    assert report.rejected == {}
    assert table(report, "items")["name"].null_count() == 0
    shown = table(report, "exposures")
    chosen = shown.filter(is_sampled=0).select("user_id", "item_id")
    assert shown.filter(is_sampled=1).join(chosen, on=("user_id", "item_id"), how="semi").height == 0


def test_frappe(importing, table, real_data):
    report = importing("frappe", real_data / "frappe")
    shown = table(report, "exposures")
    used = shown.filter(is_sampled=0)

    assert report.rows == {"users": 957, "items": 4_082, "exposures": 3 * 96_203, "behaviours": 96_203}
    assert report.rejected == {}
    assert used.select("user_id", "item_id").n_unique() == 18_842
    assert shown.group_by("user_id", "item_id").agg(pl.col("time").n_unique())["time"].max() == 1
