"""Behaviours that arrived since the model's data ended: raw, in the order of the samples, kept across restarts."""

import bisect
import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from plait.errors import ServingError

Identifier = int | str

EXPOSURE = "exposure"
"""The action of what a user was shown: no behaviour, and in no history."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One event as the behaviours table has it."""

    available_time: int
    """max(time, received time), epoch milliseconds: used by requests strictly after it."""
    time: int
    item_id: Identifier
    action: str
    value: float | None = None
    scenario: str | None = None
    exposure_id: Identifier | None = None
    """The exposure that it belongs to; of an exposure, its own."""
    creative_id: Identifier | None = None
    """Of an exposure."""

    def order(self) -> tuple[Any, ...]:
        """Sorts as the samples do: by arrival, then time, item, action, value and scenario; nulls first."""
        return (
            self.available_time,
            self.time,
            (isinstance(self.item_id, str), self.item_id),
            self.action,
            (self.value is not None, self.value or 0.0),
            self.scenario or "",
        )


@dataclass(slots=True)
class _User:
    behaviours: list[Behaviour] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    version: int = 0


class UserStates:
    """What users did since, by user; appending and reading may happen in any thread.

    It holds raw ids, not codes, so that a model with other vocabularies can take over while it runs.
    """

    def __init__(self, journal: Path | None = None, max_events: int = 2_000_000) -> None:
        """Start from the journal.

        Args:
            journal: JSON-lines file that every accepted event is appended to; None to keep nothing.
            max_events: the most events held; beyond them new ones are refused.
        """
        self._max_events = max_events
        self._lock = threading.Lock()
        self._users: dict[str, _User] = {}
        self._events = 0
        self._journal: IO[str] | None = None
        if journal is not None:
            for user_id, behaviour, key in _read(journal):
                self._insert(user_id, behaviour, key)
            journal.parent.mkdir(parents=True, exist_ok=True)
            self._journal = journal.open("a", encoding="utf-8")
            if self._journal.tell():
                self._journal.write("\n")  # ends a line that a killed server left half written

    @property
    def users(self) -> int:
        return len(self._users)

    @property
    def events(self) -> int:
        return self._events

    def append(self, user_id: Identifier, behaviour: Behaviour, event_id: str | None = None) -> bool:
        """Add one event; False where it was there already.

        Args:
            user_id: any user, known to the model or not.
            behaviour: the event. One that arrived before others that are here already takes its place before them.
            event_id: names the event; by default its content does.

        Raises:
            ServingError: the store is full.
        """
        key = event_id if event_id is not None else _content_key(behaviour)
        with self._lock:
            if self._events >= self._max_events:
                raise ServingError(
                    f"the state holds {self._events} behaviours, its limit: build the samples again from data that "
                    f"includes them, train, and remove the journal"
                )
            if not self._insert(user_id, behaviour, key):
                return False
            if self._journal is not None:
                line = {"user_id": user_id, "key": key, **asdict(behaviour)}
                self._journal.write(json.dumps(line, ensure_ascii=False) + "\n")
            return True

    def read(self, user_id: Identifier) -> tuple[int, tuple[Behaviour, ...]]:
        """The user's events in order, and a number that changes whenever they do (0: there are none)."""
        with self._lock:
            user = self._users.get(str(user_id))
            return (0, ()) if user is None else (user.version, tuple(user.behaviours))

    def version(self, user_id: Identifier) -> int:
        """The number that `read` gives, without the events."""
        user = self._users.get(str(user_id))
        return 0 if user is None else user.version

    def flush(self) -> None:
        """Hand what was appended to the operating system: from then on a killed server loses none of it."""
        with self._lock:
            if self._journal is not None:
                self._journal.flush()

    def close(self) -> None:
        with self._lock:
            if self._journal is not None:
                self._journal.close()
                self._journal = None

    def _insert(self, user_id: Identifier, behaviour: Behaviour, key: str) -> bool:
        user = self._users.setdefault(str(user_id), _User())
        if key in user.keys:
            return False
        user.keys.add(key)
        bisect.insort(user.behaviours, behaviour, key=Behaviour.order)
        user.version += 1
        self._events += 1
        return True


def _content_key(behaviour: Behaviour) -> str:
    parts = [behaviour.time, behaviour.item_id, behaviour.action, behaviour.value, behaviour.scenario]
    if behaviour.exposure_id is not None:
        parts.append(behaviour.exposure_id)
    return "\x1f".join(map(str, parts))


def _read(journal: Path) -> Iterator[tuple[Identifier, Behaviour, str]]:
    if not journal.exists():
        return
    with journal.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                content = json.loads(line)
                user_id, key = content.pop("user_id"), content.pop("key")
                yield user_id, Behaviour(**content), key
            except (ValueError, KeyError, TypeError):
                continue  # an empty line, or one that a killed server left half written
