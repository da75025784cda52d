"""`plait calibrate` and `plait drift`: probabilities that mean what they say, and whether they still do."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from plait.calibration import Method, Window
    from plait.pipelines.calibration_check import BeforeAfter
    from plait.pipelines.calibration_log import Evidence

_Model = Annotated[str, typer.Argument(help="A registered ranker: name, name@version or name@alias.")]
_Folder = Annotated[Path, typer.Option("--workspace", "-w", help="The workspace folder.")]


def register(app: typer.Typer) -> None:
    """Add `plait calibrate` and `plait drift`."""
    app.command()(calibrate)
    app.command()(drift)


def calibrate(
    model: _Model,
    workspace: _Folder = Path(),
    method: Annotated[
        str, typer.Option(help="temperature, platt, isotonic, field or field-isotonic: docs/calibration.md.")
    ] = "field",
    last: Annotated[
        str | None, typer.Option(help="Fit on this last part of the validation window only, such as 3d.")
    ] = None,
    half_life: Annotated[
        str | None, typer.Option(help="Exposures that are so much older than the last count half, such as 2d.")
    ] = None,
    labels: Annotated[
        str,
        typer.Option(help="known: as they stand, with the share of positives that is in; mature: final ones only."),
    ] = "known",
    bootstrap: Annotated[int, typer.Option(help="Resamples of users for the 95 % intervals; 0 for none.")] = 200,
    check: Annotated[bool, typer.Option(help="Measure before and after on the test window.")] = True,
    page: Annotated[Path | None, typer.Option(help="Write reliability plots before and after to this file.")] = None,
) -> None:
    """Fit calibration curves of a ranker on the validation window and register it with them as its next version.

    Whatever loads the new version has them: evaluation, the server, exported heads. Aliases stay where they are.

    Example: plait calibrate dnn -w ./demo --method field --page calibration.html
    """
    from rich.console import Console

    from plait.console.calibration_page import calibration_page
    from plait.data.artifacts import write_atomically
    from plait.pipelines.calibrate import calibrate_model
    from plait.pipelines.calibration_check import check_calibration
    from plait.pipelines.project import open_project

    chosen, evidence = chosen_method(method), chosen_evidence(last, half_life, labels)
    if page is not None and not check:
        raise typer.BadParameter("plots need the check", param_hint="--page")
    project, console = open_project(workspace), Console()
    done = calibrate_model(project, model, method=chosen, evidence=evidence)
    if check:
        compared = check_calibration(done, bootstrap=bootstrap)
        console.print(_table(compared))
        console.print(_summary(compared))
        if page is not None:
            write_atomically(page, calibration_page(done.registered.reference, project.workspace.name, compared))
    console.print(
        f"{done.registered.reference}: {done.source.reference} with {method} curves of {done.rows:,} exposures"
    )
    console.print(f"next: plait models alias {done.registered.reference} production -w {workspace}")


def drift(
    model: _Model,
    workspace: _Folder = Path(),
    split: Annotated[str, typer.Option(help="Which window: valid or test.")] = "test",
    every: Annotated[str, typer.Option(help="Width of a stretch of time, such as 1d or 1h.")] = "1d",
    band: Annotated[float, typer.Option(help="How far PCOC may be from 1.", min=0)] = 0.05,
    windows: Annotated[int, typer.Option(help="So many stretches in a row outside raise an alarm.", min=1)] = 2,
    objective: Annotated[list[str] | None, typer.Option(help="Only this objective; repeat for more.")] = None,
) -> None:
    """PCOC of a ranker over time; exits with 1 where an objective has left its band.

    A stretch is outside where its whole 95 % interval is; an alarm takes several in a row on one side.

    Example: plait drift dnn@production -w ./demo --every 1d --objective click
    """
    from rich.console import Console

    from plait.calibration import DriftRule
    from plait.config.durations import parse_duration
    from plait.pipelines.calibration_check import drift_of
    from plait.pipelines.project import open_project
    from plait.schema import Split

    found = drift_of(
        open_project(workspace),
        model,
        split=Split(split),
        width_ms=parse_duration(every),
        rule=DriftRule(band, windows),
        objectives=objective or (),
    )
    console = Console()
    for name, stretches in found.items():
        console.print(_drift_table(name, stretches))
    alarmed = [name for name, stretches in found.items() if any(one.alarm for one in stretches)]
    if alarmed:
        console.print(f"[bold red]alarm:[/] {', '.join(alarmed)}: calibrate again on later data, or train again")
        raise typer.Exit(1)
    console.print("no alarm")


def chosen_method(name: str) -> "Method":
    """The method of this name, or a message that names them all."""
    from plait.calibration import METHODS

    chosen = next((known for known in METHODS if known == name), None)
    if chosen is None:
        raise typer.BadParameter(f"found '{name}', expected one of {', '.join(METHODS)}", param_hint="--method")
    return chosen


def chosen_evidence(last: str | None, half_life: str | None, labels: str) -> "Evidence":
    """What curves are fitted on, as it was typed."""
    from plait.config.durations import parse_duration
    from plait.pipelines.calibration_log import Evidence

    if labels not in ("known", "mature"):
        raise typer.BadParameter(f"found '{labels}', expected known or mature", param_hint="--labels")
    trail_ms, half_life_ms = (None if text is None else parse_duration(text) or None for text in (last, half_life))
    return Evidence(trail_ms, half_life_ms, young=labels == "known")


def _table(compared: "BeforeAfter") -> "Table":
    from rich.table import Table

    headings = ("PCOC before", "after", "ECE before", "after", "Field-RCE before", "after")
    table = Table("test window", "positives", *headings, box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    before, after = compared.before, compared.after
    for name, scores in after.evaluation.by_objective.items():
        earlier = before.evaluation.by_objective[name]
        low, high = scores.pcoc.low, scores.pcoc.high
        range_ = "" if low is None or high is None else f" [dim]({low:.3f}-{high:.3f})[/]"
        table.add_row(
            name,
            f"{scores.positives:,}",
            f"{earlier.pcoc.value:.3f}",
            f"{scores.pcoc.value:.3f}{range_}",
            f"{earlier.ece.value:.4f}",
            f"{scores.ece.value:.4f}",
            f"{before.field_rce[name]:.3f}",
            f"{after.field_rce[name]:.3f}",
        )
    return table


def _summary(compared: "BeforeAfter") -> str:
    parts = []
    for name, one in (("before", compared.before), ("after", compared.after)):
        cells = one.cells()
        surely = sum(1 for *_, pcoc in cells if pcoc.excludes(1.0))
        parts.append(f"{name}: PCOC {one.pcoc:.4f}, {surely} of {len(cells)} cells surely not 1")
    return "; ".join(parts)


def _drift_table(name: str, stretches: "list[Window]") -> "Table":
    import datetime

    from rich.table import Table

    table = Table(name, "rows", "positives", "PCOC", "95 %", "", box=None)
    for one in stretches:
        start = datetime.datetime.fromtimestamp(one.start_ms / 1000, datetime.UTC)
        mark = "[bold red]alarm[/]" if one.alarm else "outside" if one.side else ""
        interval = f"{one.low:.3f}-{one.high:.3f}"
        table.add_row(
            f"{start:%Y-%m-%d %H:%M}", f"{one.rows:,}", f"{one.positives:,}", f"{one.pcoc:.3f}", interval, mark
        )
    return table
