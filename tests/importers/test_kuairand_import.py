"""KuaiRand's official CSV layout, on made-up rows."""

import pytest

from plait.config import load_workspace
from plait.errors import ImportLayoutError


def test_rows_become_exposures_with_scenarios_and_propensities(importing, table, kuairand):
    report = importing("kuairand", kuairand)

    # Line 1 of each log is its header; ids of later logs go on after the earlier log's last line (3, then 3 + 2).
    assert table(report, "exposures").rows() == [
        (2, 1_649_361_600_000, 0, 11, "tab_1", None, 0),
        (3, 1_649_361_700_000, 0, 12, "tab_4", None, 0),
        (5, 1_650_589_200_000, 1, 11, "tab_1", None, 0),
        (7, 1_650_675_600_000, 1, 12, "tab_0", 1 / 7583, 1),
    ]


def test_each_signal_is_a_behaviour_known_after_the_play(importing, table, kuairand):
    behaviours = table(importing("kuairand", kuairand), "behaviours")

    rows = behaviours.select("exposure_id", "action", "value", "received_time").rows()
    assert rows == [
        (2, "click", None, 1_649_361_620_000),
        (2, "long_view", None, 1_649_361_620_000),
        (2, "like", None, 1_649_361_620_000),
        (2, "play", 20.0, 1_649_361_620_000),
        (3, "hate", None, 1_649_361_700_000),
        (5, "click", None, 1_650_589_208_000),
        (5, "profile_enter", None, 1_650_589_208_000),
        (5, "play", 8.0, 1_650_589_208_000),
        (5, "profile_stay", 2.5, 1_650_589_208_000),
        (7, "play", 1.5, 1_650_675_601_500),
    ]
    assert behaviours.select("time", "user_id", "item_id", "scenario").row(9) == (1_650_675_600_000, 1, 12, "tab_0")


def test_users_and_videos(importing, table, kuairand):
    report = importing("kuairand", kuairand)
    users, items = table(report, "users"), table(report, "items")

    assert users.select("user_id", "follow_user_num_range", "fans_user_num", "onehot_feat17").rows() == [
        (0, "(0,10]", 312.0, "1"),
        (1, "0", 0.0, None),
    ]
    assert items.select("item_id", "category_1", "author_id", "video_duration", "music_id", "tag").rows() == [
        (11, "tag_12", 441, 15000.0, 989206467, ["12", "65"]),
        (12, None, 7, None, None, None),
    ]


def test_workspace_has_the_scenarios_that_occur_and_eight_objectives(importing, kuairand):
    workspace = load_workspace(importing("kuairand", kuairand).folder)

    assert workspace.scenario_names() == ["tab_0", "tab_1", "tab_4"]
    assert workspace.objective_names() == [
        "click", "long_view", "like", "follow", "comment", "forward", "profile_enter", "hate"
    ]  # fmt: skip
    assert {objective.window for objective in workspace.objectives} == {3_600_000}
    assert all(objective.parent is None for objective in workspace.objectives)
    assert workspace.split.kind == "global_time"
    assert workspace.tables["exposures"].columns["is_rand"] == "ignore"


def test_statistics_stay_beside_the_tables(importing, table, kuairand):
    report = importing("kuairand", kuairand, statistics="true", pool_size=10)

    assert table(report, "statistics").select("video_id", "counts", "show_cnt").rows() == [
        (11, 66.0, 75.212),
        (12, 3.0, 1.0),
    ]
    assert "statistics" not in load_workspace(report.folder).tables
    assert table(report, "exposures")["propensity"].to_list()[3] == 1 / 10


def test_pure_without_random_log(importing, table, kuairand):
    (kuairand / "data" / "log_random_4_22_to_5_08_1k.csv").unlink()

    assert table(importing("kuairand", kuairand), "exposures")["propensity"].null_count() == 3


def test_a_log_without_a_signal_column_is_another_layout(importing, kuairand):
    path = kuairand / "data" / "log_standard_4_08_to_4_21_1k.csv"
    path.write_text(path.read_text().replace("is_hate", "is_hatred"))

    with pytest.raises(ImportLayoutError, match=r"log_standard_4_08_to_4_21_1k\.csv lacks is_hate"):
        importing("kuairand", kuairand)
