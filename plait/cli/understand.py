"""`plait understand`: what is in the creatives."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from plait.pipelines.understand import Understood

understand = typer.Typer(help="Creatives into fields and labels, by a workflow of pretrained models.")


def register(app: typer.Typer) -> None:
    """Add `plait understand` with its commands."""
    app.add_typer(understand, name="understand")


@understand.callback(invoke_without_command=True)
def understand_all(
    context: typer.Context,
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="Folder with plait.toml.")] = Path(),
    limit: Annotated[int | None, typer.Option(help="Only the first creatives of the table.", min=1)] = None,
) -> None:
    """Look at every creative: shape, colour, light, sharpness, people, text, what is shown, what the copy does, label.

    Answers are kept per step and content under .plait/content/: a second run, or one after a kill, works out only what
    is missing. A creative that cannot be read keeps its row, with the reason. Settings stand under [content] in
    plait.toml.

    Example: plait understand -w market

    Example: plait understand -w market --limit 100

    Before a large run with a language model: plait understand estimate -w market
    """
    if context.invoked_subcommand is not None:
        return
    from plait.pipelines.project import open_project
    from plait.pipelines.understand import understand_creatives

    _print(understand_creatives(open_project(workspace), limit))


@understand.command("schema")
def schema() -> None:
    """Print the JSON schema of a creative's profile: the fifteen fields, the label, their values.

    Example: plait understand schema > creative_profile.schema.json
    """
    import json

    from plait.schema import CreativeProfile

    typer.echo(json.dumps(CreativeProfile.model_json_schema(), indent=1, ensure_ascii=False))


def _print(understood: "Understood") -> None:
    from rich.console import Console
    from rich.markup import escape

    out = Console(highlight=False)
    summary = understood.summary
    out.print(_fields(understood))
    if understood.tallies:
        out.print(_steps(understood))
    else:
        out.print("Nothing has changed since these profiles were made.")
    if summary.failures:
        out.print("[bold]Without an answer[/]")
        for reason, (count, first) in sorted(summary.failures.items(), key=lambda one: -one[1][0])[:20]:
            out.print(f"  {count:,} x {escape(reason)} [dim](first: creative {escape(str(first))})[/]")
        if summary.passing:
            out.print(f"  {summary.passing:,} of these may pass: run it again.")
    if understood.paid.calls:
        paid = understood.paid
        out.print(
            f"Language model: {paid.calls:,} calls, {paid.prompt:,} prompt and {paid.answer:,} answer tokens, "
            f"price {understood.price:,.2f}"
        )
    if summary.review:
        out.print(f"{summary.review:,} labels wait for a person: plait understand review")
    out.print(f"[green]Profiles:[/] {escape(str(understood.folder))}", soft_wrap=True)


def _fields(understood: "Understood") -> "Table":
    from rich.table import Table

    summary = understood.summary
    table = Table("field", box=None, title=f"{summary.creatives:,} creatives", title_justify="left", title_style="bold")
    table.add_column("filled", justify="right")
    table.add_column("share", justify="right")
    for name, count in summary.filled.items():
        table.add_row(name, f"{count:,}", f"{count / max(1, summary.creatives):.1%}")
    return table


def _steps(understood: "Understood") -> "Table":
    from rich.table import Table

    table = Table("step", box=None)
    for heading in ("kept", "made", "failed", "seconds", "ms each"):
        table.add_column(heading, justify="right")
    for name, tally in understood.tallies.items():
        each = f"{1000 * tally.seconds / tally.made:.1f}" if tally.made else ""
        table.add_row(name, f"{tally.kept:,}", f"{tally.made:,}", f"{tally.failed:,}", f"{tally.seconds:.1f}", each)
    return table
