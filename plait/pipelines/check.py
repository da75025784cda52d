"""Raw tables to clean ones: the first stage of every road."""

from dataclasses import dataclass
from pathlib import Path

from plait.config import Workspace
from plait.data.artifacts import fingerprint_files
from plait.data.checks import CheckReport, TimeRange, judge_shares, missing_media, read_report
from plait.data.tables import table_files
from plait.data.validation import check_tables
from plait.errors import DataError
from plait.pipelines.project import Project

_VERSION = 2
"""Raised when the rules or the form of the clean tables change, so that they are made again."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What the check found, and the folder of clean tables (None where a table could not be cleaned)."""

    report: CheckReport
    tables: Path | None


def check_workspace(project: Project) -> Checked:
    """Check the tables, unless these files have been checked under these settings before; refusals are in the report.

    Raises:
        DataError: a table has no file, or a damaged one.
    """
    workspace = project.workspace
    try:
        tables = project.store.build("tables", _inputs(project), lambda folder: _make(workspace, project.root, folder))
    except _NotCleanedError as refused:
        return Checked(refused.report, None)
    report = judge_shares(read_report(tables), workspace.check.max_quarantined)
    media = missing_media(project.root, tables)
    return Checked(report.with_findings(media) if media is not None else report, tables)


def checked_tables(project: Project) -> Path:
    """The folder of clean tables: `<table>/part-*.parquet`, `quarantine/<table>.parquet`, `report.json`.

    Raises:
        DataError: the check refuses the tables; the message says what must be put right.
    """
    checked = check_workspace(project)
    if checked.tables is None or checked.report.refused:
        reasons = "\n".join(f"  {finding.table}: {finding.message}" for finding in checked.report.refusals)
        raise DataError(f"{project.root}: the tables are refused (`plait check` shows the whole report):\n{reasons}")
    return checked.tables


class _NotCleanedError(Exception):
    """There are no clean tables to keep; what was found must reach the caller all the same."""

    def __init__(self, report: CheckReport) -> None:
        super().__init__(report.workspace)
        self.report = report


def _make(workspace: Workspace, root: Path, folder: Path) -> None:
    report = check_tables(workspace, root, folder)
    if read_report(folder).refused:
        raise _NotCleanedError(report)


def _inputs(project: Project) -> dict[str, object]:
    """Everything the clean tables depend on."""
    workspace = project.workspace
    files = {name: table_files(project.root, table) for name, table in workspace.tables.items()}
    memory = project.hidden / "fingerprints.json"
    return {
        "version": _VERSION,
        "workspace": [workspace.name, workspace.simulated],
        "files": {str(name): fingerprint_files(paths, memory) for name, paths in files.items()},
        "tables": {str(name): table.model_dump(mode="json") for name, table in workspace.tables.items()},
        "time_unit": workspace.time_unit,
        "times": str(TimeRange.of(workspace)),
        "scenarios": workspace.scenario_names(),
        "objectives": [[each.name, each.action, each.min_value] for each in workspace.objectives],
        "actions": sorted(workspace.actions),
    }
