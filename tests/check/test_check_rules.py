"""One rule at a time: a sound workspace, spoiled in one place, gives exactly the counts that one can see."""

import datetime

import polars as pl
import pytest
from check_desk import NOON, Desk, Outcome, found, the_finding

from plait.config import CheckSettings, ObjectiveSettings

YEAR = 365 * 86_400_000


def test_a_sound_workspace_has_no_findings(desk: Desk):
    report = desk.check()
    assert report.all_findings() == ()
    assert [(table.table, table.rows_in, table.rows_out) for table in report.tables] == [
        ("users", 3, 3),
        ("items", 2, 2),
        ("creatives", 1, 1),
        ("exposures", 4, 4),
        ("behaviours", 4, 4),
    ]
    for name, columns in desk.tables.items():
        assert desk.clean(name).to_dict(as_series=False) == columns
        assert desk.quarantine(name).height == 0


@pytest.mark.parametrize(
    ("table", "values", "rule", "reason"),
    [
        ("users", {"user_id": None}, "missing", "user_id is missing"),
        ("exposures", {"scenario": None}, "missing", "scenario is missing"),
        ("exposures", {"scenario": "  "}, "missing", "scenario is missing"),
        ("behaviours", {"time": None}, "missing", "time is missing"),
        ("behaviours", {"action": ""}, "missing", "action is missing"),
        ("behaviours", {"user_id": 99}, "unresolved_id", "user_id is in no clean row of users"),
        ("behaviours", {"item_id": 99}, "unresolved_id", "item_id is in no clean row of items"),
        ("exposures", {"user_id": 99}, "unresolved_id", "user_id is in no clean row of users"),
        ("exposures", {"creative_id": 99}, "unresolved_id", "creative_id is in no clean row of creatives"),
        ("creatives", {"item_id": 99}, "unresolved_id", "item_id is in no clean row of items"),
        ("exposures", {"scenario": "商店"}, "unknown_scenario", "scenario is not declared in plait.toml"),
        ("exposures", {"time": 0}, "time_not_positive", "time is zero or negative"),
        ("exposures", {"time": -NOON}, "time_not_positive", "time is zero or negative"),
        ("behaviours", {"received_time": -1}, "time_not_positive", "received_time is zero or negative"),
        ("exposures", {"position": -1}, "negative", "position is negative"),
        ("creatives", {"bid": -0.01}, "negative", "bid is negative"),
        ("exposures", {"propensity": 0.0}, "propensity", "propensity is not above 0 and at most 1"),
        ("exposures", {"propensity": 1.01}, "propensity", "propensity is not above 0 and at most 1"),
        ("behaviours", {"received_time": NOON - 1}, "received_before_time", "received_time is before time"),
        ("behaviours", {"exposure_id": 4}, "unresolved_id", "exposure_id is in no row of exposures"),
        ("behaviours", {"user_id": 2}, "exposure_differs", "the exposure that it names has another user_id"),
        ("behaviours", {"item_id": 20}, "exposure_differs", "the exposure that it names has another item_id"),
        ("behaviours", {"time": NOON - 1}, "before_exposure", "it comes before its exposure"),
    ],
)
def test_a_spoiled_row_goes_to_quarantine_with_its_reason(desk: Desk, table, values, rule, reason):
    desk.spoil(table, 0, **values)
    report = desk.check()
    finding = next(finding for finding in report.table(table).findings if finding.rule == rule)
    assert (finding.rows, finding.outcome, finding.message) == (1, Outcome.QUARANTINED, reason)
    assert (finding.examples[0].file, finding.examples[0].row) == (f"{table}.parquet", 1)
    quarantined = desk.quarantine(table)
    assert quarantined["reason"].to_list() == [reason]
    assert (quarantined["source_file"][0], quarantined["source_row"][0]) == (f"{table}.parquet", 1)
    rows = len(desk.tables[table][next(iter(desk.tables[table]))])
    assert (report.table(table).rows_in, report.table(table).rows_out) == (rows, rows - 1)
    assert desk.clean(table).height == rows - 1


def test_a_behaviour_at_the_very_time_of_its_exposure_is_sound(desk: Desk):
    desk.spoil("behaviours", 0, time=NOON)
    assert desk.check().all_findings() == ()


