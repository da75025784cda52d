"""`plait data`: public data sets into workspaces."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `plait data import` and `plait data list`."""
    data = typer.Typer(no_args_is_help=True, help="Public data sets: import a download in its official layout.")
    app.add_typer(data, name="data")
    _add_import(data)
    _add_list(data)


def _add_import(data: typer.Typer) -> None:
    @data.command("import")
    def import_(
        source: Annotated[str, typer.Argument(help="Which layout; `plait data list` names them.")],
        path: Annotated[Path, typer.Argument(help="The downloaded folder or zip.")],
        out: Annotated[Path, typer.Option("--out", "-o", help="The workspace folder to make.")],
        option: Annotated[
            list[str] | None, typer.Option(help="key=value for this importer; may be given again.")
        ] = None,
        force: Annotated[bool, typer.Option("--force", help="Replace a folder that is there.")] = False,
    ) -> None:
        """Read a download and write a workspace: Parquet tables and a commented plait.toml.

        Lines that do not fit go to rejected.csv with line number and reason. The folder appears when it is complete.

        Example: plait data import movielens-1m ml-1m.zip --out ./ml1m
        """
        from rich.console import Console
        from rich.table import Table

        from plait.pipelines.importing import import_dataset, parse_options

        report = import_dataset(source, path, out, parse_options(option or []), replace=force)
        table = Table("table", "rows", title=str(report.folder))
        table.columns[1].justify = "right"
        for name, rows in report.rows.items():
            table.add_row(name, f"{rows:,}")
        console = Console()
        console.print(table)
        for file, lines in report.rejected.items():
            console.print(f"[bold yellow]{lines:,} lines of {file} rejected[/]: {report.folder / 'rejected.csv'}")
        console.print(f"Next: plait check -w {out}")


def _add_list(data: typer.Typer) -> None:
    @data.command("list")
    def list_() -> None:
        """List the data sets that can be imported, their files and options.

        Example: plait data list
        """
        from rich.console import Console
        from rich.table import Table

        from plait.pipelines.importing import importers

        table = Table("name", "what", "files ([optional])", "options")
        for importer in importers():
            options = [f"{key}={field.default}" for key, field in importer.options.model_fields.items()]
            table.add_row(importer.name, importer.summary, "\n".join(importer.files), "\n".join(options))
        Console().print(table, markup=False)
