"""`plait ladder`: what each ingredient is worth on this workspace's data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Group

    from plait.evaluation import Difference, Estimate
    from plait.evaluation.scores import MetricName
    from plait.pipelines.ladder import Ladder


_KINDS = ("uncalibrated", "calibrated", "oracle")
_SHOWN: "tuple[MetricName, ...]" = ("gauc", "logloss", "pcoc")


def register(app: typer.Typer) -> None:
    """Add `plait ladder`."""
    app.command()(ladder)


def ladder(
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="The workspace folder.")] = Path(),
    seeds: Annotated[list[int] | None, typer.Option("--seed", help="Train with this seed; repeat for more.")] = None,
    rungs: Annotated[
        str | None, typer.Option(help="Only these, such as dnn,hstu; all that can be made if left out.")
    ] = None,
    bootstrap: Annotated[int, typer.Option(help="Resamples of users for the 95 % intervals.")] = 200,
    result: Annotated[
        str | None, typer.Option(help="Write the measurement under this name in benchmarks/results/.")
    ] = None,
) -> None:
    """Switch the ingredients on one by one and print what each is worth: popularity, LR, DNN, HSTU + DNN.

    Rungs of derived features come in where what they are made of is there. Differences are paired over the same test
    exposures. A rung that is trained already is used as it is.

    Example: plait ladder -w ./demo --seed 7 --seed 8 --seed 9
    """
    from rich.console import Console

    from plait.pipelines.ladder import climb, rungs_named, write_ladder
    from plait.pipelines.project import open_project

    chosen = tuple(seeds or [7])
    named = rungs_named(rungs.split(",")) if rungs is not None else None
    climbed = climb(open_project(workspace), rungs=named, seeds=chosen, bootstrap=bootstrap)
    console = Console()
    console.print(ladder_tables(climbed))
    if result is not None:
        flags = " ".join(f"--seed {seed}" for seed in chosen)
        flags += f" --rungs {rungs}" if rungs is not None else ""
        command = f"plait ladder -w {workspace} {flags} --bootstrap {bootstrap}"
        console.print(f"written: {write_ladder(climbed, result, command)}")


def ladder_tables(climbed: "Ladder") -> "Group":
    """The ladder for the terminal: what each rung reaches, and what it gains over others; fits 80 columns."""
    from rich.console import Group
    from rich.table import Table

    simulated = " (simulated data)" if climbed.simulated else ""
    title = f"Ladder of {climbed.workspace}{simulated}, seeds {', '.join(map(str, climbed.seeds))}"
    reached = Table("rung", "AUC", "GAUC", "logloss", "PCOC", "train s", "p99 ms", title=title, box=None)
    gained = Table("AUC gained", "cumulative", "alone", box=None)
    for table in (reached, gained):
        for column in table.columns[1:]:
            column.justify = "right"
    for outcome in climbed.rungs:
        metrics, name = outcome.estimates, outcome.rung.name
        values = (f"{metrics[key].value:.4f}" for key in _SHOWN)
        costs = (f"{outcome.train_seconds:.0f}", f"{outcome.serve_p99_ms:.1f}")
        reached.add_row(name, _estimate(metrics["auc"]), *values, *costs)
        if outcome.cumulative and outcome.alone:
            gained.add_row(name, *(_difference(one.overall["auc"]) for one in (outcome.cumulative, outcome.alone)))
    if climbed.oracle is not None:
        scores = climbed.oracle.overall
        reached.add_row("oracle", _estimate(scores.auc), *(f"{scores.metric(key).value:.4f}" for key in _SHOWN))
    value = _value(climbed)
    note = (
        "cumulative: against the rung above it in the table; alone: by itself, models against the first rung, features "
        "against their model without any. Paired, 95 %."
    )
    return Group(reached, "", gained, *([value] if value else []), f"[dim]{note}[/]")


def _value(climbed: "Ladder") -> str | None:
    """What auctions earn per 1,000 exposures with the last rung's probabilities, calibrated ones and the truth."""
    if climbed.value is None:
        return None
    metrics = climbed.value.metrics
    lift, revenue = metrics["lift"], {name: metrics[f"{name}.revenue"].value for name in _KINDS}
    bounds = "" if lift.low is None or lift.high is None else f" ({lift.low:+.2%} {lift.high:+.2%})"
    return (
        f"value (simulated), revenue per 1,000 exposures: {revenue['uncalibrated']:.2f}, calibrated "
        f"{revenue['calibrated']:.2f}: {lift.value:+.2%}{bounds}; oracle {revenue['oracle']:.2f}"
    )


def _estimate(estimate: "Estimate") -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.4f}"
    return f"{estimate.value:.4f} [dim]±{(estimate.high - estimate.low) / 2:.4f}[/]"


def _difference(difference: "Difference") -> str:
    if difference.low is None or difference.high is None:
        return f"{difference.difference:+.4f}"
    style = "green" if difference.low > 0 else "red" if difference.high < 0 else "dim"
    return f"[{style}]{difference.difference:+.4f} ({difference.low:+.4f} {difference.high:+.4f})[/]"
