"""`plait evaluate`: a registered model on data that it has not seen."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from plait.evaluation import Comparison, Estimate, Evaluation, RankingEvaluation, Scores
    from plait.evaluation.scores import MetricName
    from plait.pipelines.evaluate import Measured


_LABEL, _CELL = 20, 13
"""Characters of a grid's first and further columns: wider than the terminal if need be, for `less -S` or a file."""


def register(app: typer.Typer) -> None:
    """Add `plait evaluate`."""
    app.command()(evaluate)


def evaluate(
    model: Annotated[str, typer.Argument(help="A registered model: name, name@version or name@alias.")],
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="The workspace folder.")] = Path(),
    split: Annotated[str, typer.Option(help="Which window: valid or test.")] = "test",
    bootstrap: Annotated[int, typer.Option(help="Resamples of users for the 95 % intervals; 0 for none.")] = 200,
    by: Annotated[
        str,
        typer.Option(help="Rows of the table: objective, scenario, or scenario,objective for a grid of one metric."),
    ] = "objective",
    against: Annotated[
        str | None, typer.Option(help="Another registered model: paired differences to it, gains and losses marked.")
    ] = None,
    metric: Annotated[str, typer.Option(help="Of grids: auc, gauc or normalised_entropy.")] = "auc",
    page: Annotated[Path | None, typer.Option(help="An HTML file for the grids and the use of experts.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON, each scenario x objective too.")
    ] = False,
) -> None:
    """Measure a model, with intervals over users.

    A ranker: AUC, GAUC, logloss, normalised entropy, PCOC and ECE. Only mature labels count. In a simulated world the
    oracle (the true probabilities) is measured beside the model.

    With --against both models are measured on the same rows: the see-saw of many objectives in one model. ▲ and ▼ mark
    gains and losses whose 95 % interval excludes 0.

    A next-item model: HR, NDCG and MRR of each user's held-out item in the whole catalogue, items seen before removed.

    Example: plait evaluate moe-dense -w ./demo --by scenario,objective --against dnn
    """
    import json

    from rich.console import Console

    from plait.console.seesaw_page import write_page
    from plait.pipelines.evaluate import evaluate_against, evaluate_next_item, evaluate_oracle, is_next_item
    from plait.pipelines.project import open_project
    from plait.schema import Split

    project = open_project(workspace)
    if is_next_item(project, model):
        ranked = evaluate_next_item(project, model, split=Split(split), bootstrap=bootstrap)
        if as_json:
            typer.echo(json.dumps(ranked.to_json(), ensure_ascii=False))
        else:
            _print_ranking(Console(), f"[bold]{model}[/] on the {split} items of {ranked.users:,} users", ranked)
        return
    shown = _asked(by, metric)
    measured = evaluate_against(project, model, against, split=Split(split), bootstrap=bootstrap, experts=bool(page))
    if page is not None:
        write_page(page, model, against, measured)
        typer.echo(f"written: {page}", err=as_json)
    if as_json:
        typer.echo(json.dumps(measured.to_json(), ensure_ascii=False))
        return
    simulated = " (simulated data)" if project.workspace.simulated else ""
    rows = f"{measured.evaluation.rows:,} {split} exposures of {measured.evaluation.users:,} users"
    Console().print(f"[bold]{model}[/] on {rows}{simulated}")
    oracle = None if len(shown) == 2 else evaluate_oracle(project, split=Split(split), bootstrap=0)
    _print_measured(measured, oracle, shown, cast("MetricName", metric))


def _print_measured(measured: "Measured", oracle: "Evaluation | None", shown: set[str], metric: "MetricName") -> None:
    from rich.console import Console

    console, evaluation = Console(), measured.evaluation
    if len(shown) == 2:
        wide = Console(width=max(console.width, _LABEL + _CELL * len(evaluation.objectives)))
        wide.print(_grid(measured, metric))
    else:
        console.print(_table(evaluation, oracle, by_scenario="scenario" in shown))
    if measured.comparison is not None:
        console.print("differences to the other model:", _differences(measured.comparison))
    for gap in evaluation.undefined[:5]:
        where = f"{gap.scenario} x {gap.objective}" if gap.scenario else gap.objective
        console.print(f"[dim]undefined: {', '.join(gap.metrics)} of {where}: {gap.reason}[/]")


