"""`plait understand review`: a person decides what was not sure enough."""

from pathlib import Path
from typing import Annotated

import typer

from plait.cli.understand import understand


def register(app: typer.Typer) -> None:
    """The command stands in `plait understand`, which `app` has already or gets later."""


@understand.command("review")
def review(
    queue: Annotated[Path, typer.Argument(help="File of the queue.")],
    taxonomy: Annotated[str, typer.Option(help="The labels: one that comes with Plait, or a file.")] = "app-market",
    most: Annotated[int, typer.Option(help="Creatives to look at, least sure first.", min=1)] = 20,
) -> None:
    """Go through uncertain labels in the terminal: accept, correct or leave each. Every decision is kept at once.

    Answer with Enter to accept, part of another label's name to correct, "-" to leave it, "q" to stop.

    Example: plait understand review .plait/understand/queue.json --taxonomy app-market
    """
    from rich.console import Console
    from rich.markup import escape

    from plait.content.labelling.review_queue import ReviewQueue
    from plait.content.taxonomy import load_taxonomy

    out, labels = Console(highlight=False), load_taxonomy(taxonomy)
    waiting = ReviewQueue(queue, labels)
    for row in waiting.waiting()[:most]:
        out.print(f"[bold]{escape(row.creative_id)}[/] {escape(row.text[:300])}")
        while True:
            said = typer.prompt(f"  {' > '.join(row.proposed)} ({row.confidence[-1]:.0%})", default="")
            if said == "q":
                return
            if said == "-":
                break
            found = [row.proposed] if said == "" else labels.search(said)
            if len(found) == 1:
                waiting.decide(row.creative_id, found[0])
                break
            shown = "; ".join(" > ".join(path) for path in found[:8]) or "no label has that in its name"
            out.print(f"  {len(found)} labels: {escape(shown)}")
    out.print(f"{len(waiting.waiting())} wait; {len(waiting.examples())} are decided.")
