"""`plait embed`: behaviour and items as text, text as vectors."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

_Workspace = Annotated[Path, typer.Option("--workspace", "-w", help="Folder with plait.toml.")]


def register(app: typer.Typer) -> None:
    """Add `plait embed` and its parts."""
    group = typer.Typer(invoke_without_command=True, help=embed.__doc__)
    group.callback()(embed)
    group.command()(show)
    app.add_typer(group, name="embed")


def embed(context: typer.Context, workspace: _Workspace = Path()) -> None:
    """Encode users' behaviour and items with a frozen model: vectors for rankers, cold start and retrieval.

    `embedding` in plait.toml says which model, language and budgets. Only texts that were never encoded
    are: a killed run goes on where it was, and a later one encodes users with new behaviour.

    Example: plait embed -w ./demo
    """
    if context.invoked_subcommand is not None:
        return
    from plait.pipelines.embed import build_embeddings
    from plait.pipelines.project import open_project

    made = build_embeddings(open_project(workspace))
    typer.echo(
        f"{made.encoder}: {made.snapshots:,} snapshots of users from {made.texts:,} texts, {made.width} wide, in "
        f"{made.users}; items in {made.items}"
    )


def show(
    user: Annotated[str, typer.Argument(help="Id of the user.")],
    workspace: _Workspace = Path(),
    at: Annotated[datetime | None, typer.Option(help="As known at this time (UTC); by default the log's end.")] = None,
) -> None:
    """Print the text that the encoder reads of a user, as it was known at a time.

    Example: plait embed show 1000042 -w ./demo --at 2026-03-01T00:00:00
    """
    from datetime import UTC

    from plait.pipelines.embed import TextDesk
    from plait.pipelines.project import open_project

    moment = None if at is None else int(at.replace(tzinfo=UTC).timestamp() * 1000)
    typer.echo(TextDesk.open(open_project(workspace)).text_of(user, moment))
