"""What is known about one creative, or one file, while the steps go over it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from plait.content.workflow.step import Failed, Outcome, Step


@dataclass(frozen=True, slots=True)
class Source:
    """Something a creative brings, and the hash of its content."""

    value: Any
    digest: str

    @classmethod
    def of(cls, value: Any) -> "Source":
        """A source whose content is `value` itself (anything JSON can hold)."""
        return cls(value, digest_of(value))


@dataclass(frozen=True, slots=True)
class Kept:
    """The outcome of a step, and the hash of its content."""

    outcome: Outcome
    digest: str

    @classmethod
    def of(cls, outcome: Outcome) -> "Kept":
        """An outcome as it will be kept."""
        return cls(outcome, digest_of(outcome.reason if isinstance(outcome, Failed) else outcome))


class State(Enum):
    """How a step stands on a sheet."""

    DONE = "there is an outcome"
    READY = "all it reads is there"
    WAITING = "something it reads has no outcome yet"
    CANNOT = "something it needs is missing or has failed"


@dataclass(slots=True)
class Sheet:
    """One creative's sources and the outcomes of the steps so far."""

    sources: Mapping[str, Source | None]
    kept: dict[str, Kept] = field(default_factory=dict)
    cannot: set[str] = field(default_factory=set)
    """Steps that do not apply, or miss what they need."""

    def state(self, step: Step) -> State:
        """How `step` stands; a step that cannot run is remembered as such."""
        if step.name in self.kept:
            return State.DONE
        for name, required in step.needs:
            if name not in self.sources and name not in self.kept and name not in self.cannot:
                return State.WAITING
            if required and self._input(name) is None:
                self.cannot.add(step.name)
                return State.CANNOT
        return State.READY

    def key(self, step: Step) -> str:
        """The name of the answer: a hash of the step's declaration and of the contents of its inputs."""
        found = [self._input(name) for name, _ in step.needs]
        declared = [step.name, step.version, step.model, dict(step.settings)]
        return digest_of([declared, [None if one is None else one.digest for one in found]])

    def values(self, step: Step) -> dict[str, Any]:
        """The step's inputs by name; None for an optional one without an answer."""
        found = {name: self._input(name) for name, _ in step.needs}
        return {name: _value(one) for name, one in found.items()}

    def answer(self, name: str) -> dict[str, Any] | None:
        """The answer of step `name`; None where there is none."""
        kept = self.kept.get(name)
        return None if kept is None or isinstance(kept.outcome, Failed) else kept.outcome

    def failures(self) -> dict[str, Failed]:
        """The steps that failed, by name; those that only missed their answers are not among them."""
        return {name: one.outcome for name, one in self.kept.items() if isinstance(one.outcome, Failed)}

    def _input(self, name: str) -> Source | Kept | None:
        if name in self.sources:
            return self.sources[name]
        kept = self.kept.get(name)
        return None if kept is None or isinstance(kept.outcome, Failed) else kept


def _value(found: Source | Kept | None) -> Any:
    if found is None:
        return None
    return found.value if isinstance(found, Source) else found.outcome


def digest_of(content: Any) -> str:
    """32 hex digits that name anything JSON can hold."""
    return hashlib.blake2b(to_json(content).encode(), digest_size=16).hexdigest()


def to_json(content: Any) -> str:
    """The one way in which content is written: equal content, equal text."""
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
