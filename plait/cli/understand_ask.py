"""`plait understand ask`: a language model's labels against a person's."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from plait.cli.understand import understand


def register(app: typer.Typer) -> None:
    """The command stands in `plait understand`, which `app` has already or gets later."""


@understand.command("ask")
def ask(
    model: Annotated[str, typer.Argument(help="A GGUF file, or the model's name at the endpoint.")],
    data: Annotated[Literal["fashion", "kuairec", "iflytek"], typer.Option(help="Which labelled data.")],
    data_folder: Annotated[
        Path, typer.Option(envvar="PLAIT_DATA", help="Folder that holds fashion/, kuairec/, iflytek/.")
    ],
    strategy: Annotated[
        Literal["one-shot", "by-level", "retrieve", "likelihood"], typer.Option(help="How it is asked.")
    ] = "retrieve",
    url: Annotated[str | None, typer.Option(help="OpenAI-compatible endpoint, up to and with /v1.")] = None,
    rows: Annotated[int, typer.Option(help="Test rows, drawn at random.", min=1)] = 50,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    cache: Annotated[Path, typer.Option(help="Keeps features and answers.")] = Path(".plait/understand"),
) -> None:
    """Label some test rows by a language model, without examples: accuracy per level, failures, tokens, speed.

    Answers are kept: the same question is never paid for twice. A token for the endpoint is read from PLAIT_LLM_TOKEN.

    Example: plait understand ask model.gguf --data fashion --data-folder ~/data --strategy by-level
    """
    from plait.pipelines.understand_ask import AskOptions, ask_labels

    found = ask_labels(AskOptions(data, data_folder, strategy, model, url, rows, seed, cache))
    levels = ", ".join(f"l{level} {share:.1%}" for level, share in enumerate(found.accuracy, start=1))
    typer.echo(f"{found.rows} creatives: {levels}; {found.failures} without an answer")
    typer.echo(f"{found.tokens_per_creative:.0f} tokens a creative, {found.creatives_per_s:.2f} creatives/s")
