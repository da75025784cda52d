"""`plait init`: a first plait.toml for a folder of tables."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `plait init`."""

    @app.command()
    def init(
        folder: Annotated[Path, typer.Argument(help="Folder with Parquet or CSV tables.")],
        name: Annotated[str | None, typer.Option(help="The workspace's name; by default the folder's.")] = None,
        force: Annotated[bool, typer.Option("--force", help="Replace a plait.toml that is there.")] = False,
    ) -> None:
        """Look at a folder of tables and write a commented plait.toml for it.

        Recognises users, items, creatives, exposures and behaviours by names and columns (English or Chinese), proposes
        meanings, the time unit, scenarios and objectives, and says in the file why. Read it through, correct it, then
        run `plait check`.

        Example: plait init ./logs
        """
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        from plait.pipelines.initialise import initialise

        inspection = initialise(folder, name=name, replace=force)
        table = Table("table", "path", "renamed", "meanings", title=escape(str(folder / "plait.toml")))
        for key, settings in inspection.workspace.tables.items():
            renamed = ", ".join(f"{theirs} → {ours}" for ours, theirs in settings.rename.items())
            meanings = ", ".join(f"{column}: {meaning}" for column, meaning in settings.columns.items())
            table.add_row(*map(escape, (str(key), settings.path, renamed, meanings)))
        console = Console()
        console.print(table)
        console.print("objectives:", ", ".join(inspection.workspace.objective_names()), markup=False)
        console.print("scenarios:", ", ".join(inspection.workspace.scenario_names()), markup=False)
        for text in inspection.missing:
            console.print(f"[bold yellow]missing:[/] {escape(text)}")
