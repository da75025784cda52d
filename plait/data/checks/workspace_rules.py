"""Where the workspace file and the data as a whole do not fit each other: warnings, and refusals of whole tables."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from plait.config import Workspace
from plait.data.checks.report import EXAMPLES, CheckReport, Example, Finding, Outcome
from plait.data.checks.survey import IdTypes
from plait.data.tables import RawTable
from plait.schema import Columns as C
from plait.schema import TableName

_NEEDED = (TableName.USERS, TableName.ITEMS, TableName.EXPOSURES, TableName.BEHAVIOURS)


def id_findings(ids: IdTypes, exposures: RawTable, workspace: Workspace) -> Iterator[Finding]:
    """Ids that tables write differently, and creatives that are named but not given."""
    for name, places in ids.mixed.items():
        message = f"{name}: {places}; they are joined as text"
        yield Finding("", "mixed_id_types", message, Outcome.KEPT, 0)
    if C.CREATIVE_ID in exposures.kinds and TableName.CREATIVES not in workspace.tables:
        message = "creative_id is given, but there is no creatives table to resolve it in"
        yield Finding(str(TableName.EXPOSURES), "no_creatives_table", message, Outcome.KEPT, 0)


def action_findings(behaviours: Path, workspace: Workspace) -> Iterator[Finding]:
    """Actions that the workspace file does not name, and objectives that no clean behaviour fulfils."""
    counts = _action_counts(behaviours)
    named = {objective.action for objective in workspace.objectives} | set(workspace.actions)
    strange = [(action, rows) for action, rows, _ in counts.iter_rows() if action not in named]
    if strange:
        message = "no objective and no [actions] section names this action; sequences still contain it"
        examples = tuple(Example("", 0, f"action={action} ({rows:,} rows)") for action, rows in strange[:EXAMPLES])
        total = sum(rows for _, rows in strange)
        yield Finding(str(TableName.BEHAVIOURS), "unknown_action", message, Outcome.KEPT, total, examples)
    highest = {action: value for action, _, value in counts.iter_rows()}
    for objective in workspace.objectives:
        if objective.action not in highest:
            message = f"objective '{objective.name}': its action '{objective.action}' never occurs"
        elif objective.min_value is not None and (highest[objective.action] or float("-inf")) < objective.min_value:
            message = (
                f"objective '{objective.name}': no '{objective.action}' has a value of at least {objective.min_value:g}"
            )
        else:
            continue
        yield Finding("", "objective_never_met", message, Outcome.KEPT, 0)


def judge_shares(report: CheckReport, limit: float) -> CheckReport:
    """`report` with a refusal of each table of which more than `limit` is in quarantine, or nothing is left."""
    refusals = []
    for table in report.tables:
        if table.share_quarantined > limit:
            message = (
                f"{table.share_quarantined:.1%} of the rows are in quarantine, more than check.max_quarantined = "
                f"{limit:g} in plait.toml: repair the table, or raise the limit if it is to go on without them"
            )
        elif table.rows_out == 0 and table.table in _NEEDED:
            message = f"no clean row is left of {table.rows_in:,}"
        else:
            continue
        refusals.append(Finding(table.table, "too_few_left", message, Outcome.REFUSED, 0))
    return report.with_findings(*refusals)


def _action_counts(behaviours: Path) -> pl.DataFrame:
    """action, rows, highest value; the most frequent action first."""
    parts = sorted(behaviours.glob("part-*.parquet"))
    highest = pl.col(C.VALUE).max() if C.VALUE in pl.read_parquet_schema(parts[0]) else pl.lit(None, pl.Float64)
    counts = pl.scan_parquet(parts).group_by(C.ACTION).agg(pl.len().alias("rows"), highest.alias("highest"))
    return counts.sort("rows", C.ACTION, descending=[True, False]).collect(engine="streaming")
