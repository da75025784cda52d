"""`plait check`: are the tables sound?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from plait.data.checks import CheckReport, Finding
    from plait.pipelines.check import Checked


def register(app: typer.Typer) -> None:
    """Add `plait check`."""
    app.command()(check)


def check(
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="Folder with plait.toml.")] = Path(),
    strict: Annotated[bool, typer.Option("--strict", help="Fail if a single row is in quarantine.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check the workspace and its data; write clean tables, and bad rows with their reason to quarantine.

    Looks for missing values, ids that do not resolve, duplicates, times out of range or order or in the wrong unit,
    behaviours before their exposure, undeclared scenarios and more. No row is dropped silently. Files that were
    checked before are not read again. Exit code 0: all later steps can run; 1: something must be put right first.

    Example: plait check -w market
    """
    from plait.pipelines.check import check_workspace
    from plait.pipelines.project import open_project

    checked = check_workspace(open_project(workspace))
    if as_json:
        typer.echo(checked.report.to_json())
    else:
        _print(checked)
    if checked.report.refused or (strict and checked.report.rows_quarantined):
        raise typer.Exit(1)


def _print(checked: "Checked") -> None:
    from rich.console import Console
    from rich.markup import escape

    out = Console(highlight=False)
    report = checked.report
    out.print(f"[bold]{escape(report.workspace)}[/]" + (" (simulated data)" if report.simulated else ""))
    out.print(_rows(report))
    findings = report.all_findings()
    if findings:
        out.print(_findings(findings))
    if report.refused:
        out.print("[bold red]Refused:[/] nothing is built from these tables until this is put right:")
        for finding in report.refusals:
            out.print(f"  {escape(_subject(finding.table))}: {escape(finding.message)}")
    elif checked.tables is not None:
        out.print(f"[green]Clean tables:[/] {escape(str(checked.tables))}", soft_wrap=True)
    if report.rows_quarantined and checked.tables is not None:
        out.print(f"Quarantine:   {escape(str(checked.tables / 'quarantine'))}", soft_wrap=True)


def _rows(report: "CheckReport") -> "Table":
    from rich.table import Table

    table = Table("table", box=None, title="Rows", title_justify="left", title_style="bold")
    for heading in ("in", "= clean", "+ quarantined", "share"):
        table.add_column(heading, justify="right")
    for each in report.tables:
        counts = (f"{count:,}" for count in (each.rows_in, each.rows_out, each.rows_quarantined))
        table.add_row(each.table, *counts, f"{each.share_quarantined:.2%}")
    return table


def _findings(findings: tuple["Finding", ...]) -> "Table":
    from rich.markup import escape
    from rich.table import Table

    colours = {"quarantined": "yellow", "refused": "red"}
    table = Table("table", title="Findings", title_justify="left", title_style="bold", show_lines=True)
    table.add_column("rows", justify="right")
    table.add_column("what", overflow="fold")
    table.add_column("what happens")
    for finding in findings:
        places = [f"{each.file} row {each.row}: {each.found}" if each.file else each.found for each in finding.examples]
        what = "\n".join([escape(finding.message), *(f"[dim]{escape(place)}[/]" for place in places)])
        colour = colours.get(finding.outcome, "default")
        rows = f"{finding.rows:,}" if finding.rows else "all" if finding.table else ""
        table.add_row(_subject(finding.table), rows, what, f"[{colour}]{finding.outcome}[/]")
    return table


def _subject(table: str) -> str:
    return table or "workspace"