@pytest.mark.parametrize(("years", "sound"), [(-40, False), (-1, True), (1, True), (40, False)])
def test_times_far_from_the_plausible_range(desk: Desk, years, sound):
    desk.settings["check"] = CheckSettings(
        earliest=datetime.date(1990, 1, 1), latest=datetime.date(2030, 1, 1), max_quarantined=1
    )
    desk.spoil("behaviours", 3, time=NOON + years * YEAR)
    report = desk.check()
    assert found(report) == ({} if sound else {("behaviours", "time_out_of_range"): 1})


def test_the_range_includes_its_first_moment_and_ends_before_its_last(desk: Desk):
    """1 January 2024 00:00 UTC is 1,704,067,200 s after the epoch."""
    day = datetime.date(2024, 1, 1)
    moment = 1_704_067_200_000
    desk.settings["check"] = CheckSettings(latest=day, max_quarantined=1)
    desk.spoil("behaviours", 3, time=moment)
    assert found(desk.check()) == {("behaviours", "time_out_of_range"): 1}
    sound = Desk(desk.root / "other")
    sound.root.mkdir()
    sound.settings["check"] = CheckSettings(latest=day, max_quarantined=1)
    sound.spoil("behaviours", 3, time=moment - 1)
    assert found(sound.check()) == {}


def test_a_duplicate_key_with_equal_rows_keeps_one(desk: Desk):
    desk.again("users", 0)
    desk.again("users", 0)
    desk.again("exposures", 1)
    report = desk.check()
    assert found(report) == {("users", "duplicate"): 2, ("exposures", "duplicate"): 1}
    assert desk.clean("users")["user_id"].sort().to_list() == [1, 2, 3]
    assert desk.quarantine("users")["source_row"].to_list() == [4, 5]


def test_a_duplicate_key_with_rows_that_differ_keeps_none_and_the_rest_follows(desk: Desk):
    """Item 20 stands twice with different names: exposures 2, 4 and behaviour 2 show an item that nobody knows."""
    desk.again("items", 1, name="音乐")
    report = desk.check()
    assert found(report) == {
        ("items", "conflicting_duplicates"): 2,
        ("exposures", "unresolved_id"): 2,
        ("behaviours", "unresolved_id"): 1,
    }
    assert desk.clean("items")["item_id"].to_list() == [10]


def test_a_conflict_takes_equal_copies_along(desk: Desk):
    desk.again("items", 1)
    desk.again("items", 1, name="音乐")
    assert found(desk.check())[("items", "conflicting_duplicates")] == 3


def test_equal_behaviours_are_one(desk: Desk):
    """The copy of an organic behaviour as well as that of an attributed one; a millisecond's difference is another."""
    desk.again("behaviours", 3)
    desk.again("behaviours", 0)
    desk.again("behaviours", 0, time=NOON + 501, received_time=NOON + 501)
    report = desk.check()
    assert found(report) == {("behaviours", "duplicate"): 2}
    assert report.table("behaviours").rows_out == 5


def test_behaviours_of_a_quarantined_exposure_stay_as_organic(desk: Desk):
    desk.spoil("exposures", 0, propensity=7.0)
    report = desk.check()
    assert found(report) == {("exposures", "propensity"): 1, ("behaviours", "exposure_quarantined"): 1}
    assert the_finding(report, "exposure_quarantined").outcome is Outcome.EMPTIED
    click = desk.clean("behaviours").filter(pl.col("time") == NOON + 500)
    assert click.select("user_id", "item_id", "action", "exposure_id").rows() == [(1, 10, "click", None)]


def test_behaviours_of_an_exposure_with_a_clean_copy_keep_it(desk: Desk):
    """One of two rows of exposure 1001 has no propensity that could be; the other is sound."""
    desk.again("exposures", 0, propensity=7.0)
    report = desk.check()
    assert found(report) == {("exposures", "propensity"): 1}
    assert desk.clean("behaviours")["exposure_id"].to_list() == [1001, 1002, 1003, None]


