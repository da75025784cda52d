"""The three MovieLens layouts."""

import json

import polars as pl
import pytest

from plait.config import load_workspace
from plait.errors import DataError


def test_1m_ratings_become_exposures_and_behaviours(importing, table, ml1m):
    report = importing("movielens-1m", ml1m)

    assert report.rows == {"items": 3, "users": 2, "exposures": 3, "behaviours": 3}
    assert report.rejected == {}
    assert table(report, "exposures").rows() == [
        (1, 978_300_760_000, 1, 10, "movies"),
        (2, 978_302_109_000, 1, 20, "movies"),
        (3, 978_301_968_000, 2, 10, "movies"),
    ]
    assert table(report, "behaviours").rows() == [
        (978_300_760_000, 1, 10, "rate", 5.0, "movies", 1),
        (978_302_109_000, 1, 20, "rate", 3.0, "movies", 2),
        (978_301_968_000, 2, 10, "rate", 4.0, "movies", 3),
    ]


def test_1m_as_in_tables_of_click_models(importing, table, ml1m):
    report = importing("movielens-1m", ml1m, protocol="ctr", split="global_time")

    assert table(report, "exposures")["exposure_id"].to_list() == [1, 3], "line 2 has three stars"
    split = load_workspace(report.folder).split
    assert (split.kind, split.valid, split.test) == ("global_time", 0.1, 0.1)


def test_1m_two_objectives_by_quarters_of_the_day(importing, table, ml1m):
    """22:12, 22:35 and 22:32 UTC: evenings all; one midnight-to-six time would be a night."""
    report = importing("movielens-1m", ml1m, top=True, dayparts=True)

    assert table(report, "exposures")["scenario"].to_list() == ["evening"] * 3
    workspace = load_workspace(report.folder)
    assert workspace.scenario_names() == ["night", "morning", "afternoon", "evening"]
    top = workspace.objectives[1]
    assert (top.name, top.min_value, top.parent) == ("top", 5.0, "liked")
    ratings = ml1m / "ml-1m" / "ratings.dat"
    ratings.write_text("1::10::5::86400\n1::20::3::107999\n2::10::4::108000\n")  # 0:00, 5:59:59 and 6:00
    report = importing("movielens-1m", ml1m, replace=True, dayparts=True)
    assert table(report, "exposures")["scenario"].to_list() == ["night", "night", "morning"]


def test_1m_without_users_whose_times_were_filled_in(importing, table, ml1m, tmp_path):
    """Of the three lines only the second, of user 1, has its own time."""
    flags = tmp_path / "flags.parquet"
    pl.DataFrame({"exact": [False, True, False]}).write_parquet(flags)
    report = importing("movielens-1m", ml1m, exact_times=str(flags))

    assert table(report, "exposures")["exposure_id"].to_list() == [1, 2]
    assert json.loads((report.folder / "import.json").read_text())["options"]["exact_times"] == "flags.parquet"
    pl.DataFrame({"exact": [True, True]}).write_parquet(flags)
    with pytest.raises(DataError, match="found 2 flags"):
        importing("movielens-1m", ml1m, replace=True, exact_times=str(flags))


def test_1m_of_some_users_only(importing, table, ml1m):
    """The same one of the two every time, with all of that user's ratings."""
    reports = [importing("movielens-1m", ml1m, replace=True, users=1) for _ in range(2)]
    people, exposures = (table(reports[-1], name) for name in ("users", "exposures"))
    assert len(people) == 1
    assert exposures["user_id"].unique().to_list() == people["user_id"].to_list()
    everything = table(importing("movielens-1m", ml1m, replace=True), "exposures")
    assert len(exposures) == (everything["user_id"] == people["user_id"][0]).sum()
    with pytest.raises(DataError, match="option users"):
        importing("movielens-1m", ml1m, replace=True, users=10_000)


def test_1m_films_and_people(importing, table, ml1m):
    report = importing("movielens-1m", ml1m)

    assert table(report, "items").rows() == [
        (10, "Café Society", "Comedy", 1995, ["Comedy", "Drama"]),
        (20, "Alien: Part 2", "Horror", 1986, ["Horror"]),
        (30, "Untitled", "Sci-Fi", None, ["Sci-Fi"]),
    ]
    assert table(report, "users").rows() == [
        (1, "F", "under 18", "K-12 student", "480"),
        (2, "M", "56+", "self-employed", "700"),
    ]


def test_1m_task_is_more_than_three_stars(importing, ml1m):
    workspace = load_workspace(importing("movielens-1m", ml1m).folder)

    (liked,) = workspace.objectives
    assert (liked.name, liked.action, liked.min_value, liked.attribution) == ("liked", "rate", 4.0, "exposure_id")
    assert liked.window == 0
    assert workspace.actions["rate"].value_edges == [1.5, 2.5, 3.5, 4.5]
    assert workspace.split.kind == "per_user_time"
    assert workspace.time_unit == "ms"


def test_1m_zip_gives_the_same_bytes_as_the_folder(importing, ml1m, ml1m_zip):
    from_folder = files_of(importing("movielens-1m", ml1m).folder)
    from_zip = files_of(importing("movielens-1m", ml1m_zip, replace=True).folder)

    assert from_folder == from_zip
    assert len(from_zip) == 7


def test_100k(importing, table, ml100k):
    report = importing("movielens-100k", ml100k)

    assert table(report, "exposures").rows() == [
        (1, 881_250_949_000, 1, 7, "movies"),
        (2, 891_717_742_000, 2, 7, "movies"),
    ]
    assert table(report, "behaviours")["value"].to_list() == [3.0, 5.0]
    assert table(report, "items").rows() == [
        (7, "Amélie", "Action", 1994, ["Action", "War"]),
        (8, "unknown", None, None, None),
    ]
    assert table(report, "users").rows() == [(1, 24, "M", "technician", "857"), (2, 53, "F", "other", "V3N")]


def test_20m_users_are_made_from_ids_and_tags_stay_out(importing, table, ml20m):
    report = importing("movielens-20m", ml20m)

    assert table(report, "users").rows() == [(3,), (5,)]
    assert table(report, "behaviours").rows() == [
        (1_112_486_027_000, 5, 1, "rate", 3.5, "movies", 2),
        (1_112_484_676_000, 3, 2, "rate", 4.0, "movies", 3),
    ]
    assert table(report, "items").rows() == [
        (1, "Heat", "Action", 1995, ["Action", "Crime"]),
        (2, 'Good, the Bad and the "Ugly", The', None, 1966, None),
    ]


def test_20m_tags_become_behaviours_when_asked_for(importing, table, ml20m):
    report = importing("movielens-20m", ml20m, tags="true")

    assert table(report, "users").rows() == [(3,), (5,), (9,)]
    assert table(report, "behaviours").rows()[2] == (1_240_597_180_000, 9, 2, "tag", None, "movies", None)
    assert table(report, "exposures").height == 2


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
