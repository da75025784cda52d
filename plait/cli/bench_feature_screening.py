"""`plait bench feature-screening`: one expert into four that read the best features only."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from plait.cli.bench import bench, show


def register(app: typer.Typer) -> None:
    """Add the command to `plait bench`."""
    bench.command("feature-screening")(bench_feature_screening)


def bench_feature_screening(
    *,
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="The workspace folder.")] = Path(),
    seeds: Annotated[list[int] | None, typer.Option(help="A seed of both models; repeat for more.")] = None,
    keep: Annotated[float, typer.Option(help="Share of the features that the experts read.", min=0.01, max=1)] = 0.25,
    curve: Annotated[
        list[float] | None, typer.Option(help="Another share, with the first seed; repeat for more.")
    ] = None,
    by: Annotated[Literal["permutation", "gradient", "gates"], typer.Option(help="Which ranking.")] = "permutation",
    users_share: Annotated[float, typer.Option(help="Share of the training exposures, about.", min=0.01, max=1)] = 1.0,
    test_exposures: Annotated[
        int | None, typer.Option(help="About how many exposures are measured, of whole users; all if not said.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A value laid over both recipes, as section.key=value.")
    ] = None,
    write: Annotated[bool, typer.Option(help="Keep the result under benchmarks/results/.")] = True,
) -> None:
    """Four experts over the most valuable features against one over all of them, at no more arithmetic.

    Features are ranked on the validation window, the models compared on the test window. A run that was trained before
    with the same recipe and data is used as it is; one that was interrupted goes on.

    Example: plait bench feature-screening -w ./demo --seeds 1 --seeds 2 --seeds 3
    """
    from plait.pipelines.bench_screening import ScreeningOptions, measure_screening
    from plait.pipelines.project import open_project
    from plait.training.recipe import parse_overrides

    default = ScreeningOptions()
    options = ScreeningOptions(
        seeds or default.seeds,
        keep,
        curve if curve is not None else default.curve,
        by,
        users_share=users_share,
        test_exposures=test_exposures,
        overrides=parse_overrides(settings or []),
        settings=settings or (),
        write=write,
    )
    show(*measure_screening(open_project(workspace), options))
