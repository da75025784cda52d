"""`plait bench calibration` and `plait bench delayed-feedback`."""

from pathlib import Path
from typing import Annotated

import typer

from plait.cli.bench import bench, show

_Folder = Annotated[Path, typer.Option("--workspace", "-w", help="A simulated world.")]
_Write = Annotated[bool, typer.Option(help="Keep the result under benchmarks/results/.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `plait bench`."""
    bench.command("calibration")(bench_calibration)
    bench.command("delayed-feedback")(bench_delayed_feedback)


def bench_calibration(
    *,
    workspace: _Folder = Path(),
    model: Annotated[str, typer.Option(help="The ranker to calibrate: name, name@version or name@alias.")],
    method: Annotated[str, typer.Option(help="As of plait calibrate.")] = "field",
    last: Annotated[str | None, typer.Option(help="As of plait calibrate, for curves that are fitted once.")] = None,
    labels: Annotated[str, typer.Option(help="As of plait calibrate.")] = "known",
    daily_last: Annotated[str | None, typer.Option(help="--last for curves that are fitted anew every day.")] = None,
    half_life: Annotated[
        str | None, typer.Option(help="As of plait calibrate, for curves that are fitted anew every day.")
    ] = None,
    bootstrap: Annotated[int, typer.Option(help="Resamples of users for the intervals.")] = 200,
    name: Annotated[str, typer.Option(help="Of the result file.")] = "calibration_bench_world",
    write: _Write = True,
) -> None:
    """PCOC, ECE and Field-RCE of the test window before and after calibration, by cell, beside the true probabilities.

    Three ways: as trained, with curves fitted once on the validation window, and with curves fitted anew every day.

    Example: plait bench calibration -w ./bench --model dnn
    """
    from plait.cli.calibrate import chosen_evidence, chosen_method
    from plait.pipelines.bench_calibration import CalibrationOptions, measure_calibration
    from plait.pipelines.project import open_project

    given = {"last": last, "labels": labels, "daily-last": daily_last, "half-life": half_life, "bootstrap": bootstrap}
    options = CalibrationOptions(
        model,
        chosen_method(method),
        once=chosen_evidence(last, None, labels),
        daily=chosen_evidence(daily_last, half_life, labels),
        bootstrap=bootstrap,
        name=name,
        write=write,
        settings="".join(f" --{option} {value}" for option, value in given.items() if value is not None),
    )
    show(*measure_calibration(open_project(workspace), options))


def bench_delayed_feedback(
    *,
    workspace: _Folder = Path(),
    recipe: Annotated[str, typer.Option(help="A ranker's recipe.")] = "dnn-small",
    days: Annotated[int, typer.Option(help="Train on the last days of the training window.", min=1)] = 10,
    epochs: Annotated[int, typer.Option(min=1)] = 2,
    seeds: Annotated[list[int] | None, typer.Option(help="A seed; repeat for more.")] = None,
    write: _Write = True,
) -> None:
    """Training on labels that are still coming in: waiting, naive and corrected, against the true probabilities.

    Example: plait bench delayed-feedback -w ./demo --days 10
    """
    from plait.pipelines.bench_delayed import DelayedOptions, measure_delayed
    from plait.pipelines.project import open_project

    options = DelayedOptions(recipe, tuple(seeds or (1, 2, 3)), days, epochs=epochs, write=write)
    show(*measure_delayed(open_project(workspace), options))
