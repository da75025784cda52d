"""`plait understand evaluate`: labels against a person's."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from plait.cli.understand import understand

if TYPE_CHECKING:
    from plait.pipelines.understand_evaluate import EvaluationOptions, LabelEvaluation


def register(app: typer.Typer) -> None:
    """The command stands in `plait understand`, which `app` has already or gets later."""


@understand.command("evaluate")
def evaluate(
    data: Annotated[Literal["fashion", "kuairec", "iflytek"], typer.Option(help="Which labelled data.")],
    data_folder: Annotated[
        Path, typer.Option(envvar="PLAIT_DATA", help="Folder that holds fashion/, kuairec/, iflytek/.")
    ],
    cache: Annotated[Path, typer.Option(help="Keeps vectors and features.")] = Path(".plait/understand"),
    examples: Annotated[int, typer.Option(help="Hand labels of each leaf, at most.", min=1)] = 8,
    draws: Annotated[int, typer.Option(help="Draws of the examples.", min=1)] = 5,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    weigh: Annotated[
        list[float] | None,
        typer.Option(
            help="Compare weights of texts beside pictures instead, on rows of the pool; several times.", min=0.01
        ),
    ] = None,
    answers: Annotated[
        list[int] | None,
        typer.Option(
            help="Score the classifier after so many answers instead, by the order of asking; several times.", min=1
        ),
    ] = None,
    write: Annotated[
        bool, typer.Option(help="Write benchmarks/results/understand_<data>.json, or ..._weights, ..._answers.")
    ] = True,
) -> None:
    """Measure labelling against hand labels: per level accuracy, macro-F1, calibration, coverage at 95 % precision.

    Without labels and with a few; on fashion also without label words, and on pictures only. A run learns nothing from
    the test rows: neither examples, nor shares, nor calibration.

    Example: plait understand evaluate --data iflytek --data-folder ~/data

    Example: plait understand evaluate --data fashion --data-folder ~/data --weigh 2 --weigh 4 --weigh 8

    Example: plait understand evaluate --data fashion --data-folder ~/data --answers 150 --answers 450
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from plait.pipelines.understand_evaluate import EvaluationOptions

    if weigh and answers:
        raise typer.BadParameter("found --weigh and --answers, expected one of them: they are two measurements")
    found = _measured(EvaluationOptions(data, data_folder, cache, examples, draws, seed, write), weigh, answers)
    out = Console(highlight=False)
    table = Table("measure", box=None)
    for heading in ("value", "low", "high"):
        table.add_column(heading, justify="right")
    for name, metric in found.metrics.items():
        bounds = ("" if bound is None else f"{bound:.4f}" for bound in (metric.low, metric.high))
        table.add_row(name, f"{metric.value:.4f}", *bounds)
    out.print(table)
    for setting in found.settings:
        out.print(f"[bold]{setting.name}[/]: commonest mistakes (true, answered, rows)")
        for true, said, count in setting.confusions[:10]:
            out.print(f"  {escape(true)} | {escape(said)} | {count}")
    if found.path is not None:
        out.print(f"[green]Result:[/] {escape(str(found.path))}", soft_wrap=True)


def _measured(options: "EvaluationOptions", weigh: list[float] | None, answers: list[int] | None) -> "LabelEvaluation":
    from plait.pipelines.understand_answers import measure_answers
    from plait.pipelines.understand_evaluate import compare_text_weights, evaluate_labels

    if weigh:
        return compare_text_weights(options, weigh)
    return measure_answers(options, answers) if answers else evaluate_labels(options)
