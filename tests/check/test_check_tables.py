"""What refuses a table as a whole: units, types, columns, ids written in two ways; and what is read in other ways."""

import datetime

import polars as pl
import pytest
from check_desk import NOON, Desk, Outcome, found, sound_tables, the_finding

from plait.config import CheckSettings, Workspace
from plait.data import validation
from plait.data.checks import across, partitions
from plait.schema import TableName

PER_UNIT = {"s": 1e-3, "ms": 1.0, "us": 1e3, "ns": 1e6}
WORDS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


def in_unit(desk: Desk, unit: str, *tables: str) -> None:
    for table in tables:
        for column in {"time", "received_time"} & set(desk.tables[table]):
            cells = desk.tables[table][column]
            desk.tables[table][column] = [None if cell is None else int(cell * PER_UNIT[unit]) for cell in cells]


@pytest.mark.parametrize("declared", ["s", "ms", "us"])
@pytest.mark.parametrize("actual", ["s", "ms", "us", "ns"])
def test_times_in_another_unit_than_declared_are_refused_and_the_right_one_is_named(desk: Desk, declared, actual):
    desk.settings["time_unit"] = declared
    in_unit(desk, actual, "exposures", "behaviours")
    report = desk.check()
    units = [refusal for refusal in report.refusals if refusal.rule == "wrong_unit"]
    if declared == actual:
        assert not units
        return
    assert {(refusal.table, refusal.message.split(":")[0]) for refusal in units} == {
        ("exposures", "time"),
        ("behaviours", "time"),
        ("behaviours", "received_time"),
    }
    assert all(f"100% fit {WORDS[actual]}" in refusal.message for refusal in units)
    assert report.tables == (), "nothing is put in quarantine for a mistake in the workspace file"


