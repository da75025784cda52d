"""The rules that one row can break by itself (or by an id that stands in no entity table), in order of precedence.

A row goes to quarantine for the first rule that it breaks, so that the counts add up.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from plait.config import Workspace
from plait.data.checks.report import Outcome
from plait.data.checks.survey import TimeRange
from plait.data.checks.typed import TypedTable, is_given, raw_name
from plait.schema import TABLES, ColumnSpec, TableName
from plait.schema import Columns as C

CREATIVE_ITEM = "creative:item_id"
"""In typed exposure rows: the item that the creative table gives for the row's creative."""

_READ_AS = {"time": "a time", "number": "a number", "integer": "a whole number", "id": "an id"}


@dataclass(frozen=True, slots=True)
class Rule:
    """Something that must not be."""

    code: str
    message: str
    columns: tuple[str, ...]
    """What an example shows."""
    condition: pl.Expr
    """True on rows that break it; null counts as false."""
    outcome: Outcome = Outcome.QUARANTINED
    applies: pl.Expr | None = None
    """Rows that could break it, where breaking it throughout refuses the table."""
    refusal: str = ""
    """What to say then."""


@dataclass(slots=True)
class References:
    """Ids of the clean entity tables, to resolve others against."""

    ids: dict[str, pl.Series] = field(default_factory=dict)
    """Id column -> its values."""
    creatives: pl.DataFrame | None = None
    """creative_id and the item it belongs to (`CREATIVE_ITEM`)."""

    def attach(self, rows: pl.DataFrame) -> pl.DataFrame:
        """`rows` with what rules compare with: the item of the row's creative."""
        if self.creatives is None or C.CREATIVE_ID not in rows.columns or CREATIVE_ITEM in rows.columns:
            return rows
        return rows.join(self.creatives, on=C.CREATIVE_ID, how="left", maintain_order="left")


def row_rules(
    table: TypedTable, schema: Mapping[str, pl.DataType], workspace: Workspace, span: TimeRange, known: References
) -> list[Rule]:
    """The rules for the rows of `table`, in order of precedence.

    Args:
        table: the table.
        schema: the columns and types of its typed rows, of one batch.
        workspace: for the declared scenarios.
        span: the plausible times.
        known: ids that references must resolve in.
    """
    name = table.raw.name
    columns = [spec for spec in TABLES[name].columns if spec.name in table.raw.kinds]
    return [
        *(rule for spec in columns for rule in _presence(spec, schema)),
        *(rule for spec in columns if spec.type == "time" for rule in _time_rules(spec.name, span)),
        *(rule for spec in columns for rule in _references(table, spec, known)),
        *_table_rules(name, {spec.name for spec in columns}, workspace, known),
        *_extra_columns(table, schema),
    ]


def _presence(spec: ColumnSpec, schema: Mapping[str, pl.DataType]) -> Iterator[Rule]:
    """Missing values where none may be missing; values that cannot be read."""
    column, raw = spec.name, raw_name(spec.name)
    if raw not in schema:
        if spec.required:
            blank = pl.col(column).is_null() | (pl.col(column).str.strip_chars().str.len_bytes() == 0)
            yield Rule("missing", f"{column} is missing", (column,), blank)
        return
    given = is_given(raw, schema)
    if not spec.nullable:
        yield Rule("missing", f"{column} is missing", (column,), ~given)
    message = f"{column} cannot be read as {_READ_AS[spec.type]}"
    yield Rule("unreadable", message, (column,), given & pl.col(column).is_null())


def _time_rules(column: str, span: TimeRange) -> Iterator[Rule]:
    yield Rule("time_not_positive", f"{column} is zero or negative", (column,), pl.col(column) <= 0)
    yield Rule("time_out_of_range", f"{column} is not in {span}", (column,), ~span.holds(column))
    if column == C.RECEIVED_TIME:
        early = pl.col(C.RECEIVED_TIME) < pl.col(C.TIME)
        message = "received_time is before time"
        yield Rule("received_before_time", message, (C.TIME, C.RECEIVED_TIME), early)


def _references(table: TypedTable, spec: ColumnSpec, known: References) -> Iterator[Rule]:
    """Ids that stand in no clean row of the table that they refer to; exposures are resolved later, part by part."""
    if spec.references is None or spec.name not in known.ids:
        return
    unresolved = pl.col(spec.name).is_not_null() & ~pl.col(spec.name).is_in(known.ids[spec.name].implode())
    message = f"{spec.name} is in no clean row of {spec.references}"
    mixed = table.ids.mixed.get(spec.name)
    yield Rule(
        "unresolved_id",
        message,
        (spec.name,),
        unresolved,
        applies=pl.col(spec.name).is_not_null() if mixed else None,
        refusal=f"no {spec.name} of {table.name} is in {spec.references}: {mixed}; write the ids in one way",
    )


def _table_rules(name: TableName, columns: set[str], workspace: Workspace, known: References) -> Iterator[Rule]:
    scenario = ~pl.col(C.SCENARIO).is_in(workspace.scenario_names())
    if name is TableName.CREATIVES and C.BID in columns:
        yield Rule("negative", "bid is negative", (C.BID,), pl.col(C.BID) < 0)
    if name is TableName.EXPOSURES:
        yield Rule("unknown_scenario", "scenario is not declared in plait.toml", (C.SCENARIO,), scenario)
        if C.POSITION in columns:
            yield Rule("negative", "position is negative", (C.POSITION,), pl.col(C.POSITION) < 0)
        if C.PROPENSITY in columns:
            wrong = (pl.col(C.PROPENSITY) <= 0) | (pl.col(C.PROPENSITY) > 1)
            yield Rule("propensity", "propensity is not above 0 and at most 1", (C.PROPENSITY,), wrong)
        if C.CREATIVE_ID in columns and known.creatives is not None:
            other = pl.col(CREATIVE_ITEM) != pl.col(C.ITEM_ID)
            message = "the creative belongs to another item"
            yield Rule("creative_of_other_item", message, (C.CREATIVE_ID, C.ITEM_ID, CREATIVE_ITEM), other)
    if name is TableName.BEHAVIOURS and C.SCENARIO in columns:
        message = "scenario is not declared in plait.toml; it is read as missing"
        yield Rule("unknown_scenario", message, (C.SCENARIO,), scenario, Outcome.EMPTIED)


def _extra_columns(table: TypedTable, schema: Mapping[str, pl.DataType]) -> Iterator[Rule]:
    own = {spec.name for spec in TABLES[table.raw.name].columns}
    for column, kind in table.raw.kinds.items():
        raw = raw_name(column)
        if column in own or raw not in schema:
            continue
        given = is_given(raw, schema)
        message = f"{column} cannot be read as {_READ_AS[kind]}; it is read as missing"
        yield Rule(
            "unreadable",
            message,
            (column,),
            given & pl.col(column).is_null(),
            Outcome.EMPTIED,
            applies=given,
            refusal=f"column '{column}' is declared {kind}, but no value of it can be read as {_READ_AS[kind]}",
        )
