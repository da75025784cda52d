"""A step of the workflow: what it is called, what it reads, what it answers, and where it runs."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from plait.content.media.opened import OpenedMedia
from plait.errors import ContentError, PassingError, PlaitError

Answer = dict[str, Any]
"""What a step says about one creative: only what JSON holds."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A step has no answer for one creative."""

    reason: str
    """In words, for the creative's owner."""
    passing: bool = False
    """Trying again may help: it is not kept, and tried again in this run and in the next."""


Outcome = Answer | Failed


@dataclass(frozen=True, kw_only=True)
class Step:
    """What every step declares. An answer is kept under the hash of all of this (but `batch`) and of its inputs."""

    name: str
    version: int
    """Raised when the same inputs give other answers."""
    inputs: tuple[str, ...]
    """Names of sources and of steps before it; with a `?` behind, the step also runs where that has no answer."""
    outputs: tuple[str, ...]
    """Keys of its answers."""
    model: str = ""
    """The pretrained model that it asks, with the model's version."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What else its answers depend on."""

    @property
    def needs(self) -> tuple[tuple[str, bool], ...]:
        """(name, required) of every input."""
        return tuple((name.removesuffix("?"), not name.endswith("?")) for name in self.inputs)


@dataclass(frozen=True, kw_only=True)
class FileStep(Step):
    """Looks at a media file, in a worker process; all such steps of one file share one decoding of it."""

    look: Callable[[OpenedMedia, Mapping[str, Any]], Answer]
    """(the opened file, the inputs that are steps, by name) -> answer; raises ContentError where there is none."""


@dataclass(frozen=True, kw_only=True)
class BatchStep(Step):
    """Works on batches of inputs in the main process: rules, and models that batch or run elsewhere."""

    work: Callable[[Sequence[Mapping[str, Any]]], Iterable[tuple[int, Outcome]]]
    """(inputs by name, of each of the batch) -> (place in the batch, outcome), in any order. Each outcome is kept as
    soon as it is handed over, so a killed run has paid for nothing twice; inputs that it says nothing of have failed.
    """
    batch: int = 256
    """How many inputs it gets at a time."""


def one_by_one(
    answer: Callable[[Mapping[str, Any]], Answer],
) -> Callable[[Sequence[Mapping[str, Any]]], Iterator[tuple[int, Outcome]]]:
    """A `work` that asks `answer` for one input after the other; a ContentError is that input's failure."""

    def work(batch: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, Outcome]]:
        for place, inputs in enumerate(batch):
            yield place, attempt(lambda inputs=inputs: answer(inputs))  # type: ignore[misc]

    return work


def attempt(ask: Callable[[], Answer]) -> Outcome:
    """The answer, or why there is none; errors that concern all creatives (a package is missing) get through."""
    try:
        return ask()
    except Exception as error:
        return failure_of(error)


def failure_of(error: Exception) -> Failed:
    """What an error says about one creative. One that nobody foresaw is not held against it in the next run.

    Raises:
        PlaitError: the error is one that concerns all creatives, such as a package that is missing.
    """
    if isinstance(error, PlaitError) and not isinstance(error, ContentError):
        raise error
    if isinstance(error, ContentError):
        return Failed(str(error), passing=isinstance(error, PassingError))
    return Failed(f"{type(error).__name__}: {error}", passing=True)
