"""The workspace file as text: every section explained, settings left at their default shown as comments."""

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from plait.config.workspace import ObjectiveSettings, ScenarioSettings, TableSettings, Workspace

_WIDTH = 112
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

_SECTIONS: dict[str, str] = {
    "tables": "Where each table lies and what its columns mean. Meanings: id, category, number, text, media, sequence, "
    "time, ignore; columns that are not listed are ignored, and Plait's own columns (ids, time, action ...) need none.",
    "scenarios": "The places where items are shown. kind: recommendation, search, ads or games; app: the app it is in.",
    "objectives": "What should happen after an exposure, in funnel order; their order here is the order of every "
    "model's outputs. action: the behaviour that fulfils it; parent: the objective that must come first; window: how "
    'long after the exposure it still counts ("30m", "24h", "7d"); attribution: exposure_id or last_touch; min_value: '
    "the smallest value that counts; value: what one is worth.",
    "actions": "How behaviours enter a sequence. value_edges cut an action's value into buckets; each bucket is an "
    "action of its own to sequence models.",
    "split": "How samples are divided by time into train, valid and test.",
    "models": "Models of this workspace: a recipe and what differs from it.",
    "serving": "How `plait serve` answers.",
}
_PLAIN = {
    "name": "The workspace's name, as reports show it.",
    "seed": "Every random number is derived from it.",
    "host": "Address to listen on; the default is reached from this machine only.",
    "port": "Port to listen on; 0 takes a free one.",
}
"""For settings whose name was thought to say it all."""
_EXAMPLES = {
    "actions": ("# [actions.rate]", "# value_edges = [2.5, 3.5]"),
    "models": ("# [models.ranker]", '# recipe = "..."  # a shipped recipe by name, or a path relative to this file'),
}


def render_workspace(workspace: Workspace, header: str, comments: Mapping[str, str] | None = None) -> str:
    """The text of a `plait.toml` that loads as `workspace`.

    Args:
        workspace: the settings.
        header: said at the top of the file.
        comments: what to say beside single keys, by dotted path: `{"tables.users.columns.age": "in years"}`; entries of
            lists go by name: `{"objectives.liked": "four stars or five"}`.
    """
    page = _Page(comments or {})
    page.say(header)
    page.blank()
    page.settings(workspace, ("name", "seed", "time_unit", "simulated"), "")
    page.title("tables")
    for name, table in workspace.tables.items():
        page.table(f"tables.{name}", table)
    page.title("scenarios")
    page.entries("scenarios", workspace.scenarios)
    page.title("objectives")
    page.entries("objectives", workspace.objectives)
    for section in ("actions", "models"):
        page.title(section)
        page.mapping(section, getattr(workspace, section))
    for section in ("split", "serving"):
        settings = getattr(workspace, section)
        page.title(section)
        page.lines.append(f"[{section}]")
        page.settings(settings, tuple(type(settings).model_fields), f"{section}.")
    return "\n".join(page.lines).rstrip("\n") + "\n"


def toml_value(value: Any) -> str:
    """`value` (text, number, bool, list or dict of them) as TOML."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{toml_key(key)} = {toml_value(entry)}" for key, entry in value.items()) + " }"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


def toml_key(key: str) -> str:
    """`key` as TOML writes it: bare where it may be, else quoted."""
    return key if _BARE_KEY.fullmatch(key) else toml_value(key)


class _Page:
    """Lines of TOML in the making."""

    def __init__(self, comments: Mapping[str, str]) -> None:
        self.lines: list[str] = []
        self._comments = comments

    def blank(self) -> None:
        self.lines.append("")

    def say(self, text: str) -> None:
        """A comment above what follows, wrapped; an empty line in `text` begins a new paragraph."""
        for paragraph in text.split("\n\n"):
            self.lines += textwrap.wrap(paragraph, _WIDTH, initial_indent="# ", subsequent_indent="# ")

    def title(self, section: str) -> None:
        self.lines.append(f"# ---- {section} " + "-" * (60 - len(section)))
        self.say(_SECTIONS[section])
        self._note(section)
        self.blank()

    def settings(self, model: BaseModel, keys: tuple[str, ...], prefix: str) -> None:
        """Every setting of `model` under its explanation; those at their default as comments."""
        values = model.model_dump(mode="json")
        for key in keys:
            info = type(model).model_fields[key]
            self.say(info.description or _PLAIN[key])
            self._note(prefix + key)
            line = f"{key} = {toml_value(values[key])}"
            at_default = not info.is_required() and getattr(model, key) == info.get_default()
            self.lines.append(f"# {line}" if at_default else line)
            self.blank()

    def table(self, path: str, table: TableSettings) -> None:
        self._note(path)
        self.lines += [f"[{path}]", self._line(f"{path}.path", "path", table.path)]
        if table.rename:
            self.lines += ["", "# Plait's column name = the file's column name.", f"[{path}.rename]"]
            self.lines += [self._line(f"{path}.rename.{ours}", ours, theirs) for ours, theirs in table.rename.items()]
        if table.columns:
            self.lines += ["", f"[{path}.columns]"]
            self.lines += [self._line(f"{path}.columns.{key}", key, str(kind)) for key, kind in table.columns.items()]
        self.blank()

    def entries(self, section: str, entries: Sequence[ScenarioSettings | ObjectiveSettings]) -> None:
        for entry in entries:
            path = f"{section}.{entry.name}"
            self._note(path)
            self.lines.append(f"[[{section}]]")
            values = {"name": entry.name, **entry.model_dump(mode="json", exclude_defaults=True)}
            self.lines += [self._line(f"{path}.{key}", key, value) for key, value in values.items()]
            self.blank()

    def mapping(self, section: str, entries: Mapping[str, BaseModel]) -> None:
        for name, entry in entries.items():
            path = f"{section}.{name}"
            self._note(path)
            self.lines.append(f"[{section}.{toml_key(name)}]")
            values = entry.model_dump(mode="json", exclude_defaults=True)
            self.lines += [self._line(f"{path}.{key}", key, value) for key, value in values.items()]
            self.blank()
        if not entries:
            self.lines += [*_EXAMPLES[section], ""]

    def _line(self, path: str, key: str, value: Any) -> str:
        note = self._comments.get(path)
        return f"{toml_key(key)} = {toml_value(value)}" + (f"  # {' '.join(note.split())}" if note else "")

    def _note(self, path: str) -> None:
        if path in self._comments:
            self.say(self._comments[path])
