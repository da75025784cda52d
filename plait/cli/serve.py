"""`plait serve`: answer recommendation requests over HTTP."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `plait serve`."""
    app.command()(serve)


def serve(
    *,
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="The workspace folder.")] = Path(),
    model: Annotated[str | None, typer.Option(help="name@alias or name@version; else as plait.toml says.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; beyond loopback a token is needed.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", min=0, max=65535)] = None,
    candidates: Annotated[int | None, typer.Option(help="Candidates ranked per request.", min=1, max=10_000)] = None,
    request_log: Annotated[bool | None, typer.Option(help="Log every response with the features it used.")] = None,
) -> None:
    """Serve a trained model: retrieve, rank and answer within the deadline, over HTTP.

    Ask it with POST /v1/recommend, tell it what users do with POST /v1/behaviours; GET /openapi.json describes
    everything. SIGHUP or POST /v1/models/reload takes a new model in without failing a request.

    Example: plait serve -w ./demo --model dnn@production --port 8080
    """
    from plait.pipelines.project import open_project
    from plait.pipelines.serve import ServerOptions, run_server

    run_server(open_project(workspace), ServerOptions(host, port, model, candidates, request_log))
