"""`plait understand review`: a person decides what was not sure enough."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plait.cli.understand import understand

if TYPE_CHECKING:
    from plait.content.labelling.review_queue import ReviewQueue
    from plait.content.taxonomy import Taxonomy


def register(app: typer.Typer) -> None:
    """The command stands in `plait understand`, which `app` has already or gets later."""


@understand.command("review")
def review(
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="Folder with plait.toml.")] = Path(),
    most: Annotated[int, typer.Option(help="Creatives to look at, least sure first.", min=1)] = 20,
) -> None:
    """Go through uncertain labels in the terminal: accept, correct or leave each. Every decision is kept at once.

    Answer with Enter to accept, part of another label's name to correct, "-" to leave it, "q" to stop. The next
    `plait understand` takes decisions over as they are and learns from them.

    Example: plait understand review -w market
    """
    from plait.pipelines.creative_labels import review_queue
    from plait.pipelines.project import open_project

    queue = review_queue(open_project(workspace))
    _go_through(queue, queue.taxonomy, most)
    typer.echo(f"{len(queue.waiting())} wait; {len(queue.examples())} are decided: `plait understand` learns.")


def _go_through(queue: "ReviewQueue", labels: "Taxonomy", most: int) -> None:
    from rich.console import Console
    from rich.markup import escape

    out = Console(highlight=False)
    for row in queue.waiting()[:most]:
        out.print(f"[bold]{escape(row.creative_id)}[/] {escape(row.text)} [dim]{escape(row.media)}[/]")
        while True:
            said = typer.prompt(f"  {' > '.join(row.proposed)} ({row.confidence[-1]:.0%})", default="")
            if said == "q":
                return
            if said == "-":
                break
            found = [row.proposed] if said == "" else labels.search(said)
            if len(found) == 1:
                queue.decide(row.creative_id, found[0])
                break
            shown = "; ".join(" > ".join(path) for path in found[:8]) or "no label has that in its name"
            out.print(f"  {len(found)} labels: {escape(shown)}")
