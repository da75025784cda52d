"""`plait embed`: behaviour and items as text, text as vectors."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

_Workspace = Annotated[Path, typer.Option("--workspace", "-w", help="Folder with plait.toml.")]


def register(app: typer.Typer) -> None:
    """Add `plait embed` and its parts."""
    group = typer.Typer(invoke_without_command=True, help=embed.__doc__)
    group.callback()(embed)
    group.command()(show)
    group.command()(sweep)
    group.command("cold-start")(cold_start)
    group.command("map")(draw_map)
    app.add_typer(group, name="embed")


def embed(context: typer.Context, workspace: _Workspace = Path()) -> None:
    """Encode users' behaviour and items with a frozen model: vectors for rankers, cold start and retrieval.

    `embedding` in plait.toml says which model, language and budgets. Only texts that were never encoded
    are: a killed run goes on where it was, and a later one encodes users with new behaviour.

    Example: plait embed -w ./demo
    """
    if context.invoked_subcommand is not None:
        return
    from plait.pipelines.embed import build_embeddings
    from plait.pipelines.project import open_project

    made = build_embeddings(open_project(workspace))
    typer.echo(
        f"{made.encoder}: {made.snapshots:,} snapshots of users from {made.texts:,} texts, {made.width} wide, in "
        f"{made.users}; items in {made.items}"
    )


def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="Id of a user, or of what --of says.")],
    workspace: _Workspace = Path(),
    of: Annotated[str, typer.Option(help="user, item or creative.")] = "user",
    at: Annotated[datetime | None, typer.Option(help="As known at this time (UTC); by default the log's end.")] = None,
) -> None:
    """Print the text of a user as it was known at a time, or of an item or a creative with what is understood of it.

    Example: plait embed show 1000042 -w ./demo --at 2026-03-01T00:00:00
    """
    from datetime import UTC

    from plait.pipelines.embed import TextDesk, creative_text, item_text
    from plait.pipelines.project import open_project

    if of in ("item", "creative"):
        typer.echo((item_text if of == "item" else creative_text)(open_project(workspace), name))
        return
    if of != "user":
        raise typer.BadParameter(f"found '{of}', expected user, item or creative", param_hint="--of")
    moment = None if at is None else int(at.replace(tzinfo=UTC).timestamp() * 1000)
    typer.echo(TextDesk.open(open_project(workspace)).text_of(name, moment))


def sweep(
    workspace: _Workspace = Path(),
    *,
    recipe: Annotated[str, typer.Option(help="The ranker: a recipe or a model of plait.toml.")] = "dnn",
    widths: Annotated[list[int] | None, typer.Option("--width", help="A width d; repeat for more.")] = None,
    seeds: Annotated[list[int] | None, typer.Option("--seed", help="Train with this seed; repeat for more.")] = None,
    bootstrap: Annotated[int, typer.Option(help="Resamples of users for the 95 % intervals.")] = 200,
    result: Annotated[
        str | None, typer.Option(help="Write the measurement under this name in benchmarks/results/.")
    ] = None,
) -> None:
    """Train a ranker with the user embedding at d = 8 to 256, and without, and draw AUC over d.

    Differences are paired over the same test exposures. The page is embed-sweep.html in the workspace's folder.

    Example: plait embed sweep -w ./demo --seed 7 --seed 8 --seed 9 --result embed_sweep_demo
    """
    from plait.console.sweep_page import sweep_page
    from plait.data.artifacts import write_atomically
    from plait.pipelines.embed_sweep import WIDTHS, sweep_widths, write_sweep
    from plait.pipelines.embedding_views import keep_sweep
    from plait.pipelines.project import open_project

    chosen, seeds, project = tuple(widths or WIDTHS), seeds or [7, 8, 9], open_project(workspace)
    found = sweep_widths(project, recipe=recipe, widths=chosen, seeds=seeds, bootstrap=bootstrap)
    keep_sweep(project, found)
    for point in found.points:
        gain = f"  {point.gain.difference:+.4f}" if point.gain else ""
        typer.echo(f"{f'd = {point.width}' if point.width else 'without':>8}  AUC {point.auc.value:.4f}{gain}")
    page = workspace / "embed-sweep.html"
    write_atomically(page, sweep_page(found))
    typer.echo(f"drawn: {page}")
    if result is not None:
        flags = " ".join([*(f"--width {width}" for width in chosen), *(f"--seed {seed}" for seed in seeds)])
        command = f"plait embed sweep -w {workspace} --recipe {recipe} {flags} --bootstrap {bootstrap}"
        typer.echo(f"written: {write_sweep(found, result, command)}")


def cold_start(
    workspace: _Workspace = Path(),
    *,
    recipe: Annotated[str, typer.Option(help="The ranker: a recipe or a model of plait.toml.")] = "dnn",
    seeds: Annotated[list[int] | None, typer.Option("--seed", help="Train with this seed; repeat for more.")] = None,
    bootstrap: Annotated[int, typer.Option(help="Resamples of users for the 95 % intervals.")] = 200,
    result: Annotated[
        str | None, typer.Option(help="Write the measurement under this name in benchmarks/results/.")
    ] = None,
) -> None:
    """AUC on items that training showed 0, 1-5 and 6-20 times, with and without item embeddings; recall of candidates.

    Example: plait embed cold-start -w ./demo --seed 7 --seed 8 --seed 9 --result cold_start
    """
    from plait.pipelines.cold_start import measure_cold_start, write_cold_start
    from plait.pipelines.project import open_project

    seeds = seeds or [7, 8, 9]
    found = measure_cold_start(open_project(workspace), recipe=recipe, seeds=seeds, bootstrap=bootstrap)
    for name, metric in found.metrics.items():
        typer.echo(f"{name:>24}  {metric.value:.4f}")
    if result is not None:
        flags = " ".join(f"--seed {seed}" for seed in seeds)
        command = f"plait embed cold-start -w {workspace} --recipe {recipe} {flags} --bootstrap {bootstrap}"
        typer.echo(f"written: {write_cold_start(found, result, command)}")


def draw_map(
    workspace: _Workspace = Path(),
    *,
    recipe: Annotated[str, typer.Option(help="Stage one of CTRL.")] = "ctrl-dcnv2-align",
    seed: Annotated[int, typer.Option(help="Of the training.")] = 1,
    rows: Annotated[int, typer.Option(help="Exposures that are drawn.", min=2, max=1_000)] = 150,
) -> None:
    """Draw rows and their texts on one plane, before alignment and after; train stage one of CTRL unless it has been.

    The page is alignment.html in the workspace's folder.

    Example: plait embed map -w ./demo --recipe ctrl-dnn-align --seed 7
    """
    from plait.console.alignment_page import alignment_page
    from plait.data.artifacts import write_atomically
    from plait.pipelines.alignment_map import alignment_map
    from plait.pipelines.embedding_views import keep_alignment
    from plait.pipelines.project import open_project

    project = open_project(workspace)
    found = alignment_map(project, recipe, seed=seed, rows=rows)
    keep_alignment(project, found)
    page = workspace / "alignment.html"
    write_atomically(page, alignment_page(found))
    typer.echo(f"find their partner: before {found.before.found:.1%}, after {found.after.found:.1%}; drawn: {page}")
