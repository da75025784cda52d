"""`plait demo`: the whole road on a simulated app market, with a report."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `plait demo`."""
    app.command()(demo)


def demo(
    folder: Annotated[Path, typer.Argument(help="Where the world, the models and the report go.")] = Path("demo"),
    size: Annotated[str, typer.Option(help="Size of the world: tiny, demo or bench.")] = "demo",
    seed: Annotated[int, typer.Option(help="Seed of the world and of the models.")] = 7,
    bootstrap: Annotated[int, typer.Option(help="Resamples of users for the 95 % intervals.")] = 200,
    result: Annotated[bool, typer.Option(help="Write ladder_demo and demo_time to benchmarks/results/.")] = False,
) -> None:
    """Simulate an app market, check it, look at creatives, make samples, train the ladder, serve its last rung, report.

    A second run, or one after a kill, does only what is missing. Everything stays in FOLDER.

    Example: plait demo demo --size tiny
    """
    import time

    from rich.console import Console

    from plait.cli.ladder import ladder_tables
    from plait.console.report import render_report
    from plait.pipelines.demo import DemoOptions, run_demo, write_demo_results

    started = time.perf_counter()
    report, ladder = run_demo(folder, DemoOptions(size, seed, bootstrap))
    page = render_report(report, folder / "report.html")
    seconds = time.perf_counter() - started
    console = Console()
    console.print()
    console.print(ladder_tables(ladder))
    console.print("\nEverything above is [bold]simulated[/]: it proves the machine, not a market.")
    console.print(f"Done in {seconds:.0f} s. Look at:")
    console.print(f"  [bold]{page}[/]   the report: one page, opens in any browser")
    console.print(f"  plait evaluate {ladder.last_model} -w {folder} --by scenario")
    console.print(f"  plait serve -w {folder} --model {ladder.last_model}   (its API: /openapi.json)")
    if result:
        for path in write_demo_results(report, ladder, seconds, size):
            console.print(f"written: {path}")
