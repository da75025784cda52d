"""Writes docs/cli.md from the commands themselves. `make docs` runs it; a test compares."""

from pathlib import Path
from typing import Any

import typer

from plait.cli.app import register_commands

PAGE = Path(__file__).parent / "cli.md"


def reference() -> str:
    """The page: one section per command, with its help and its options."""
    root = typer.main.get_command(register_commands())
    sections = _sections(root, "plait")
    return "# Command line\n\nWritten by `make docs` from the commands' own help.\n\n" + "\n".join(sections)


def _sections(command: Any, path: str) -> list[str]:
    children = getattr(command, "commands", {})
    sections = [] if children else [_section(command, path)]
    for name in sorted(children):
        sections += _sections(children[name], f"{path} {name}")
    return sections


def _section(command: Any, path: str) -> str:
    lines = [f"## {path}", "", (command.help or "").replace("\b\n", "").strip(), ""]
    rows = [_row(parameter) for parameter in command.params if getattr(parameter, "hidden", False) is False]
    if rows:
        lines += ["| argument or option | default | meaning |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _row(parameter: Any) -> str:
    name = " ".join(f"`{option}`" for option in [*parameter.opts, *parameter.secondary_opts])
    if parameter.param_type_name == "argument":
        name = f"`{parameter.name.upper()}`"
    default = parameter.default
    shown = "" if default in (None, (), "", ...) or callable(default) else f"`{default}`"
    text = (getattr(parameter, "help", "") or "").replace("|", "\\|").replace("\n", " ")
    return f"| {name} | {shown} | {text} |"


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
