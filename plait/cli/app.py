"""The `plait` program: puts the commands together and turns errors into messages."""

import importlib
import os
import pkgutil
import sys
from typing import Annotated

import typer
from rich.markup import escape

import plait.cli
from plait.errors import PlaitError
from plait.telemetry import console

app = typer.Typer(name="plait", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"plait {plait.__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True)] = False,
) -> None:
    """From raw tables (users, items, creatives, exposures, behaviours) to a served, measured ranker.

    A first round, on a simulated app market:

    \b
      plait simulate market --size tiny    raw tables and a plait.toml
      plait check -w market                are the data sound? clean tables, quarantine
      plait samples -w market              labels, maturity, point-in-time histories
      plait train dnn -w market            a ranker, registered
      plait evaluate dnn -w market         AUC, calibration, intervals
      plait serve -w market                answers within 50 ms
    """  # noqa: D301 (the backspace tells the help page to keep these lines as they are)


def register_commands() -> typer.Typer:
    """Add every command file of this folder: each has a `register(app)` that names its command."""
    for module in sorted(found.name for found in pkgutil.iter_modules(plait.cli.__path__)):
        if module != "app":
            importlib.import_module(f"plait.cli.{module}").register(app)
    return app


def main() -> None:
    """Run the program; errors that a user can act on are printed without a traceback and exit with 1."""
    # PyTorch's threads would spin for work between two operations, on cores that the compiled kernels then lack.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        register_commands()()
    except PlaitError as error:
        console.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
