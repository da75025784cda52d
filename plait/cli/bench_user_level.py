"""`plait bench user-level`: what training on users saves beside training on impressions."""

from pathlib import Path
from typing import Annotated

import typer

from plait.cli.bench import bench, show


def register(app: typer.Typer) -> None:
    """Add the command to `plait bench`."""
    bench.command("user-level")(bench_user_level)


def bench_user_level(
    *,
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="The workspace folder.")] = Path(),
    recipe: Annotated[str, typer.Option(help="An HSTU ranker.")] = "hstu",
    exposures: Annotated[int, typer.Option(help="Training exposures of all rounds, about.", min=100)] = 60_000,
    rounds: Annotated[int, typer.Option(help="Rounds: users drawn anew, another seed each.", min=1)] = 4,
    user_batch: Annotated[int, typer.Option(help="Exposures a step at the user level.", min=1)] = 128,
    impression_batch: Annotated[int, typer.Option(help="The same at the impression level.", min=1)] = 256,
    seed: Annotated[int, typer.Option(help="Of the first round.")] = 7,
    write: Annotated[bool, typer.Option(help="Keep the result under benchmarks/results/.")] = True,
) -> None:
    """One HSTU ranker trained on users and on impressions: the same exposures, samples/s and quality.

    The logits of the trained weights must agree between both. The result is
    benchmarks/results/hstu_user_level_cost.json. Run it in a checkout.

    Example: plait bench user-level -w ./demo
    """
    from plait.pipelines.bench_user_level import UserLevelOptions, measure_user_level
    from plait.pipelines.project import open_project

    options = UserLevelOptions(
        recipe, exposures, rounds, user_batch=user_batch, impression_batch=impression_batch, seed=seed, write=write
    )
    show(*measure_user_level(open_project(workspace), options))