@pytest.mark.parametrize("unit", ["s", "us"])
def test_declared_units_become_milliseconds(desk: Desk, unit):
    for column in ("time", "received_time"):
        cells = desk.tables["behaviours"][column]
        desk.tables["behaviours"][column] = [None if cell is None else cell // 1000 * 1000 for cell in cells]
    expected = desk.tables["behaviours"]["time"]
    desk.settings["time_unit"] = unit
    in_unit(desk, unit, "exposures", "behaviours")
    desk.spoil("behaviours", 0, exposure_id=None)
    desk.check()
    assert desk.clean("behaviours")["time"].to_list() == expected


def test_one_bad_time_among_good_ones_is_no_question_of_units(desk: Desk):
    desk.spoil("exposures", 3, time=NOON // 1000)
    report = desk.check()
    assert not report.refused
    assert found(report) == {("exposures", "time_out_of_range"): 1}


def test_times_that_fit_no_unit(desk: Desk):
    desk.tables["exposures"]["time"] = [1, 2, 3, 4]
    finding = the_finding(desk.check(), "wrong_unit")
    assert "found 1 to 4" in finding.message
    assert "no unit fits them" in finding.message
    assert finding.examples[0].found == "time=1"


def test_ids_of_one_kind_in_different_widths_join(desk: Desk):
    desk.write()
    narrow = pl.read_parquet(desk.root / "users.parquet").with_columns(pl.col("user_id").cast(pl.UInt16))
    narrow.write_parquet(desk.root / "users.parquet")
    report = validation.check_tables(desk.workspace, desk.root, desk.out)
    assert report.all_findings() == ()
    assert desk.clean("users").schema["user_id"] == pl.Int64


def test_ids_that_pandas_wrote_as_floats_are_whole_numbers(desk: Desk):
    """A column with gaps becomes float in pandas: 1001.0 and NaN."""
    desk.tables["behaviours"]["exposure_id"] = [1001.0, 1002.0, 1003.0, float("nan")]
    assert desk.check().all_findings() == ()
    assert desk.clean("behaviours")["exposure_id"].to_list() == [1001, 1002, 1003, None]


def test_ids_that_are_text_here_and_numbers_there_are_joined_as_text(desk: Desk):
    desk.tables["users"]["user_id"] = ["1", "2", "游客"]
    report = desk.check()
    assert "whole numbers in exposures, behaviours, text in users" in the_finding(report, "mixed_id_types").message
    assert desk.clean("users").schema["user_id"] == pl.String
    assert desk.clean("behaviours")["user_id"].to_list() == ["1", "1", "2"]
    assert found(report) == {("exposures", "unresolved_id"): 1, ("behaviours", "unresolved_id"): 1}


def test_ids_that_can_never_join_are_refused(desk: Desk):
    desk.tables["users"]["user_id"] = ["u1", "u2", "u3"]
    refusal = desk.check().refusals[0]
    assert (refusal.table, refusal.rule) == ("exposures", "unresolved_id")
    assert "whole numbers in exposures, behaviours, text in users" in refusal.message


def test_exposure_ids_that_can_never_join_are_refused(desk: Desk):
    desk.tables["behaviours"]["exposure_id"] = ["e1", "e2", "e3", None]
    refusal = desk.check().refusals[0]
    assert (refusal.table, refusal.rule) == ("behaviours", "unresolved_id")


def test_64_bit_hashes_stay_what_they_are(desk: Desk):
    """2^64 - 1 is no Int64."""
    big = 2**64 - 1
    desk.tables["users"]["user_id"] = pl.Series([1, 2, big], dtype=pl.UInt64)
    desk.spoil("exposures", 3, user_id=2)
    desk.spoil("behaviours", 3, user_id=2)
    assert not desk.check().refused
    assert desk.clean("users")["user_id"].to_list() == ["1", "2", str(big)]


@pytest.mark.parametrize(
    ("column", "cells", "message"),
    [
        ("user_id", [[1], [1], [2], [3]], "column 'user_id' is List(Int64), expected whole numbers or text"),
        ("position", [datetime.date(2024, 1, 1)] * 4, "column 'position' is Date, expected whole numbers"),
        ("time", [True] * 4, "column 'time' is Boolean, expected an integer time, a datetime or text that holds one"),
    ],
)
def test_columns_that_can_never_hold_what_they_should_are_refused(desk: Desk, column, cells, message):
    desk.tables["exposures"][column] = cells
    refusal = the_finding(desk.check(), "wrong_type")
    assert (refusal.table, refusal.outcome) == ("exposures", Outcome.REFUSED)
    assert message in refusal.message


def test_a_missing_column_is_refused_with_the_nearest_name(desk: Desk):
    desk.tables["exposures"]["uesr_id"] = desk.tables["exposures"].pop("user_id")
    refusal = the_finding(desk.check(), "unreadable_table")
    assert "column 'user_id' is missing; did you mean 'uesr_id'?" in refusal.message


def test_a_declared_column_that_is_missing_is_refused(desk: Desk):
    desk.table_settings["users"] = {"columns": {"age": "number"}}
    refusal = the_finding(desk.check(), "unreadable_table")
    assert "column 'age' is declared in tables.users.columns but is not there" in refusal.message


def test_every_refusal_is_reported_at_once(desk: Desk):
    del desk.tables["users"]["user_id"]
    desk.tables["users"]["name"] = ["a", "b", "c"]
    del desk.tables["behaviours"]["action"]
    assert [refusal.table for refusal in desk.check().refusals] == ["users", "behaviours"]


def test_extra_columns_become_what_they_mean(desk: Desk):
    desk.tables["users"] |= {
        "age": ["31", "四十", None],
        "city": ["北京", "Berlin", None],
        "level": [3, 2, 1],
        "secret": ["x", "y", "z"],
    }
    desk.table_settings["users"] = {
        "columns": {"age": "number", "city": "category", "level": "category", "secret": "ignore"}
    }
    report = desk.check()
    finding = the_finding(report, "unreadable")
    assert (finding.rows, finding.outcome) == (1, Outcome.EMPTIED)
    assert finding.examples[0].found == "age=四十"
    assert desk.clean("users").to_dict(as_series=False) == {
        "user_id": [1, 2, 3],
        "age": [31.0, None, None],
        "city": ["北京", "Berlin", None],
        "level": [3, 2, 1],
    }


def test_a_number_column_that_holds_only_text_is_refused(desk: Desk):
    desk.tables["users"]["age"] = ["young", "old", None]
    desk.table_settings["users"] = {"columns": {"age": "number"}}
    refusal = desk.check().refusals[0]
    assert refusal.message == "column 'age' is declared number, but no value of it can be read as a number"


def test_a_value_that_is_no_number_goes_to_quarantine_in_a_column_of_plaits_own(desk: Desk):
    desk.tables["behaviours"]["value"] = ["1.5", "NaN-ish", None, "2"]
    report = desk.check()
    assert found(report) == {("behaviours", "unreadable"): 1}
    assert desk.quarantine("behaviours")["found"].to_list() == ["value=NaN-ish"]
    assert desk.clean("behaviours")["value"].to_list() == [1.5, None, 2.0]


def test_nan_is_a_gap_and_infinity_is_no_number(desk: Desk):
    desk.tables["behaviours"]["value"] = [float("nan"), float("inf"), 1.0, None]
    assert found(desk.check()) == {("behaviours", "unreadable"): 1}
    assert desk.clean("behaviours")["value"].to_list() == [None, 1.0, None]


def test_sequences_and_times_of_ones_own(desk: Desk):
    desk.tables["users"] |= {"tags": [["a"], [], None], "joined": [datetime.date(2024, 1, 1), None, None]}
    desk.tables["users"]["listed"] = ["['a', 'b c']", "1|2；3", " "]
    desk.table_settings["users"] = {"columns": {"tags": "sequence", "listed": "sequence", "joined": "time"}}
    assert desk.check().all_findings() == ()
    clean = desk.clean("users")
    assert clean["tags"].to_list() == [["a"], [], None]
    assert clean["listed"].to_list() == [["a", "b c"], ["1", "2", "3"], []]
    assert clean["joined"].to_list() == [1_704_067_200_000, None, None]


def test_csv_ids_are_numbers_only_if_all_of_them_are(desk: Desk):
    """A "007" at the end keeps every item id text, and the row's neighbours join all the same."""
    desk.write()
    for name in desk.tables:
        pl.read_parquet(desk.root / f"{name}.parquet").write_csv(desk.root / f"{name}.csv")
    with (desk.root / "items.csv").open("a", encoding="utf-8") as file:
        file.write('007,"新,闻"\n')
    workspace = csv_workspace(desk)
    report = validation.check_tables(workspace, desk.root, desk.out)
    assert [finding.rule for finding in report.all_findings()] == ["mixed_id_types"]
    assert desk.clean("items").rows() == [("10", "地图"), ("20", "Music"), ("007", "新,闻")]
    assert desk.clean("users").schema["user_id"] == pl.Int64
    assert desk.clean("exposures").height == 4


def test_a_csv_time_that_cannot_be_read(desk: Desk):
    desk.write()
    for name in desk.tables:
        frame = pl.read_parquet(desk.root / f"{name}.parquet")
        if name == "exposures":
            frame = frame.with_columns(time=pl.Series(["2023-11-14 22:13:20", "昨天", "2023-11-15T00:00Z", "NULL"]))
        frame.write_csv(desk.root / f"{name}.csv")
    report = validation.check_tables(csv_workspace(desk), desk.root, desk.out)
    assert dict(desk.quarantine("exposures").select("source_row", "found").rows()) == {
        2: "time=昨天",
        4: "time=(none)",
    }
    assert found(report) == {
        ("exposures", "unreadable"): 1,
        ("exposures", "missing"): 1,
        ("behaviours", "exposure_quarantined"): 1,
        ("behaviours", "before_exposure"): 1,
    }
    assert desk.clean("exposures")["time"].to_list() == [NOON, 1_700_006_400_000]
    assert report.table("exposures").rows_quarantined == 2


def csv_workspace(desk: Desk) -> Workspace:
    values = desk.workspace.model_dump(mode="json")
    for name in values["tables"]:
        values["tables"][name]["path"] = f"{name}.csv"
    return Workspace.model_validate(values)


def test_a_damaged_file_is_named(desk: Desk):
    desk.write()
    (desk.root / "users.parquet").write_bytes(b"PAR1 and nothing else")
    refusal = the_finding(validation.check_tables(desk.workspace, desk.root, desk.out), "unreadable_table")
    assert "users.parquet: cannot be read" in refusal.message


def test_a_csv_line_with_too_many_fields_is_named(desk: Desk):
    desk.write()
    for name in desk.tables:
        pl.read_parquet(desk.root / f"{name}.parquet").write_csv(desk.root / f"{name}.csv")
    with (desk.root / "users.csv").open("a", encoding="utf-8") as file:
        file.write("4,5\n")
    refusal = the_finding(validation.check_tables(csv_workspace(desk), desk.root, desk.out), "unreadable_table")
    assert "users.csv: cannot be read" in refusal.message
    assert "Expected 1 columns, got 2: 4,5" in refusal.message


def test_creatives_named_but_not_given(desk: Desk):
    del desk.tables["creatives"]
    report = desk.check()
    assert the_finding(report, "no_creatives_table").outcome is Outcome.KEPT
    assert desk.clean("exposures")["creative_id"].to_list() == [100, None, 100, None]


def test_tables_without_optional_columns(desk: Desk):
    for table, columns in {
        "exposures": ("creative_id", "position", "propensity"),
        "behaviours": ("value", "scenario", "exposure_id", "received_time"),
    }.items():
        for column in columns:
            del desk.tables[table][column]
    del desk.tables["creatives"]
    desk.again("behaviours", 0)
    assert found(desk.check()) == {("behaviours", "duplicate"): 1}
    assert desk.clean("behaviours").columns == ["time", "user_id", "item_id", "action"]


def test_many_parts_find_what_one_part_finds(desk: Desk, monkeypatch, tmp_path):
    """With two rows to a part, duplicates and exposures are still met in the same part."""
    tables = {
        "users": {"user_id": [f"用户{n}" for n in range(40)]},
        "items": {"item_id": list(range(5))},
        "exposures": {
            "exposure_id": [f"e{n}" for n in range(40)],
            "time": [NOON + n for n in range(40)],
            "user_id": [f"用户{n}" for n in range(40)],
            "item_id": [n % 5 for n in range(40)],
            "scenario": ["home"] * 40,
            "propensity": [2.0 if n % 10 == 0 else 0.5 for n in range(40)],
        },
        "behaviours": {
            "time": [NOON + 100 + n for n in range(40)] * 2,
            "user_id": [f"用户{n}" for n in range(40)] * 2,
            "item_id": [n % 5 for n in range(40)] * 2,
            "action": ["click"] * 80,
            "exposure_id": [f"e{n}" if n % 2 == 0 else None for n in range(40)] * 2,
        },
    }
    monkeypatch.setattr(partitions, "PART_ROWS", 2)
    desk.tables = tables
    report = desk.check()
    assert len(list((desk.out / "behaviours").glob("part-*.parquet"))) == 40
    assert found(report) == {
        ("exposures", "propensity"): 4,
        ("behaviours", "duplicate"): 40,
        ("behaviours", "exposure_quarantined"): 4,
    }
    assert desk.clean("behaviours")["exposure_id"].null_count() == 24


def test_hashes_that_meet_are_not_taken_for_equal_rows():
    """Rows whose hashes meet are compared in full: here every row is made to look alike."""
    rows = pl.DataFrame({"a": [1, 1, 2, 3], "b": ["x", "x", "x", "y"]})
    marked = across.mark_duplicates(rows, ["a", "b"], key="b")
    assert marked["duplicates:copy"].to_list() == [False, True, False, False]
    assert marked["duplicates:conflict"].to_list() == [True, True, True, False]


def test_an_empty_table_is_refused(desk: Desk):
    for cells in desk.tables["behaviours"].values():
        cells.clear()
    desk.write()
    typed = pl.DataFrame(sound_tables()["behaviours"]).clear()
    typed.write_parquet(desk.root / "behaviours.parquet")
    report = validation.check_tables(desk.workspace, desk.root, desk.out)
    assert [refusal.message for refusal in report.refusals] == ["no clean row is left of 0"]


def test_without_a_latest_day_the_end_of_next_year_is_the_limit(desk: Desk):
    now = datetime.datetime.now(datetime.UTC)
    assert CheckSettings().latest is None
    next_year = datetime.datetime(now.year + 1, 12, 31, tzinfo=datetime.UTC)
    desk.spoil("behaviours", 3, time=int(next_year.timestamp() * 1000))
    desk.again("behaviours", 3, time=int((next_year + datetime.timedelta(days=1)).timestamp() * 1000))
    assert found(desk.check()) == {("behaviours", "time_out_of_range"): 1}
    assert desk.workspace.tables[TableName.USERS].path == "users.parquet"
