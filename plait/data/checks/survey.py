"""The first pass over a table: how many rows, which ids are whole numbers, and which unit its times are in.

It settles what must be known before the first row can be judged, and what would put every row of a table in
quarantine for one mistake in the workspace file. Only the columns in question are read.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from plait.config import Workspace
from plait.data.checks.report import Example, Finding, Outcome
from plait.data.conversion import convert, is_whole_number
from plait.data.tables import RawTable, is_csv
from plait.errors import DataError
from plait.schema import Columns as C
from plait.schema import TableName

_MS_PER_UNIT = {"s": 1e3, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
_UNIT_WORDS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_INT64_MAX = 2**63 - 1
_DOMAINS = (C.USER_ID, C.ITEM_ID, C.CREATIVE_ID, C.EXPOSURE_ID)
"""Ids that join tables; every other id or category column is a domain of its own."""


@dataclass(frozen=True, slots=True)
class TimeRange:
    """The times that a workspace takes for plausible: `earliest <= time < latest`, epoch milliseconds."""

    earliest: int
    latest: int

    @staticmethod
    def of(workspace: Workspace) -> "TimeRange":
        """From the workspace's settings; without a `latest`, to the end of the year after this one."""
        latest = workspace.check.latest or datetime.date(datetime.datetime.now(datetime.UTC).year + 2, 1, 1)
        return TimeRange(_epoch_ms(workspace.check.earliest), _epoch_ms(latest))

    def holds(self, column: str) -> pl.Expr:
        """Whether times in milliseconds lie in the range."""
        return pl.col(column).is_between(self.earliest, self.latest, closed="left")

    def __str__(self) -> str:
        first, last = (
            datetime.datetime.fromtimestamp(moment / 1e3, datetime.UTC).date()
            for moment in (self.earliest, self.latest)
        )
        return f"{first} up to {last}"


@dataclass(slots=True)
class TimeFit:
    """How many integer times of one column are plausible in each unit."""

    rows: int = 0
    plausible: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_MS_PER_UNIT, 0))
    lowest: float = float("inf")
    highest: float = float("-inf")


@dataclass(slots=True)
class Survey:
    """What one table turned out to hold."""

    rows: int = 0
    whole: dict[str, bool] = field(default_factory=dict)
    """Of each id and category column: whether Int64 can hold every value."""
    times: dict[str, TimeFit] = field(default_factory=dict)
    """Of each time column that holds integers: the fit of each unit."""


@dataclass(frozen=True, slots=True)
class IdTypes:
    """Which type each id and category column becomes."""

    integer: Mapping[tuple[str, str], bool]
    """(table, column) -> Int64 rather than String."""
    mixed: Mapping[str, str]
    """Ids that are whole numbers in some tables and text in others -> where which."""


def survey_table(table: RawTable, span: TimeRange) -> Survey:
    """One pass over the columns of `table` whose dtypes leave a question open.

    Raises:
        DataError: a file is damaged.
    """
    survey = Survey(rows=table.stored_rows)
    codes, times = _open_questions(table, survey)
    columns = [*codes, *times]
    csv_rows = any(is_csv(file) for file in table.files)
    if not columns and not csv_rows:
        return survey
    for batch in table.batches(columns or list(table.kinds)[:1]):
        if is_csv(batch.file):
            survey.rows += batch.frame.height
        _see_codes(survey, batch.frame, codes)
        _see_times(survey, batch.frame, times, span)
    return survey


def decide_ids(surveys: Mapping[TableName, Survey]) -> IdTypes:
    """Int64 for ids that are whole numbers in every table they join, String for all others."""
    places: dict[str, list[tuple[str, str]]] = {}
    for table, survey in surveys.items():
        for column in survey.whole:
            domain = column if column in _DOMAINS else f"{table}.{column}"
            places.setdefault(domain, []).append((str(table), column))
    integer: dict[tuple[str, str], bool] = {}
    mixed = {}
    for name, columns in places.items():
        whole = {(table, column): surveys[TableName(table)].whole[column] for table, column in columns}
        integer |= dict.fromkeys(columns, all(whole.values()))
        if len(set(whole.values())) > 1:
            numbers, text = ([place[0] for place in columns if whole[place] is kind] for kind in (True, False))
            mixed[name] = f"whole numbers in {', '.join(numbers)}, text in {', '.join(text)}"
    return IdTypes(integer, mixed)


