"""`plait evaluate`: a registered model on data that it has not seen."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from plait.evaluation import Estimate, Evaluation, RankingEvaluation, Scores


def register(app: typer.Typer) -> None:
    """Add `plait evaluate`."""
    app.command()(evaluate)


def evaluate(
    model: Annotated[str, typer.Argument(help="A registered model: name, name@version or name@alias.")],
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="The workspace folder.")] = Path(),
    split: Annotated[str, typer.Option(help="Which window: valid or test.")] = "test",
    bootstrap: Annotated[int, typer.Option(help="Resamples of users for the 95 % intervals; 0 for none.")] = 200,
    by_scenario: Annotated[bool, typer.Option(help="Also a row per scenario.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON, each scenario x objective too.")
    ] = False,
) -> None:
    """Measure a model, with intervals over users.

    A ranker: AUC, GAUC, logloss, normalised entropy, PCOC and ECE. Only mature labels count. In a simulated world the
    oracle (the true probabilities) is measured beside the model.

    A next-item model: HR, NDCG and MRR of each user's held-out item in the whole catalogue, items seen before removed.

    Example: plait evaluate dnn -w ./demo --by-scenario
    """
    import json

    from rich.console import Console

    from plait.pipelines.evaluate import evaluate_model, evaluate_next_item, evaluate_oracle, is_next_item
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
    evaluation = evaluate_model(project, model, split=Split(split), bootstrap=bootstrap)
    oracle = evaluate_oracle(project, split=Split(split), bootstrap=0)
    if as_json:
        typer.echo(json.dumps(evaluation.to_json(), ensure_ascii=False))
        return
    console = Console()
    simulated = " (simulated data)" if project.workspace.simulated else ""
    console.print(f"[bold]{model}[/] on {evaluation.rows:,} {split} exposures of {evaluation.users:,} users{simulated}")
    console.print(_table(evaluation, oracle, by_scenario=by_scenario))
    for gap in evaluation.undefined[:5]:
        where = f"{gap.scenario} x {gap.objective}" if gap.scenario else gap.objective
        console.print(f"[dim]undefined: {', '.join(gap.metrics)} of {where}: {gap.reason}[/]")


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
