"""Raw files to rows: Parquet and CSV, renamed columns, units, types, bounded batches."""

import datetime
import gzip
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from plait.config import ObjectiveSettings, ScenarioSettings, TableSettings, Workspace
from plait.data.conversion import convert, is_whole_number, split_list
from plait.data.tables import open_table, table_files
from plait.errors import DataError
from plait.schema import TableName
from plait.testing.raw_tables import scan_table

DAY = 1_704_067_200
"""1 January 2024, 00:00 UTC, in seconds since the epoch."""


def workspace(unit: str = "ms", **users: dict) -> Workspace:
    paths = {name: TableSettings(path=f"{name}.parquet") for name in TableName if name != "creatives"}
    return Workspace(
        name="w",
        time_unit=unit,
        tables=paths | {TableName(name): TableSettings(**table) for name, table in users.items()},
        scenarios=[ScenarioSettings(name="home")],
        objectives=[ObjectiveSettings(name="click", action="click")],
    )


def rows(table) -> list[tuple]:
    return [row for batch in table.batches() for row in batch.frame.rows()]


def test_files_come_in_the_order_of_their_names(tmp_path: Path):
    for name in ("b.parquet", "a.csv", "c.csv.gz"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "d.parquet").mkdir()
    files = table_files(tmp_path, TableSettings(path="*"))
    assert [file.name for file in files] == ["a.csv", "b.parquet", "c.csv.gz"]
    assert table_files(Path("/elsewhere"), TableSettings(path=str(tmp_path / "*.csv"))) == [tmp_path / "a.csv"]


@pytest.mark.parametrize("name", ["a.json", "a.gz", "a.parquet.gz", "csv"])
def test_files_of_another_kind_are_refused(tmp_path: Path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"found .*, expected \.parquet, \.csv or \.csv\.gz"):
        table_files(tmp_path, TableSettings(path=name))


def test_no_file(tmp_path: Path):
    with pytest.raises(DataError, match=r"users\.parquet: no file found"):
        table_files(tmp_path, TableSettings(path="users.parquet"))


def test_csv_is_read_as_text_and_as_it_stands(tmp_path: Path):
    (tmp_path / "u.csv").write_bytes(
        '\ufeffuser_id,name,note\n007,张三,"two\nlines, and a comma"\n8,\\N,\n,NULL,"NULL"\n'.encode()
    )
    table = open_table(
        tmp_path, workspace(users={"path": "u.csv", "columns": {"name": "text", "note": "text"}}), TableName.USERS
    )
    assert rows(table) == [
        ("007", "张三", "two\nlines, and a comma"),
        ("8", None, None),
        (None, None, "NULL"),
    ]


def test_files_of_both_kinds_make_one_table(tmp_path: Path):
    pl.DataFrame({"uid": [1, 2], "age": [3, 4]}).write_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_text("age,uid\n5,3\n")
    with gzip.open(tmp_path / "c.csv.gz", "wt") as file:
        file.write("uid,age\n4,6\n")
    table = open_table(
        tmp_path, workspace(users={"path": "?.*", "rename": {"user_id": "uid"}, "columns": {"age": "number"}}), "users"
    )
    batches = [(batch.file.name, batch.first_row, batch.frame.rows()) for batch in table.batches()]
    assert batches == [
        ("a.parquet", 1, [(1, 3), (2, 4)]),
        ("b.csv", 1, [("3", "5")]),
        ("c.csv.gz", 1, [("4", "6")]),
    ]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_batches_are_bounded_and_rows_keep_their_numbers(tmp_path: Path, kind):
    frame = pl.DataFrame({"user_id": range(10)})
    frame.write_parquet(tmp_path / "u.parquet")
    frame.write_csv(tmp_path / "u.csv")
    table = open_table(tmp_path, workspace(users={"path": f"u.{kind}"}), TableName.USERS)
    batches = list(table.batches(rows=4))
    assert [(batch.first_row, batch.frame.height) for batch in batches] == [(1, 4), (5, 4), (9, 2)]
    assert [int(row[0]) for row in rows(table)] == list(range(10))