def judge_times(table: RawTable, survey: Survey, workspace: Workspace, span: TimeRange) -> list[Finding]:
    """A refusal for each time column of which most values are implausible in the unit that the workspace states."""
    refusals = []
    for column, fit in survey.times.items():
        unit = workspace.time_unit
        if not fit.rows or fit.plausible[unit] * 2 >= fit.rows:
            continue
        best = max(fit.plausible, key=lambda candidate: fit.plausible[candidate])
        message = (
            f"{column}: {fit.rows - fit.plausible[unit]:,} of {fit.rows:,} times are implausible in "
            f"{_UNIT_WORDS[unit]} (found {fit.lowest:.0f} to {fit.highest:.0f}, expected times from {span}); "
            f"{_advice(fit, best)}"
        )
        refusals.append(Finding(str(table.name), "wrong_unit", message, Outcome.REFUSED, 0, _first_time(table, column)))
    return refusals


def judge_types(table: RawTable, workspace: Workspace) -> list[Finding]:
    """A refusal for each column whose type can never hold what it should."""
    refusals = []
    for file in table.files:
        for column, dtype in table.dtypes[file].items():
            try:
                convert(column, dtype, table.kinds[column], unit=workspace.time_unit)
            except DataError as error:
                refusals.append(Finding(str(table.name), "wrong_type", f"{file.name}: {error}", Outcome.REFUSED, 0))
    return refusals


def _advice(fit: TimeFit, best: str) -> str:
    share = fit.plausible[best] / fit.rows
    if share < 0.5:
        return "no unit fits them: is this the right column? (check.earliest and check.latest set the range)"
    if best == "ns":
        return f'{share:.0%} fit nanoseconds: store them as datetimes, or divide by 1,000 and set time_unit = "us"'
    return f'{share:.0%} fit {_UNIT_WORDS[best]}: set time_unit = "{best}" if every table is in {_UNIT_WORDS[best]}'


def _open_questions(table: RawTable, survey: Survey) -> tuple[list[str], list[str]]:
    """Columns of which the values must be seen: codes that may be whole numbers, times that may be in any unit."""
    codes, times = [], []
    for column, kind in table.kinds.items():
        types = [columns[column] for columns in table.dtypes.values() if column in columns]
        if kind in ("id", "category"):
            survey.whole[column] = all(_may_be_whole(dtype) for dtype in types)
            untyped = any(is_csv(file) and column in columns for file, columns in table.dtypes.items())
            if untyped or any(dtype == pl.UInt64 for dtype in types):
                codes.append(column)
        elif kind == "time" and not all(dtype.is_temporal() for dtype in types):
            survey.times[column] = TimeFit()
            times.append(column)
    if any(not is_csv(file) for file in table.files):
        _settle_text(table, survey, codes)
    return codes, times


def _may_be_whole(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype in (pl.Null, pl.String)


def _settle_text(table: RawTable, survey: Survey, codes: list[str]) -> None:
    """Text in Parquet was declared text by whoever wrote it: it stays text, whatever it looks like."""
    for file, columns in table.dtypes.items():
        for column in survey.whole:
            if not is_csv(file) and columns.get(column) == pl.String:
                survey.whole[column] = False
                if column in codes:
                    codes.remove(column)


def _see_codes(survey: Survey, frame: pl.DataFrame, columns: list[str]) -> None:
    for column in columns:
        if column not in frame.columns or not survey.whole[column]:
            continue
        dtype, value = frame.schema[column], pl.col(column)
        if dtype == pl.String:
            blank = value.str.strip_chars().str.len_bytes() == 0
            survey.whole[column] = bool(frame.select((is_whole_number(value) | blank).all()).item())
        elif dtype == pl.UInt64:
            survey.whole[column] = bool(frame.select((value <= _INT64_MAX).all()).item())


def _see_times(survey: Survey, frame: pl.DataFrame, columns: list[str], span: TimeRange) -> None:
    for column in columns:
        if column not in frame.columns or frame.schema[column].is_temporal():
            continue
        time = pl.col(column)
        value = frame.select(time.cast(pl.Float64, strict=False)).to_series()
        value = value.filter(value.is_finite() & value.is_not_null())
        if value.is_empty():
            continue
        fit = survey.times[column]
        fit.rows += value.len()
        fit.lowest = min(fit.lowest, float(value.to_numpy().min()))
        fit.highest = max(fit.highest, float(value.to_numpy().max()))
        for unit, factor in _MS_PER_UNIT.items():
            inside = value.is_between(span.earliest / factor, span.latest / factor, closed="left")
            fit.plausible[unit] += int(inside.sum())


def _first_time(table: RawTable, column: str) -> tuple[Example, ...]:
    for batch in table.batches([column]):
        if batch.frame.height and column in batch.frame.columns:
            found = batch.frame.get_column(column)[0]
            return (Example(batch.file.name, batch.first_row, f"{column}={found}"),)
    return ()


def _epoch_ms(day: datetime.date) -> int:
    return int(datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC).timestamp()) * 1000
