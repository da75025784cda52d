"""One interface for all ways to label creatives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from plait.content.taxonomy import Path3

Likely = tuple[tuple[Path3, float], ...]
"""Leaves with their probability."""
UNKNOWN: Path3 = ()
"""The answer where nothing is sure enough."""


@dataclass(frozen=True, slots=True)
class LabelAnswer:
    """What a strategy says of one creative."""

    path: Path3
    """A path of the taxonomy, possibly cut where the levels below are not sure enough; empty for unknown."""
    confidence: tuple[float, ...]
    """Probability that the path is right up to each level; one for each level of the whole best path."""
    best: Path3
    """The whole path that was likeliest, however unsure; what the review queue proposes."""
    tokens: int = 0
    """Tokens of language models that it took, prompt and answer."""
    failure: str = ""
    """Why there is no answer."""
    seconds: float = 0.0
    """That language models took."""
    likely: Likely = ()
    """The likeliest leaves, where they were asked for."""

    @property
    def is_sure(self) -> bool:
        """Whether the whole best path is sure enough."""
        return self.path == self.best


@dataclass(frozen=True, slots=True)
class Described:
    """A creative as a strategy that reads sees it. Text is data: it never becomes part of an instruction."""

    creative_id: str
    text: str
    likely: Likely = ()
    """What was found of it before, for strategies that choose among it."""


class Strategy(Protocol):
    """A way to label creatives."""

    @property
    def name(self) -> str:
        """What people call it."""

    def label(self, creatives: Sequence[Described]) -> list[LabelAnswer]:
        """An answer for each creative, in order; a failure is an answer too."""


def cut(best: Path3, confidence: Sequence[float], threshold: float) -> Path3:
    """The path down to the last level that is sure enough, with all above it; empty for unknown."""
    sure = next((level for level, one in enumerate(confidence) if one < threshold), len(best))
    return best[:sure]