def test_only_columns_with_a_meaning_are_read(tmp_path: Path):
    pl.DataFrame({"user_id": [1], "secret": ["x"], "age": [2], "junk": [3]}).write_parquet(tmp_path / "u.parquet")
    settings = {"path": "u.parquet", "columns": {"age": "number", "junk": "ignore"}}
    table = open_table(tmp_path, workspace(users=settings), TableName.USERS)
    assert dict(table.kinds) == {"user_id": "id", "age": "number"}
    assert rows(table) == [(1, 2)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rename": {"user_id": "uidd"}}, "column 'uidd' (renamed to 'user_id') is not there; did you mean 'uid'?"),
        ({"rename": {"usr_id": "uid"}}, "'usr_id', which has no meaning in users; did you mean 'user_id'?"),
        ({}, "column 'user_id' is missing; did you mean 'uid'? (or map it in plait.toml: tables.users.rename)"),
        (
            {"rename": {"user_id": "uid"}, "columns": {"agee": "number"}},
            "column 'agee' is declared in tables.users.columns but is not there; did you mean 'age'?",
        ),
    ],
)
def test_columns_that_are_not_there(tmp_path: Path, settings, message):
    pl.DataFrame({"uid": [1], "age": [2]}).write_parquet(tmp_path / "u.parquet")
    with pytest.raises(DataError) as caught:
        open_table(tmp_path, workspace(users={"path": "u.parquet"} | settings), TableName.USERS)
    assert message in str(caught.value)
    assert "u.parquet" in str(caught.value)


def test_an_optional_column_may_be_in_some_files_only(tmp_path: Path):
    pl.DataFrame({"item_id": [1], "name": ["a"]}).write_parquet(tmp_path / "i1.parquet")
    pl.DataFrame({"item_id": [2]}).write_parquet(tmp_path / "i2.parquet")
    frame = scan_table(tmp_path, workspace(items={"path": "i*.parquet"}), TableName.ITEMS)
    assert frame.collect().rows() == [(1, "a"), (2, None)]


def test_a_gbk_file_is_named_with_advice(tmp_path: Path):
    (tmp_path / "u.csv").write_bytes("user_id,name\n1,张三\n".encode("gbk"))
    with pytest.raises(DataError, match=r"u\.csv: .*UTF-?8"):
        rows(open_table(tmp_path, workspace(users={"path": "u.csv", "columns": {"name": "text"}}), TableName.USERS))


def test_an_empty_csv_is_named(tmp_path: Path):
    (tmp_path / "u.csv").write_bytes(b"")
    with pytest.raises(DataError, match=r"u\.csv: cannot be read: Empty CSV"):
        open_table(tmp_path, workspace(users={"path": "u.csv"}), TableName.USERS)


def test_a_csv_with_nothing_but_a_header_holds_no_rows(tmp_path: Path):
    (tmp_path / "u.csv").write_text("user_id\n")
    assert rows(open_table(tmp_path, workspace(users={"path": "u.csv"}), TableName.USERS)) == []


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 1_000), ("us", 1_000_000)])
def test_scanned_times_are_milliseconds(tmp_path: Path, unit, factor):
    frame = pl.DataFrame({"time": [DAY * factor], "user_id": ["u"], "item_id": [1], "action": ["click"]})
    frame.write_parquet(tmp_path / "behaviours.parquet")
    scanned = scan_table(tmp_path, workspace(unit), TableName.BEHAVIOURS).collect()
    assert scanned.rows() == [(DAY * 1000, "u", 1, "click")]


def converted(cells: pl.Series, kind: str, **options) -> list:
    frame = cells.alias("x").to_frame()
    return frame.select(convert("x", cells.dtype, kind, **options)).to_series().to_list()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-01", DAY),
        ("2024/1/1", DAY),
        ("2024-01-01 00:00", DAY),
        ("2024-01-01 00:00:01", DAY + 1),
        ("2024-01-01T00:00:00.250", DAY + 0.25),
        ("2024-01-01T00:00:00Z", DAY),
        ("2024-01-01T08:00:00+08:00", DAY),
        ("2023-12-31 19:00-0500", DAY),
        (f"{DAY}000", DAY),
        (" 2024-01-01 ", DAY),
        ("2024-02-30", None),
        ("昨天", None),
        ("", None),
        ("nan", None),
        ("12:30", None),
    ],
)
def test_times_that_are_text(text, expected):
    assert converted(pl.Series([text]), "time") == [None if expected is None else expected * 1000]


