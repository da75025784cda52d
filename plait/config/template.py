"""The workspace file as text: every section explained, settings left at their default shown as comments."""

import datetime
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
    "models": "Models of this workspace: a recipe and what differs from it.",
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
    "models": ("# [models.ranker]", '# recipe = "dnn"  # a shipped recipe by name, or a path relative to this file'),
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
    parts = {key: getattr(workspace, key) for key in type(workspace).model_fields}
    sections = [key for key, part in parts.items() if isinstance(part, (Mapping, list, BaseModel))]
    page.settings(workspace, [key for key in parts if key not in sections], "")
    for key in sections:
        page.title(key, workspace)
        page.section(key, parts[key])
    return "\n".join(page.lines).rstrip("\n") + "\n"


def toml_value(value: Any) -> str:
    """`value` (text, number, bool, list or dict of them) as TOML."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{toml_key(key)} = {toml_value(entry)}" for key, entry in value.items()) + " }"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, datetime.date):
        return value.isoformat()
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

    def title(self, section: str, workspace: Workspace) -> None:
        self.lines.append(f"# ---- {section} " + "-" * (60 - len(section)))
        purpose = _SECTIONS.get(section) or type(getattr(workspace, section)).__doc__
        self.say(purpose or section)
        self._note(section)
        self.blank()

    def section(self, name: str, part: Any) -> None:
        """One top-level table of the file: settings, a list of named entries, or entries by name."""
        if isinstance(part, BaseModel):
            self.lines.append(f"[{name}]")
            self.settings(part, list(type(part).model_fields), f"{name}.")
        elif isinstance(part, list):
            self.entries(name, part)
        elif name == "tables":
            for table, settings in part.items():
                self.table(f"tables.{table}", settings)
        else:
            self.mapping(name, part)

    def settings(self, model: BaseModel, keys: Sequence[str], prefix: str) -> None:
        """Every setting of `model` under its explanation; those at their default as comments."""
        values = model.model_dump()
        for key in keys:
            info = type(model).model_fields[key]
            self.say(info.description or _PLAIN[key])
            self._note(prefix + key)
            at_default = not info.is_required() and getattr(model, key) == info.get_default()
            line = f"{key} = {'...' if values[key] is None else toml_value(values[key])}"
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
            values = {"name": entry.name, **entry.model_dump(exclude_defaults=True)}
            self.lines += [self._line(f"{path}.{key}", key, value) for key, value in values.items()]
            self.blank()

    def mapping(self, section: str, entries: Mapping[str, BaseModel]) -> None:
        for name, entry in entries.items():
            path = f"{section}.{name}"
            self._note(path)
            self.lines.append(f"[{section}.{toml_key(name)}]")
            values = entry.model_dump(exclude_defaults=True)
            self.lines += [self._line(f"{path}.{key}", key, value) for key, value in values.items()]
            self.blank()
        if not entries:
            self.lines += [*_EXAMPLES.get(section, ()), ""]

    def _line(self, path: str, key: str, value: Any) -> str:
        note = self._comments.get(path)
        return f"{toml_key(key)} = {toml_value(value)}" + (f"  # {' '.join(note.split())}" if note else "")

    def _note(self, path: str) -> None:
        if path in self._comments:
            self.say(self._comments[path])
