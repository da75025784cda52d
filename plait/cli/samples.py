"""`plait samples`: exposure samples and user samples."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `plait samples`."""
    app.command()(samples)


def samples(
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="Folder with plait.toml.")] = Path(),
    as_of: Annotated[
        datetime | None, typer.Option(help="Label as known at this time (UTC); by default at each split's end.")
    ] = None,
) -> None:
    """Attribute behaviours to exposures: labels, maturity, histories and splits, point-in-time correct.

    Checks the tables first if they have changed. Prints, per split and objective, how many exposures are mature and how
    many of those are positive, and the folder with the Parquet files.

    Example: plait samples -w ./demo

    Example: plait samples -w ./demo --as-of 2024-03-01T00:00:00
    """
    from datetime import UTC

    from rich.console import Console
    from rich.table import Table

    from plait.pipelines.project import open_project
    from plait.pipelines.samples import built_samples, sample_counts

    moment = None if as_of is None else int(as_of.replace(tzinfo=UTC).timestamp() * 1000)
    folder = built_samples(open_project(workspace), moment)
    table = Table("split", "objective", "exposures", "mature", "positive", box=None)
    for row in sample_counts(folder):
        table.add_row(row.split, row.objective, f"{row.exposures:,}", f"{row.mature:,}", f"{row.positive:,}")
    Console().print(table)
    typer.echo(f"samples in {folder}; next: plait train -w {workspace}")
