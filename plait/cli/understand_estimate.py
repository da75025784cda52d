"""`plait understand estimate`: what the language model will cost."""

from pathlib import Path
from typing import Annotated

import typer

from plait.cli.understand import understand


def register(app: typer.Typer) -> None:
    """The command stands in `plait understand`, which `app` has already or gets later."""


@understand.command("estimate")
def estimate(
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="Folder with plait.toml.")] = Path(),
    sample: Annotated[int, typer.Option(help="Creatives that are asked about now.", min=1)] = 20,
) -> None:
    """Calls, tokens and price of the language model for all creatives, by a few that are asked about now.

    Their answers are kept, and what is kept of others costs nothing again. Prices stand in plait.toml as
    content.llm.price_prompt and price_answer, those of a million tokens.

    Example: plait understand estimate -w market --sample 50
    """
    from plait.pipelines.project import open_project
    from plait.pipelines.understand_cost import estimate_cost

    found = estimate_cost(open_project(workspace), sample)
    typer.echo(f"{found.sampled:,} of {found.creatives:,} creatives were asked about.")
    for name, usage in (("all, from nothing", found.whole), ("left to ask", found.left)):
        typer.echo(f"{name:>18}: {usage.calls:,} calls, {usage.prompt:,} prompt tokens, {usage.answer:,} answer tokens")
    if not found.whole.calls:
        typer.echo("The light classifier was sure of all of these: a larger --sample says more.")
    typer.echo(f"{'price of the rest':>18}: {found.price:,.2f}")
