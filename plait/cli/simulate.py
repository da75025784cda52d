"""`plait simulate`: write a simulated app market."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `simulate`."""
    app.command("simulate")(simulate)


def simulate(
    folder: Annotated[Path, typer.Argument(help="Folder to write; a killed run goes on where it stopped.")],
    size: Annotated[str, typer.Option(help="tiny, demo, bench or stream.")] = "demo",
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 7,
    users: Annotated[int | None, typer.Option(help="Another number of users than the size's.")] = None,
    days: Annotated[int | None, typer.Option(help="Another length in days than the size's.")] = None,
    events: Annotated[int | None, typer.Option(help="With --size stream: how many behaviours, about.")] = None,
    null: Annotated[list[str] | None, typer.Option(help="Switch this ingredient off; may be repeated.")] = None,
    media: Annotated[bool, typer.Option(help="Render the creatives' image and video files.")] = True,
    processes: Annotated[int | None, typer.Option(help="Worker processes; the number of cores by default.")] = None,
    explain: Annotated[bool, typer.Option(help="Print the AUC that each known part of the truth brings.")] = False,
) -> None:
    """Write a simulated app market: raw tables, plait.toml, creatives as real files, and the truth behind them.

    The world is invented but complete: scenarios, funnels, delays, drifting users, cold items, an imperfect logging
    policy with propensities. `truth/` keeps the probabilities that every report can compare a model with.

    Example: plait simulate ./demo --size demo --seed 7

    Example: plait simulate ./null --size tiny --null creative_taste --no-media
    """
    from plait.pipelines.simulate import explain_world, simulate_world

    simulate_world(
        folder, size=size, seed=seed, users=users, days=days, events=events, null=null or [], media=media,
        processes=processes,
    )  # fmt: skip
    typer.echo(f"simulated world in {folder}; next: plait check -w {folder}")
    if explain:
        typer.echo(explain_world(folder))
