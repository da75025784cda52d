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
        out: Annotated[
            Path | None, typer.Option("--out", "-o", help="The workspace folder to make; by default ./SOURCE.")
        ] = None,
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
        from rich.markup import escape
        from rich.table import Table

        from plait.pipelines.importing import import_dataset, parse_options

        out = out or Path(source)
        report = import_dataset(source, path, out, parse_options(option or []), replace=force)
        table = Table("table", "rows", title=escape(str(report.folder)))
        table.columns[1].justify = "right"
        for name, rows in report.rows.items():
            table.add_row(name, f"{rows:,}")
        console = Console()
        console.print(table)
        for file, lines in report.rejected.items():
            console.print(
                f"[bold yellow]{lines:,} lines of {escape(file)} rejected[/]: {escape(str(report.folder))}/rejected.csv"
            )
        console.print(f"Next: plait check -w {out}", markup=False)


def _add_list(data: typer.Typer) -> None:
    @data.command("list")
    def list_() -> None:
        """List the data sets that can be imported, their files and options.

        Example: plait data list
        """
        from rich.console import Console

        from plait.pipelines.importing import importers

        console = Console(highlight=False, soft_wrap=True)
        for importer in importers():
            console.print(f"[bold]{importer.name}[/]  {importer.summary}")
            console.print(f"  files: {', '.join(importer.files)}", markup=False)
            for key, field in importer.options.model_fields.items():
                console.print(f"  --option {key}={field.default}: {field.description}".replace("\n", " "), markup=False)
