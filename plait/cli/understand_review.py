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
    most: Annotated[int, typer.Option(help="Creatives to look at, those that teach most first.", min=1)] = 20,
    web: Annotated[bool, typer.Option("--web", help="As a page in the browser, on this machine only.")] = False,
    port: Annotated[int, typer.Option(help="Of the page; 0 takes a free one.", min=0, max=65535)] = 8090,
) -> None:
    """Go through uncertain labels: accept, correct or leave each. Every decision is kept at once.

    In the terminal, answer with Enter to accept, part of another label's name to correct, "-" to leave it, "q" to stop.
    The next `plait understand` takes decisions over as they are and learns from them.

    Example: plait understand review -w market

    Example: plait understand review -w market --web
    """
    from plait.pipelines.creative_labels import review_queue
    from plait.pipelines.project import open_project

    project = open_project(workspace)
    queue = review_queue(project)
    if web:
        _serve(queue, project.root, port)
        return
    _go_through(queue, queue.taxonomy, most)
    typer.echo(f"{len(queue.waiting())} wait; {len(queue.examples())} are decided: `plait understand` learns.")


def _serve(queue: "ReviewQueue", root: Path, port: int) -> None:
    import socket

    import uvicorn

    from plait.console.review_page import ReviewPage

    page = ReviewPage(queue, root)
    with socket.create_server(("127.0.0.1", port)) as place:
        typer.echo(f"http://127.0.0.1:{place.getsockname()[1]}/?token={page.token}   (Ctrl-C ends it)")
        server = uvicorn.Server(uvicorn.Config(page.app(), log_level="warning"))
        server.run(sockets=[place])


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
