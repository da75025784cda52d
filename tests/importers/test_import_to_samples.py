"""Imported workspaces go through check and samples as they are; labels worked out by hand."""

import polars as pl
import pytest

from plait.pipelines.check import checked_tables
from plait.pipelines.project import open_project
from plait.pipelines.samples import built_samples


def labels(folder, *objectives):
    """Exposure id -> labels."""
    samples = built_samples(open_project(folder)) / "exposures"
    frame = pl.read_parquet(sorted(samples.glob("*.parquet"))).sort("exposure_id")
    columns = [f"label_{objective}" for objective in objectives]
    return {row[0]: row[1:] for row in frame.select("exposure_id", *columns).iter_rows()}


def test_more_than_three_stars_is_liked(importing, ml1m):
    assert labels(importing("movielens-1m", ml1m).folder, "liked") == {1: (1,), 2: (0,), 3: (1,)}


def test_half_stars(importing, ml20m):
    assert labels(importing("movielens-20m", ml20m).folder, "liked") == {2: (0,), 3: (1,)}


def test_reviewed_items_are_positive_and_sampled_ones_negative(importing, beauty):
    found = labels(importing("amazon-beauty", beauty).folder, "reviewed")

    assert found == {**dict.fromkeys(range(1, 6), (1,)), **dict.fromkeys(range(6, 9), (0,))}


def test_used_apps_are_positive_and_sampled_ones_negative(importing, frappe):
    found = labels(importing("frappe", frappe).folder, "used")

    assert found == {**dict.fromkeys(range(2, 6), (1,)), **dict.fromkeys(range(6, 13), (0,))}


def test_each_signal_is_an_objective(importing, kuairand):
    found = labels(importing("kuairand", kuairand).folder, "click", "long_view", "like", "profile_enter", "hate")

    assert found == {2: (1, 1, 1, 0, 0), 3: (0, 0, 0, 0, 1), 5: (1, 0, 0, 1, 0), 7: (0, 0, 0, 0, 0)}


@pytest.mark.parametrize(("name", "fixture"), [("movielens-100k", "ml100k"), ("kuairand", "kuairand")])
def test_nothing_is_quarantined(importing, request, name, fixture):
    report = importing(name, request.getfixturevalue(fixture))
    clean = checked_tables(open_project(report.folder))

    for table, rows in report.rows.items():
        assert sum(pl.read_parquet(part).height for part in (clean / table).glob("*.parquet")) == rows


def test_a_rating_of_a_film_that_is_not_listed_is_quarantined(importing, ml1m):
    with (ml1m / "ml-1m" / "ratings.dat").open("a") as file:
        file.write("1::10::5::978300999\n" * 20 + "1::999::5::978300760\n")
    report = importing("movielens-1m", ml1m)
    clean = checked_tables(open_project(report.folder))

    assert report.rows["exposures"] == 24
    assert pl.read_parquet(clean / "quarantine" / "exposures.parquet")["item_id"].to_list() == [999]
