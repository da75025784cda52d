"""`plait bench ctrl-ablation`: which choices of CTRL's alignment matter."""

from pathlib import Path
from typing import Annotated

import typer

from plait.cli.bench import bench, show


def register(app: typer.Typer) -> None:
    """Add the command to `plait bench`."""
    bench.command("ctrl-ablation")(bench_ctrl_ablation)


def bench_ctrl_ablation(
    *,
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="The workspace folder.")] = Path(),
    recipe: Annotated[str, typer.Option(help="ctrl-autoint, ctrl-dcnv2 or ctrl-dnn.")] = "ctrl-dcnv2",
    variant: Annotated[list[str] | None, typer.Option(help="A setting that is changed; repeat; all if none.")] = None,
    seeds: Annotated[list[int] | None, typer.Option(help="A seed of every model; repeat for more.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Laid over every ranker's recipe: section.key=value; repeatable.")
    ] = None,
    align: Annotated[
        list[str] | None, typer.Option(help="Laid over every alignment's recipe: section.key=value; repeatable.")
    ] = None,
    name: Annotated[str, typer.Option(help="Of the result file.")] = "ctrl_ablation",
    write: Annotated[bool, typer.Option(help="Keep the result under benchmarks/results/.")] = True,
) -> None:
    """CTRL with sub-vectors, other temperatures and batches, and one direction of its loss off, against its backbone.

    Needs the text vectors of `plait embed`. What was trained before with the same recipe and data is used as it is.

    Example: plait bench ctrl-ablation -w ./ml1m --set training.share=0.1 --align training.share=0.3
    """
    from plait.pipelines.bench_ctrl import ALIGNED
    from plait.pipelines.bench_ctrl_ablation import VARIANTS, AblationOptions, measure_ablation
    from plait.pipelines.project import open_project

    chosen = variant or list(VARIANTS)
    if unknown := [one for one in chosen if one not in VARIANTS]:
        raise typer.BadParameter(f"found '{unknown[0]}', expected {', '.join(VARIANTS)}", param_hint="--variant")
    if recipe not in ALIGNED:
        raise typer.BadParameter(f"found '{recipe}', expected {', '.join(ALIGNED)}", param_hint="--recipe")
    options = AblationOptions(recipe, chosen, seeds or [1], settings or [], align or [], name=name, write=write)
    show(*measure_ablation(open_project(workspace), options))
