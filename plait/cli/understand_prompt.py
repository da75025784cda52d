"""`plait understand prompt`: what a language model would be asked."""

from typing import Annotated, Literal

import typer

from plait.cli.understand import understand


def register(app: typer.Typer) -> None:
    """The command stands in `plait understand`, which `app` has already or gets later."""


@understand.command("prompt")
def prompt(
    show: Annotated[str, typer.Option(help="Text of the creative to show it with.")] = "",
    name: Annotated[str, typer.Option(help="Which prompt; `label` is the one for --answer json.")] = "label_option",
    language: Annotated[Literal["zh", "en"], typer.Option(help="Of the prompt and of the labels.")] = "zh",
    taxonomy: Annotated[
        str, typer.Option(help="One that comes with Plait, or a CSV, TSV or TOML file.")
    ] = "app-market",
    answer: Annotated[Literal["letter", "json"], typer.Option(help="Form of the answer.")] = "letter",
) -> None:
    """Print a prompt exactly as a model gets it: the first level of a taxonomy, and a creative's text as data.

    Example: plait understand prompt --show "5v5 公平竞技" --language zh

    Example: plait understand prompt --taxonomy iab-ad-product-2.0 --language en --name label --answer json
    """
    from plait.content.prompts import load_prompt
    from plait.content.taxonomy import load_taxonomy

    found, labels = load_prompt(name, language), load_taxonomy(taxonomy)
    typer.echo(f"# {found.name}, {found.language}, version {found.version}")
    for message in found.messages(labels.names_below((), language)[:26], show, answer):
        typer.echo(f"[{message['role']}]\n{message['content']}")
