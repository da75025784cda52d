"""Aliases of one model's versions, kept as the list of everything that ever happened to them."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from plait.data.artifacts import write_atomically
from plait.errors import ArtifactError

_FILE = "aliases.json"
_LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class AliasEvent:
    """An alias was set to a version, or rolled back to one."""

    alias: str
    version: int
    how: Literal["set", "roll_back"]
    time: str
    """ISO 8601, UTC."""


def read_events(folder: Path) -> list[AliasEvent]:
    """Everything that happened to the aliases of the model in `folder`, oldest first.

    Raises:
        ArtifactError: the file is damaged.
    """
    path = folder / _FILE
    if not path.exists():
        return []
    try:
        return [AliasEvent(**event) for event in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError) as error:
        raise ArtifactError(f"{path}: is damaged ({error}); delete it and set the aliases again") from error


def write_events(folder: Path, events: list[AliasEvent]) -> None:
    """Replace the list in one rename."""
    text = json.dumps([asdict(event) for event in events], indent=1, ensure_ascii=False)
    write_atomically(folder / _FILE, text + "\n")


def stack(events: list[AliasEvent], alias: str) -> list[int]:
    """The versions that `alias` has stood for and can be rolled back through; the last is the present one."""
    versions: list[int] = []
    for event in events:
        if event.alias == alias and event.how == "set":
            versions.append(event.version)
        elif event.alias == alias:
            versions.pop()
    return versions


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the model's lock: between processes, one reads and writes its aliases at a time."""
    with (folder / _LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