def test_times_that_are_datetimes():
    shanghai = datetime.datetime(2024, 1, 1, 8, tzinfo=ZoneInfo("Asia/Shanghai"))
    assert converted(pl.Series([shanghai]), "time") == [DAY * 1000]
    for unit in ("ms", "us", "ns"):
        naive = pl.Series([datetime.datetime(2024, 1, 1, 0, 0, 1)], dtype=pl.Datetime(unit))
        assert converted(naive, "time", unit="s") == [DAY * 1000 + 1000]
    assert converted(pl.Series([datetime.date(2024, 1, 1)]), "time") == [DAY * 1000]


def test_times_that_are_numbers():
    assert converted(pl.Series([1.5, float("nan"), float("inf"), None]), "time", unit="s") == [1500, None, None, None]
    assert converted(pl.Series([1_999]), "time", unit="us") == [1]
    assert converted(pl.Series([-1]), "time", unit="us") == [-1], "rounded down, before the epoch as after it"


def test_absurd_times_stay_absurd():
    """2^62 seconds would wrap round 64 bits when turned into milliseconds."""
    assert converted(pl.Series([2**62]), "time", unit="s")[0] > 10**18


def test_numbers():
    assert converted(pl.Series(["1", "2.5", "1e3", "x", "nan", None]), "number") == [1.0, 2.5, 1000.0, None, None, None]
    assert converted(pl.Series([1.0, float("inf")]), "number") == [1.0, None]
    assert converted(pl.Series([True, False]), "number") == [1.0, 0.0]
    assert converted(pl.Series(["3", "3.0", "3.5"]), "integer") == [3, 3, None]


def test_ids():
    assert converted(pl.Series([7, None]), "id", integer_ids=False) == ["7", None]
    assert converted(pl.Series(["7", "12"]), "id") == [7, 12]
    assert converted(pl.Series([7.0, 7.5]), "id") == [7, None]
    assert converted(pl.Series([7.0]), "id", integer_ids=False) == ["7"]
    assert converted(pl.Series(["", " ", "甲"]), "id", integer_ids=False) == [None, None, "甲"]
    assert converted(pl.Series(["a", "b"], dtype=pl.Categorical), "id", integer_ids=False) == ["a", "b"]
    assert converted(pl.Series([None, None]), "id") == [None, None]


def test_text_and_categories():
    assert converted(pl.Series([1, 2]), "text") == ["1", "2"]
    assert converted(pl.Series([True]), "category", integer_ids=False) == ["true"]


def test_lists():
    assert converted(pl.Series([[1, 2]]), "sequence") == [[1, 2]]
    assert converted(pl.Series([[1.5], None]), "sequence") == [["1.5"], None]
    assert converted(pl.Series(["a"], dtype=pl.Categorical), "sequence") == [["a"]]
    texts = ["Action|Crime", "1, 2", "['a', \"b c\"]", "Children's; Sci-Fi", "棋牌、休闲，益智", "", None]
    expected = [
        ["Action", "Crime"],
        ["1", "2"],
        ["a", "b c"],
        ["Children's", "Sci-Fi"],
        ["棋牌", "休闲", "益智"],
        [],
        None,
    ]
    assert converted(pl.Series(texts), "sequence") == expected
    assert [split_list(text) for text in texts[:-1]] == expected[:-1]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (pl.Series([[1]]), "id"),
        (pl.Series([{"a": 1}]), "text"),
        (pl.Series([7]), "sequence"),
        (pl.Series([[[7]]]), "sequence"),
        (pl.Series([b"x"]), "text"),
        (pl.Series([True]), "time"),
        (pl.Series([datetime.timedelta(1)]), "time"),
        (pl.Series([datetime.date(2024, 1, 1)]), "number"),
    ],
)
def test_types_that_can_never_be_that(cells, kind):
    with pytest.raises(DataError, match=r"column 'x' is .*, expected"):
        converted(cells, kind)


def test_whole_numbers_in_their_usual_spelling():
    text = ["0", "7", "-7", "007", "-0", "+7", "7.0", "1e3", "", " 7", "９", str(10**18 - 1), str(10**18 * 10)]
    whole = pl.Series("x", text).to_frame().select(is_whole_number(pl.col("x"))).to_series().to_list()
    assert [word for word, is_whole in zip(text, whole, strict=True) if is_whole] == ["0", "7", "-7", str(10**18 - 1)]
