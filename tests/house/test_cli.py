"""Every command teaches: its help opens, has an example, and is in the reference."""

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from plait.cli.app import register_commands

ROOT = typer.main.get_command(register_commands())


def leaves(command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    children = getattr(command, "commands", None)
    if not children:
        return [path]
    return [leaf for name, child in children.items() for leaf in leaves(child, (*path, name))]


COMMANDS = leaves(ROOT)


def test_the_first_road_is_there():
    names = {path[0] for path in COMMANDS}
    assert {
        "init",
        "check",
        "data",
        "simulate",
        "samples",
        "train",
        "evaluate",
        "ladder",
        "serve",
        "bench",
        "demo",
        "models",
    } <= names


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_teaches(path: tuple[str, ...]):
    result = CliRunner().invoke(register_commands(), [*path, "--help"])
    assert result.exit_code == 0, result.output
    assert "Example" in result.output, f"plait {' '.join(path)} --help shows no example"


def test_help_needs_nothing_slow():
    """`plait --help` must not pay for PyTorch: it is what people type first."""
    code = (
        "import sys, plait.cli.app as cli; cli.register_commands(); assert not {'torch', 'polars'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_brackets_in_an_error_are_not_markup(tmp_path):
    (tmp_path / "plait.toml").write_text("[/data/x]\nname = 1", encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "plait", "check", "-w", str(tmp_path / "[tables.users]")],
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert "[tables.users]" in run.stderr
    assert "Traceback" not in run.stderr


def test_errors_are_messages_not_tracebacks(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "plait", "check", "-w", str(tmp_path)], check=False, capture_output=True, text=True
    )
    assert run.returncode == 1
    assert "no workspace here" in run.stderr
    assert "Traceback" not in run.stderr
