"""From a workspace's raw tables to clean canonical ones: every row is judged, none is lost."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from plait.config import Workspace
from plait.data.checks.partitions import part_count
from plait.data.checks.report import CheckReport, Finding, Outcome, TableReport, write_report
from plait.data.checks.rules import CREATIVE_ITEM, References
from plait.data.checks.survey import Survey, TimeRange, decide_ids, judge_times, judge_types, survey_table
from plait.data.checks.sweep import Sweep, TableRefusedError
from plait.data.checks.typed import TypedTable
from plait.data.checks.workspace_rules import action_findings, id_findings, judge_shares
from plait.data.tables import RawTable, open_table
from plait.errors import DataError
from plait.schema import Columns as C
from plait.schema import TableName
from plait.telemetry import progress

_ORDER = (TableName.USERS, TableName.ITEMS, TableName.CREATIVES, TableName.EXPOSURES, TableName.BEHAVIOURS)
"""Tables after those that they refer to."""
_REMEMBERED = {
    TableName.USERS: C.USER_ID,
    TableName.ITEMS: C.ITEM_ID,
    TableName.CREATIVES: C.CREATIVE_ID,
}
_PASSES = 2
"""Times that each row is looked at: alone, then beside the others of its key."""


def check_tables(workspace: Workspace, root: Path, out: Path) -> CheckReport:
    """Judge every row of every table; write clean tables, quarantine and report under `out`.

    `out` then holds `<table>/part-*.parquet` (ids Int64 or String, times in epoch milliseconds, the columns that have a
    meaning), `quarantine/<table>.parquet` (the same columns, `reason`, `found`, `source_file`, `source_row`) and
    `report.json`. Given a folder that a killed run has left, it goes on with the first unfinished table. Memory grows
    with the ids of users, items and creatives and with the rows in quarantine, not with exposures and behaviours.

    Args:
        workspace: what the tables are to hold.
        root: the workspace folder, which paths of tables count from.
        out: the folder to fill.

    Raises:
        DataError: a file turns out to be damaged late. All else that is wrong with a table refuses it in the report.
    """
    report = CheckReport(workspace.name, workspace.simulated)
    span = TimeRange.of(workspace)
    raws, refusals = _open(workspace, root)
    surveys: dict[TableName, Survey] = {}
    if not refusals:
        surveys, refusals = _survey(raws, workspace, span)
    if not refusals:
        ids = decide_ids(surveys)
        report = report.with_findings(*id_findings(ids, raws[TableName.EXPOSURES], workspace))
        tables = [TypedTable(raw, ids, workspace.time_unit, root) for raw in raws.values()]
        rows = {name: surveys[name].rows for name in raws}
        report, refusals = _sweep(tables, rows, report, Sweep(workspace, span, out, _parts(rows), References()))
    report = report.with_findings(*refusals)
    write_report(out, report)
    return judge_shares(report, workspace.check.max_quarantined)


def _open(workspace: Workspace, root: Path) -> tuple[dict[TableName, RawTable], list[Finding]]:
    """The tables in order; a refusal for each that lacks a file or a column, or has one of the wrong type."""
    raws, refusals = {}, []
    for name in _ORDER:
        if name not in workspace.tables:
            continue
        try:
            raws[name] = open_table(root, workspace, name)
        except DataError as error:
            refusals.append(_unreadable(name, error))
        else:
            refusals += judge_types(raws[name], workspace)
    return raws, refusals


def _unreadable(name: TableName, error: DataError) -> Finding:
    return Finding(str(name), "unreadable_table", str(error), Outcome.REFUSED, 0)


def _survey(
    raws: Mapping[TableName, RawTable], workspace: Workspace, span: TimeRange
) -> tuple[dict[TableName, Survey], list[Finding]]:
    surveys, refusals = {}, []
    with progress("survey", len(raws)) as advance:
        for name, raw in raws.items():
            try:
                surveys[name] = survey_table(raw, span)
            except DataError as error:
                refusals.append(_unreadable(name, error))
            else:
                refusals += judge_times(raw, surveys[name], workspace, span)
            advance(note=str(name))
    return surveys, refusals


def _parts(rows: Mapping[TableName, int]) -> dict[TableName, int]:
    """Parts of each table; exposures and behaviours alike, so that part i of one needs only part i of the other."""
    together = part_count(max(rows[TableName.EXPOSURES], rows[TableName.BEHAVIOURS]))
    parts = {name: part_count(count) for name, count in rows.items()}
    return parts | {TableName.EXPOSURES: together, TableName.BEHAVIOURS: together}


def _sweep(
    tables: list[TypedTable], rows: Mapping[TableName, int], report: CheckReport, sweep: Sweep
) -> tuple[CheckReport, list[Finding]]:
    done: list[TableReport] = []
    with progress("check", _PASSES * sum(rows.values())) as advance:
        for table in tables:
            try:
                done.append(sweep.table(table, advance))
            except TableRefusedError as refused:
                return replace(report, tables=tuple(done)), refused.refusals
            _remember(table, sweep)
    sweep.finish()
    report = replace(report, tables=tuple(done))
    return report.with_findings(*action_findings(sweep.out / TableName.BEHAVIOURS, sweep.workspace)), []


def _remember(table: TypedTable, sweep: Sweep) -> None:
    """Keep the clean ids of an entity table for the tables that refer to it."""
    column = _REMEMBERED.get(table.raw.name)
    if column is None:
        return
    parts = sorted((sweep.out / table.name).glob("part-*.parquet"))
    sweep.known.ids[column] = pl.read_parquet(parts, columns=[column]).to_series()
    if table.raw.name is TableName.CREATIVES:
        pairs = pl.read_parquet(parts, columns=[C.CREATIVE_ID, C.ITEM_ID])
        sweep.known.creatives = pairs.rename({C.ITEM_ID: CREATIVE_ITEM})
