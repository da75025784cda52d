"""`plait understand strategies`: the ways to label side by side."""

from pathlib import Path
from typing import Annotated

import typer

from plait.cli.understand import understand


def register(app: typer.Typer) -> None:
    """The command stands in `plait understand`, which `app` has already or gets later."""


@understand.command("strategies")
def strategies(
    model: Annotated[str, typer.Argument(help="A GGUF file, or the model's name at the endpoint.")],
    data_folder: Annotated[
        Path, typer.Option(envvar="PLAIT_DATA", help="Folder that holds fashion/, kuairec/, iflytek/.")
    ],
    data: Annotated[list[str] | None, typer.Option(help="A data set; repeat for more. All three by default.")] = None,
    url: Annotated[str | None, typer.Option(help="OpenAI-compatible endpoint, up to and with /v1.")] = None,
    rows: Annotated[int, typer.Option(help="Test rows of each data set, drawn at random.", min=1)] = 60,
    alone: Annotated[bool, typer.Option(help="The language model alone too, not only beside the classifier.")] = True,
    examples: Annotated[int, typer.Option(help="Labels of each leaf for the classifier, at most.", min=0)] = 8,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    cache: Annotated[Path, typer.Option(help="Keeps features and answers.")] = Path(".plait/understand"),
    write: Annotated[bool, typer.Option(help="Write a file under benchmarks/results.")] = True,
) -> None:
    """Label the same creatives by every strategy: accuracy per level, failures, tokens, speed.

    The language model alone knows no labels; the light classifier, with and without the model for what it is not sure
    of, is measured without labels and with a few. Answers are kept: a run that was broken off goes on where it was.

    Example: plait understand strategies model.gguf --data-folder ~/data --rows 60

    Example: plait understand strategies model.gguf --data-folder ~/data --data iflytek --rows 600 --no-alone
    """
    from plait.pipelines.understand_strategies import StrategyOptions, chosen_data, measure_strategies

    chosen = chosen_data(data or [])
    options = StrategyOptions(
        model,
        data_folder,
        chosen,
        rows=rows,
        url=url,
        alone=alone,
        examples=examples,
        seed=seed,
        cache=cache,
        write=write,
    )
    metrics, path = measure_strategies(options)
    for name, metric in metrics.items():
        typer.echo(f"{name:>50}  {metric.value:,.4g} {metric.unit}")
    if path is not None:
        typer.echo(f"written: {path}")
