"""`plait scaling`: loss against compute over a grid of models."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `plait scaling`."""
    app.command("scaling")(scaling)


def scaling(
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="The workspace folder.")] = Path(),
    *,
    recipe: Annotated[str, typer.Option(help="A next-item HSTU whose sizes the grid replaces.")] = "hstu-next",
    widths: Annotated[list[int] | None, typer.Option("--width", help="D; repeat for more.")] = None,
    depths: Annotated[list[int] | None, typer.Option("--depth", help="Blocks; repeat for more.")] = None,
    lengths: Annotated[list[int] | None, typer.Option("--length", help="Events seen at most; repeat for more.")] = None,
    shares: Annotated[
        list[float] | None, typer.Option("--share", help="Of users learnt from; repeat for more.")
    ] = None,
    epochs: Annotated[int, typer.Option(help="Of every model.", min=1)] = 8,
    seed: Annotated[int, typer.Option(help="Of every model.")] = 7,
    result: Annotated[
        str | None, typer.Option(help="Write the measurement under this name in benchmarks/results/.")
    ] = None,
) -> None:
    """Train next-item HSTUs over a grid of width, depth, length and data; fit loss against compute as a power law.

    What was trained before is used as it is, so that a run that was interrupted goes on. The page, with plot and table,
    is scaling.html in the workspace's folder.

    Example: plait scaling -w ./ml1m --result hstu_scaling
    """
    from plait.console.scaling_page import scaling_page
    from plait.data.artifacts import write_atomically
    from plait.pipelines.project import open_project
    from plait.pipelines.scaling import ScalingOptions, measure_scaling, write_scaling

    default = ScalingOptions()
    options = ScalingOptions(
        recipe=recipe,
        widths=tuple(widths or default.widths),
        depths=tuple(depths or default.depths),
        lengths=tuple(lengths or default.lengths),
        shares=tuple(shares or default.shares),
        epochs=epochs,
        seed=seed,
    )
    found = measure_scaling(open_project(workspace), options)
    for one in found.models:
        typer.echo(f"{one.cell.name:>20}  loss {one.best.logloss:.4f}  {one.curve[-1][0]:>10,.0f} GFLOP")
    low, high = found.fit.exponent_interval or (float("nan"), float("nan"))
    law = found.fit.law
    typer.echo(f"loss = {law.scale:.4g} GFLOP ^ -{law.exponent:.4f} ({low:.4f} to {high:.4f}), R2 {law.r2:.3f}")
    page = workspace / "scaling.html"
    write_atomically(page, scaling_page(found))
    typer.echo(f"drawn: {page}")
    if result is not None:
        sizes = {"width": options.widths, "depth": options.depths, "length": options.lengths, "share": options.shares}
        flags = " ".join(f"--{name} {value:g}" for name, values in sizes.items() for value in values)
        command = f"plait scaling -w {workspace.name} --recipe {recipe} {flags} --epochs {epochs} --seed {seed}"
        typer.echo(f"written: {write_scaling(found, f'{command} --result {result}', name=result)}")
