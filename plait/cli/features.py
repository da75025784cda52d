"""`plait features`: which features a model's MLP or experts live on, and recipes that read only those."""

from pathlib import Path
from typing import Annotated, Literal

import typer

_Workspace = Annotated[Path, typer.Option("--workspace", "-w", help="Folder with plait.toml.")]


def register(app: typer.Typer) -> None:
    """Add `plait features` and its parts."""
    group = typer.Typer(help="Rank the features of a model, and leave out what it does not need.", no_args_is_help=True)
    group.command()(rank)
    group.command()(prune)
    app.add_typer(group, name="features")


def rank(
    model: Annotated[str, typer.Argument(help="A registered dnn or hstu model: name, name@version or name@alias.")],
    workspace: _Workspace = Path(),
    exposures: Annotated[int, typer.Option(help="Of the validation window, about.", min=100)] = 20_000,
    repeats: Annotated[int, typer.Option(help="Draws of other exposures' values.", min=1)] = 2,
    gates: Annotated[
        float, typer.Option(help="Price of open gates in a model that is trained with them; 0: none is.", min=0)
    ] = 0.02,
    top: Annotated[int, typer.Option(help="Lines of the table.", min=1)] = 25,
) -> None:
    """Rank features by permutation, by gradient and by stochastic gates, and say how far the three agree.

    On the validation window. The whole ranking, of each expert too, is kept as JSON with a plot beside it.

    Example: plait features rank dnn -w ./demo
    """
    from rich.console import Console
    from rich.table import Table

    from plait.console.ranking_plot import write_ranking_plot
    from plait.pipelines.feature_ranking import RankingOptions, rank_features
    from plait.pipelines.project import open_project

    options = RankingOptions(exposures, repeats, gates)
    ranking, path = rank_features(open_project(workspace), model, options)
    console, methods = Console(), list(ranking.worth)
    table = Table("feature", *methods, *(f"rank by {name}" for name in methods), box=None)
    places = {name: ranking.places(name) for name in methods}
    for index in sorted(range(len(ranking.features)), key=lambda each: places[methods[0]][each])[:top]:
        values = [f"{ranking.worth[name][index]:.5f}" for name in methods]
        table.add_row(ranking.features[index], *values, *(str(places[name][index]) for name in methods))
    console.print(f"[bold]{ranking.model}[/]: {len(ranking.features)} features on {ranking.exposures:,} exposures")
    console.print(table)
    for coefficient in ("spearman", "kendall"):
        pairs = ranking.agreement(coefficient)
        said = [f"{one} and {two} {pairs[one][two]:.2f}" for at, one in enumerate(methods) for two in methods[at + 1 :]]
        console.print(f"{coefficient}: {', '.join(said)}")
    console.print(f"written: {path} and {write_ranking_plot(ranking, path.with_suffix('.svg'))}")


def prune(
    model: Annotated[str, typer.Argument(help="A registered model whose features were ranked.")],
    out: Annotated[Path, typer.Option(help="Where the recipe goes.")],
    workspace: _Workspace = Path(),
    keep: Annotated[float, typer.Option(help="Share of the features that stays.", min=0.01, max=1)] = 0.5,
    by: Annotated[Literal["permutation", "gradient", "gates"], typer.Option(help="Which ranking.")] = "permutation",
    recipe: Annotated[
        str | None, typer.Option(help="Lay the selection over this recipe; else the model's own.")
    ] = None,
) -> None:
    """Write a recipe whose MLP or experts read only the most valuable features; the cross network reads all.

    Example: plait features prune dnn -w ./demo --keep 0.25 --recipe moe-dense --out split4-screened.toml
    """
    from plait.pipelines.feature_ranking import write_pruned
    from plait.pipelines.project import open_project
    from plait.pipelines.train import workspace_recipe

    project = open_project(workspace)
    laid_over = workspace_recipe(project, recipe).to_dict() if recipe is not None else None
    kept = write_pruned(project, model, keep=keep, method=by, recipe=laid_over, out=out)
    typer.echo(f"kept: {', '.join(kept)}")
    typer.echo(f"written: {out}; plait train {out.resolve()} -w {workspace}")
