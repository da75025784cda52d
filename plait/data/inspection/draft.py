"""A first `plait.toml` for a folder of tables, with the reason for each choice."""

from dataclasses import dataclass
from pathlib import Path

from plait.config import TableSettings, Workspace
from plait.config.workspace import TimeUnit
from plait.data.inspection.events import propose_objectives, propose_scenarios
from plait.data.inspection.files import SAMPLE_ROWS, find_tables
from plait.data.inspection.meanings import guess_meaning, time_unit
from plait.data.inspection.tables import Recognised, recognise
from plait.errors import DataError
from plait.schema import TABLES, Meaning, TableName
from plait.schema import Columns as C

_REQUIRED = (TableName.USERS, TableName.ITEMS, TableName.EXPOSURES, TableName.BEHAVIOURS)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found in a folder and what is proposed for it."""

    workspace: Workspace
    header: str
    comments: dict[str, str]
    missing: tuple[str, ...]
    """What a person must still settle before `plait check` can pass."""
    unused: tuple[str, ...]
    """Tables that were taken for none of the five."""


def inspect_folder(root: Path, name: str) -> Inspection:
    """Look at the tables in `root` and propose a workspace.

    Raises:
        DataError: there is no table, one cannot be read, or neither exposures nor behaviours are among them.
    """
    found = find_tables(root)
    tables = recognise(found)
    if TableName.EXPOSURES not in tables and TableName.BEHAVIOURS not in tables:
        listed = "; ".join(f"{table.path} ({', '.join(table.sample.columns[:8])})" for table in found[:6])
        raise DataError(
            f"{root}: neither exposures nor behaviours found; expected a table with a user, an item, a time (and an "
            f"action for behaviours). Found: {listed}. Give the columns Plait's names (docs/workspace.md) or write "
            "plait.toml by hand"
        )
    exposures, behaviours = tables.get(TableName.EXPOSURES), tables.get(TableName.BEHAVIOURS)
    comments: dict[str, str] = {}
    settings = {
        table: _table(table, tables.get(table), comments) for table in TableName if table in {*tables, *_REQUIRED}
    }
    unit = _time_unit(exposures, behaviours, comments)
    scenarios, objectives = propose_scenarios(exposures, behaviours), propose_objectives(behaviours)
    comments |= {f"scenarios.{key}": text for key, text in scenarios.comments.items()}
    comments |= {f"objectives.{key}": text for key, text in objectives.comments.items()}
    comments["split.kind"] = "global_time suits a log of one platform; per_user_time suits ratings gathered over years."
    workspace = Workspace(
        name=name,
        time_unit=unit,
        tables=settings,
        scenarios=list(scenarios.scenarios),
        objectives=list(objectives.objectives),
    )
    used = {table.table.path for table in tables.values()}
    unused = tuple(table.path for table in found if table.path not in used)
    return Inspection(workspace, _header(name, unused), comments, _missing(tables), unused)


def _header(name: str, unused: tuple[str, ...]) -> str:
    text = (
        f"{name}: proposed by `plait init` from names, types and the first {SAMPLE_ROWS:,} rows of each table. Read it "
        "through, correct it, then run `plait check`."
    )
    return text + (f"\n\nNot used: {', '.join(unused)}." if unused else "")


def _table(name: TableName, recognised: Recognised | None, comments: dict[str, str]) -> TableSettings:
    path = f"tables.{name}"
    if recognised is None:
        comments[path] = f"NOT FOUND. Needs {', '.join(TABLES[name].required)}. Put the file here or change the path."
        return TableSettings(path=f"{name}.parquet")
    by_name = "its name and columns" if recognised.named else "its columns"
    comments[path] = f"Taken for {name} by {by_name}."
    lacking = [column for column in TABLES[name].required if column not in recognised.columns]
    if lacking:
        comments[path] += f" MISSING: {', '.join(lacking)}; add the column or name it under rename."
    columns: dict[str, Meaning] = {}
    for column in recognised.extra:
        columns[column], why = _extra(name, recognised, column)
        comments[f"{path}.columns.{column}"] = why
    return TableSettings(path=recognised.table.path, rename=recognised.rename, columns=columns)


def _extra(name: TableName, recognised: Recognised, column: str) -> tuple[Meaning, str]:
    if name is TableName.BEHAVIOURS:
        return Meaning.IGNORE, "sequences carry action, value, scenario and time only"
    return guess_meaning(name, recognised.table.sample[column])


def _time_unit(exposures: Recognised | None, behaviours: Recognised | None, comments: dict[str, str]) -> TimeUnit:
    units: dict[str, TimeUnit] = {}
    for name, table in (("exposures", exposures), ("behaviours", behaviours)):
        unit = time_unit(table.column(C.TIME)) if table is not None else None
        if unit is not None:
            units[name] = unit
    chosen: TimeUnit = next(iter(units.values()), "ms")
    if not units:
        comments["time_unit"] = "The times are dates, or no epoch numbers: the unit plays no part."
    elif len(set(units.values())) == 1:
        comments["time_unit"] = f"By the size of the numbers in {' and '.join(units)}."
    else:
        seen = ", ".join(f"{name}: {unit}" for name, unit in units.items())
        comments["time_unit"] = f"THE TABLES DIFFER ({seen}): bring them to one unit first."
    return chosen


def _missing(tables: dict[TableName, Recognised]) -> tuple[str, ...]:
    missing = [f"table {name}" for name in _REQUIRED if name not in tables]
    for name, table in tables.items():
        missing += [f"column {name}.{column}" for column in TABLES[name].required if column not in table.columns]
    return tuple(missing)
