"""`plait train`: a model from a recipe."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `plait train`."""
    app.command()(train)


def train(
    recipe: Annotated[
        str, typer.Argument(help="dnn, hstu, hstu-next, ...; a model under [models] of plait.toml; or a .toml file.")
    ],
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="The workspace folder.")] = Path(),
    name: Annotated[str | None, typer.Option(help="What to call the model; the recipe's name if left out.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A recipe value, as section.key=value; repeat for more.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on with (or reuse) the run of that name if it is the same.")] = True,
) -> None:
    """Train a model on the workspace's data and register its best weights: a ranker, or a next-item model.

    What it needs (clean tables, samples, codes) is built first unless it is there. Ctrl-C writes a checkpoint; after
    that or after a kill, the same command goes on and ends in the same weights.

    Example: plait train dnn -w ./demo --set training.epochs=2
    """
    from rich.console import Console
    from rich.table import Table

    from plait.pipelines.project import open_project
    from plait.pipelines.train import train_model
    from plait.training.recipe import parse_overrides

    trained = train_model(
        open_project(workspace), recipe, name=name, overrides=parse_overrides(settings or []), resume=resume
    )
    names = list(trained.result.curve[0].metrics)
    table = Table("step", "examples", *(f"valid {name}" for name in names), box=None)
    for column in table.columns:
        column.justify = "right"
    for point in trained.result.curve:
        best = "[bold]" if point.step == trained.result.best_step else ""
        table.add_row(f"{best}{point.step}", f"{point.examples:,}", *(f"{point.metrics[name]:.4f}" for name in names))
    console = Console()
    console.print(table)
    result = trained.result
    seen = "trained before with this recipe and data, in" if trained.reused else "trained in"
    console.print(f"{trained.reference}: {seen} {result.seconds:.1f} s ({result.examples_per_s:,.0f} examples/s)")
    console.print(f"next: plait evaluate {trained.name} -w {workspace}    log: {trained.run}/log.jsonl")
