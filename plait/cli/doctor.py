"""`plait doctor`: is this machine ready?"""

from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table


def register(app: typer.Typer) -> None:
    """Add `plait doctor`."""
    app.command()(doctor)


def doctor() -> None:
    """Look at this machine: versions, memory, disk, extras; say what to do where something is missing.

    Example: plait doctor
    """
    from plait.pipelines.doctor import examine

    findings = examine(Path.cwd())
    table = Table("", "found", "what to do", box=None)
    for finding in findings:
        mark = "[green]ok[/]" if finding.good else "[red]!![/]"
        table.add_row(f"{mark} {finding.subject}", finding.found, finding.advice)
    Console().print(table)
    if not all(finding.good for finding in findings):
        raise typer.Exit(1)