def test_a_creative_of_another_item(desk: Desk):
    desk.spoil("exposures", 1, creative_id=100)
    report = desk.check()
    assert found(report) == {
        ("exposures", "creative_of_other_item"): 1,
        ("behaviours", "exposure_quarantined"): 1,
    }
    shown = the_finding(report, "creative_of_other_item").examples[0].found
    assert shown == "creative_id=100, item_id=20, creative's item_id=10"


def test_an_undeclared_scenario_of_a_behaviour_is_read_as_missing(desk: Desk):
    desk.spoil("behaviours", 0, scenario="负一屏")
    report = desk.check()
    finding = the_finding(report, "unknown_scenario")
    assert (finding.rows, finding.outcome) == (1, Outcome.EMPTIED)
    assert finding.examples[0].found == "scenario=负一屏"
    assert desk.clean("behaviours")["scenario"].to_list() == [None, "home", "search", None]


def test_behaviours_that_differ_only_in_undeclared_scenarios_are_not_duplicates(desk: Desk):
    desk.spoil("behaviours", 3, scenario="a")
    desk.again("behaviours", 3, scenario="b")
    assert found(desk.check()) == {("behaviours", "unknown_scenario"): 2}


def test_the_first_broken_rule_is_the_reason(desk: Desk):
    """Missing before out of range before unresolved: the row counts once."""
    desk.spoil("exposures", 3, time=None, user_id=99, scenario="nowhere", propensity=3.0)
    assert found(desk.check()) == {("exposures", "missing"): 1}


def test_no_more_than_three_examples(desk: Desk):
    for user in range(90, 95):
        desk.again("behaviours", 3, user_id=user)
    finding = the_finding(desk.check(), "unresolved_id")
    assert finding.rows == 5
    assert [(example.row, example.found) for example in finding.examples] == [
        (5, "user_id=90"),
        (6, "user_id=91"),
        (7, "user_id=92"),
    ]


def test_actions_that_nothing_names(desk: Desk):
    desk.spoil("behaviours", 3, action="分享")
    report = desk.check()
    finding = the_finding(report, "unknown_action")
    assert (finding.rows, finding.outcome) == (1, Outcome.KEPT)
    assert finding.examples[0].found == "action=分享 (1 rows)"
    assert report.rows_quarantined == 0


def test_an_action_with_a_section_of_its_own_is_known(desk: Desk):
    desk.settings["actions"] = {"share": {}}
    desk.spoil("behaviours", 3, action="share")
    assert desk.check().all_findings() == ()


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ({"name": "pay", "action": "pay"}, "objective 'pay': its action 'pay' never occurs"),
        (
            {"name": "big", "action": "install", "min_value": 2.5},
            "objective 'big': no 'install' has a value of at least 2.5",
        ),
        ({"name": "enough", "action": "install", "min_value": 2.0}, None),
    ],
)
def test_objectives_that_are_never_met(desk: Desk, objective, message):
    names = ("click", "install")
    plain = [ObjectiveSettings(name=name, action=name) for name in names]
    desk.settings["objectives"] = [*plain, ObjectiveSettings(**objective)]
    messages = [finding.message for finding in desk.check().all_findings()]
    assert messages == ([message] if message else [])


def test_too_large_a_share_in_quarantine_is_refused(desk: Desk):
    """1 of 4 exposures is 25 %."""
    desk.settings["check"] = CheckSettings(max_quarantined=0.2)
    desk.spoil("exposures", 3, propensity=2.0)
    report = desk.check()
    assert [refusal.table for refusal in report.refusals] == ["exposures"]
    assert "25.0% of the rows are in quarantine" in report.refusals[0].message


def test_a_share_at_the_limit_is_not_refused(desk: Desk):
    desk.settings["check"] = CheckSettings(max_quarantined=0.25)
    desk.spoil("exposures", 3, propensity=2.0)
    assert not desk.check().refused


def test_a_table_with_nothing_left_is_refused(desk: Desk):
    desk.tables["behaviours"] = {column: cells[:1] for column, cells in desk.tables["behaviours"].items()}
    desk.spoil("behaviours", 0, user_id=99)
    assert "no clean row is left of 1" in [refusal.message for refusal in desk.check().refusals]
