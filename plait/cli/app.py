"""The `plait` program: puts the commands together and turns errors into messages."""

import importlib
import pkgutil
import sys

import typer

import plait.cli
from plait.errors import PlaitError
from plait.telemetry import console

app = typer.Typer(
    name="plait",
    help="Recommendation and advertising with large models: from raw tables to a served, measured ranker.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def register_commands() -> typer.Typer:
    """Add every command file of this folder: each has a `register(app)` that names its command."""
    for module in sorted(found.name for found in pkgutil.iter_modules(plait.cli.__path__)):
        if module != "app":
            importlib.import_module(f"plait.cli.{module}").register(app)
    return app


def main() -> None:
    """Run the program; errors that a user can act on are printed without a traceback and exit with 1."""
    try:
        register_commands()()
    except PlaitError as error:
        console.print(f"[bold red]error:[/] {error}", markup=True)
        sys.exit(1)
