"""What an importer is: a name, the files it reads, its options, and a function from a source to a workspace."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from plait.config import Settings, Workspace
from plait.data.importers.source import Source
from plait.data.importers.writing import WorkspaceWriter


class NoOptions(Settings):
    """For importers that leave nothing to choose."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What goes into the workspace file: settings, and what to say beside them."""

    workspace: Workspace
    header: str
    """Said at the top of the file."""
    comments: Mapping[str, str] = field(default_factory=dict)
    """Said beside a key: `{"tables.users.columns.age": "seven ranges"}`."""


@dataclass(frozen=True, slots=True)
class Importer:
    """Reads one public layout."""

    name: str
    summary: str
    """One sentence for `plait data list`."""
    files: tuple[str, ...]
    """The files that it reads, optional ones in brackets."""
    run: Callable[[Source, WorkspaceWriter, Any], Draft]
    """Reads the source, writes the tables, and gives the workspace file."""
    options: type[Settings] = NoOptions
    """What can be chosen with `--option key=value`."""