def _asked(by: str, metric: str) -> set[str]:
    asked = set(by.split(","))
    if not asked <= {"scenario", "objective"}:
        raise typer.BadParameter(f"found '{by}', expected objective, scenario or scenario,objective", param_hint="--by")
    if metric not in ("auc", "gauc", "normalised_entropy"):
        raise typer.BadParameter(f"found '{metric}', expected auc, gauc or normalised_entropy", param_hint="--metric")
    return asked


def _grid(measured: "Measured", metric: "MetricName") -> "Table":
    """A row per scenario, a column per objective: one metric, or its differences with marks."""
    from rich.table import Table

    from plait.console.seesaw_page import seesaw_map

    evaluation, comparison = measured.evaluation, measured.comparison
    table = Table(metric, *evaluation.objectives, box=None, padding=(0, 1, 0, 0))
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    if comparison is not None:
        for label, cells in seesaw_map(comparison, metric).rows:
            table.add_row(label, *(_coloured(cell.text) for cell in cells))
        return table
    for label, row in [("all scenarios", evaluation.by_objective), *evaluation.cells.items()]:
        table.add_row(label, *(_plain(row[name].metric(metric)) for name in evaluation.objectives))
    return table


def _differences(comparison: "Comparison") -> "Table":
    """Paired differences of AUC, GAUC and NE, overall and by objective."""
    from rich.table import Table

    from plait.console.seesaw_page import METRICS, mark

    table = Table("", *(name for name, _ in METRICS.values()), box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for label, row in [("[bold]all objectives[/]", comparison.overall), *comparison.by_objective.items()]:
        cells = []
        for metric, (_, better) in METRICS.items():
            one = row[metric]
            interval = "" if one.low is None else f" [dim]({one.low:+.4f} to {one.high:+.4f})[/]"
            cells.append(f"{one.difference:+.4f}{_coloured(mark(one, better))}{interval}")
        table.add_row(label, *cells)
    return table


def _coloured(text: str) -> str:
    colour = {"▲": "green", "▼": "red"}.get(text[-1:], "")
    return f"[{colour}]{text}[/]" if colour else text


def _print_ranking(console: "Console", title: str, ranked: "RankingEvaluation") -> None:
    from rich.table import Table

    console.print(title)
    table = Table(*ranked.metrics, box=None)
    table.add_row(*(_with_interval(estimate) for estimate in ranked.metrics.values()))
    console.print(table)


def _table(evaluation: "Evaluation", oracle: "Evaluation | None", *, by_scenario: bool) -> "Table":
    from rich.table import Table

    table = Table("", "labels", "positives", "auc", "oracle", "gauc", "logloss", "NE", "PCOC", "ECE", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row(*_cells("[bold]all objectives[/]", evaluation.overall, oracle.overall if oracle else None))
    for name, scores in evaluation.by_objective.items():
        table.add_row(*_cells(name, scores, oracle.by_objective[name] if oracle else None))
    if by_scenario:
        table.add_section()
        for name, scores in evaluation.by_scenario.items():
            table.add_row(*_cells(name, scores, oracle.by_scenario[name] if oracle else None))
    return table


def _cells(name: str, scores: "Scores", oracle: "Scores | None") -> list[str]:
    return [
        name,
        f"{scores.labels:,}",
        f"{scores.positives:,}",
        _with_interval(scores.auc),
        _plain(oracle.auc) if oracle else "",
        _plain(scores.gauc),
        _plain(scores.logloss),
        _plain(scores.normalised_entropy),
        _plain(scores.pcoc),
        _plain(scores.ece),
    ]


def _with_interval(estimate: "Estimate") -> str:
    if estimate.low is None or estimate.high is None:
        return _plain(estimate)
    return f"{estimate.value:.4f} [dim]({estimate.low:.4f}-{estimate.high:.4f})[/]"


def _plain(estimate: "Estimate") -> str:
    return f"{estimate.value:.4f}" if estimate.defined else "-"
