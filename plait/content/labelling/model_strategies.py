"""Strategies that ask a language model: the whole path at once, level by level, among the nearest, by likelihood."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar, TypeVar

import numpy as np
from pydantic import BaseModel, create_model

from plait.content.labelling.evidence import label_text, likeness
from plait.content.labelling.linear import Floats
from plait.content.labelling.strategy import Described, LabelAnswer, cut
from plait.content.prompts import Prompt
from plait.content.taxonomy import Path3, Taxonomy
from plait.errors import PlaitError
from plait.llm.encode import TextEncoder
from plait.llm.generate import CODES, ChatModel, Tokens

_NEAREST = 12
_Input = TypeVar("_Input")
_Output = TypeVar("_Output")


@dataclass(frozen=True)
class ModelStrategy:
    """What all of them share: one answer per creative, a backend's failure is that creative's alone."""

    name: ClassVar[str]
    model: ChatModel
    prompt: Prompt
    taxonomy: Taxonomy
    threshold: float = 0.5
    """Less sure levels are unknown."""
    concurrency: int = 1
    """Creatives that are asked about at once; an endpoint answers several, a model in this process one."""
    examples: tuple[tuple[str, Path3], ...] = ()
    """Texts with the label that a person gave them, shown to the model wherever that label may be answered."""

    def label(self, creatives: Sequence[Described]) -> list[LabelAnswer]:
        """See `Strategy`."""
        return self._each(lambda creative: _guarded(lambda: self.answer(creative)), creatives)

    def _each(self, answer: Callable[[_Input], _Output], inputs: Sequence[_Input]) -> list[_Output]:
        with ThreadPoolExecutor(self.concurrency) as pool:
            return list(pool.map(answer, inputs))

    def answer(self, creative: Described) -> LabelAnswer:
        """The answer for one creative."""
        raise NotImplementedError

    def _names(self, options: Sequence[Path3]) -> list[str]:
        named = {leaf.path: leaf.names(self.prompt.language) for leaf in self.taxonomy.leaves}
        return [" > ".join(named.get(option, option)) for option in options]

    def _shown(self, options: Sequence[Path3]) -> list[tuple[str, int]]:
        """The examples that lie under one of the options, each with the option's place."""
        places = {option: place for place, option in enumerate(options)}
        found = [
            (text, next((places[path[:end]] for end in range(len(path), 0, -1) if path[:end] in places), None))
            for text, path in self.examples
        ]
        return [(text, place) for text, place in found if place is not None]

    def _said(self, best: Path3, confidence: Sequence[float], tokens: Tokens) -> LabelAnswer:
        path = cut(best, confidence, self.threshold)
        return LabelAnswer(path, tuple(confidence), best, tokens.total, seconds=tokens.seconds)


class OneShot(ModelStrategy):
    """(a) The whole path at once, decoded under a schema that holds every path.

    A decoded answer has no probability: its confidence is 1.
    """

    name = "one-shot"

    def answer(self, creative: Described) -> LabelAnswer:
        """See `ModelStrategy.answer`."""
        paths = [leaf.path for leaf in self.taxonomy.leaves]
        names = self._names(paths)
        messages = self.prompt.messages(names, creative.text, "json", self._shown(paths))
        found = self.model.generate(messages, answer_kind(tuple(names)))
        if found.value is None:
            return LabelAnswer((), (), (), found.tokens.total, found.failure, found.tokens.seconds)
        path = paths[names.index(str(found.value.label))]  # type: ignore[attr-defined]
        return self._said(path, [1.0] * len(path), found.tokens)


class _Weighing(ModelStrategy):
    """Weighs options by the likelihood of their letters."""

    def _shares(self, options: Sequence[Path3], names: Sequence[str], text: str) -> tuple[Floats, Tokens]:
        """Probabilities of any number of options: by heats of at most 26, whose winners meet."""
        if len(options) == 1:
            return np.ones(1, np.float32), Tokens()
        heats = [range(start, min(start + len(CODES), len(options))) for start in range(0, len(options), len(CODES))]
        total, tokens, shares = np.zeros(len(options), np.float32), Tokens(), []
        for heat in heats:
            shown = self._shown(options[heat.start : heat.stop])
            found = self.model.choose(
                self.prompt.messages(names[heat.start : heat.stop], text, "letter", shown), len(heat)
            )
            if found.failure:
                raise PlaitError(found.failure)
            tokens += found.tokens
            shares.append(np.array(found.probability_K, np.float32))
        if len(heats) == 1:
            return shares[0], tokens
        winners = [heat[int(share.argmax())] for heat, share in zip(heats, shares, strict=True)]
        final, took = self._shares([options[one] for one in winners], [names[one] for one in winners], text)
        for heat, share, weight in zip(heats, shares, final, strict=True):
            total[heat.start : heat.stop] = share * weight
        return total, tokens + took


@dataclass(frozen=True, slots=True)
class _Walk:
    """How far down the tree a creative is."""

    creative: Described
    path: Path3 = ()
    confidence: tuple[float, ...] = ()
    tokens: Tokens = field(default_factory=Tokens)
    failure: str = ""


class ByLevel(_Weighing):
    """(b) One level after the other, the options limited to the children of the level above, each by likelihood."""

    name = "by-level"

    def label(self, creatives: Sequence[Described]) -> list[LabelAnswer]:
        """See `Strategy`. All go down together, those at one node after another: they share its prompt's beginning."""
        walks = [_Walk(creative) for creative in creatives]
        while on := [place for place, walk in enumerate(walks) if self._goes_on(walk)]:
            on.sort(key=lambda place: walks[place].path)
            for place, walk in zip(on, self._each(self._down, [walks[place] for place in on]), strict=True):
                walks[place] = walk
        return [
            LabelAnswer((), (), (), walk.tokens.total, walk.failure, walk.tokens.seconds)
            if walk.failure
            else self._said(walk.path, walk.confidence, walk.tokens)
            for walk in walks
        ]

    def _goes_on(self, walk: _Walk) -> bool:
        return not walk.failure and bool(self.taxonomy.children(walk.path))

    def _down(self, walk: _Walk) -> _Walk:
        """One level further."""
        names = self.taxonomy.names_below(walk.path, self.prompt.language)
        options = [(*walk.path, child) for child in self.taxonomy.children(walk.path)]
        try:
            shares, took = self._shares(options, names, walk.creative.text)
        except PlaitError as error:
            return replace(walk, failure=str(error))
        chosen = int(np.argmax(shares))
        sure = (walk.confidence[-1] if walk.confidence else 1.0) * float(shares[chosen])
        return replace(walk, path=options[chosen], confidence=(*walk.confidence, sure), tokens=walk.tokens + took)


class ByLikelihood(_Weighing):
    """(d) Every leaf scored at once by the likelihood of its letter, under a prompt whose state is kept."""

    name = "likelihood"

    def answer(self, creative: Described) -> LabelAnswer:
        """See `ModelStrategy.answer`."""
        return self._among(creative, [leaf.path for leaf in self.taxonomy.leaves])

    def _among(self, creative: Described, paths: Sequence[Path3]) -> LabelAnswer:
        shares, tokens = self._shares(paths, self._names(paths), creative.text)
        best = paths[int(np.argmax(shares))]
        confidence = [
            float(sum(share for path, share in zip(paths, shares, strict=True) if path[:level] == best[:level]))
            for level in range(1, len(best) + 1)
        ]
        return self._said(best, confidence, tokens)


@dataclass(frozen=True)
class Retrieved(ByLikelihood):
    """(c) The nearest labels by an encoder, then the likelihood of each of these few."""

    encoder: TextEncoder | None = None
    nearest: int = _NEAREST
    name = "retrieve"

    def label(self, creatives: Sequence[Described]) -> list[LabelAnswer]:
        """See `Strategy`."""
        if self.encoder is None:
            raise PlaitError("strategy retrieve: found no encoder; give one")
        leaves = self.taxonomy.leaves
        label_CD = self.encoder.encode([label_text(leaf, self.prompt.language) for leaf in leaves])
        like_NC = likeness(self.encoder.encode([creative.text for creative in creatives]), label_CD)
        near_NK = np.sort(np.argsort(-like_NC, axis=1)[:, : self.nearest], axis=1)
        options = [[leaves[place].path for place in near] for near in near_NK]
        asked = list(zip(creatives, options, strict=True))
        return self._each(lambda one: _guarded(lambda: self._among(*one)), asked)


def spread_examples(said: Sequence[tuple[str, Path3]], most: int) -> tuple[tuple[str, Path3], ...]:
    """At most so many examples, spread over their labels: the first of every label, then the second of every one."""
    counts: dict[Path3, int] = {}
    ranked = []
    for place, (_, path) in enumerate(said):
        ranked.append((counts.setdefault(path, 0), place))
        counts[path] += 1
    return tuple(said[place] for _, place in sorted(ranked)[:most])


def _guarded(answer: Callable[[], LabelAnswer]) -> LabelAnswer:
    try:
        return answer()
    except PlaitError as error:
        return LabelAnswer((), (), (), failure=str(error))


def answer_kind(names: tuple[str, ...]) -> type[BaseModel]:
    """A model with the one field `label`, which is one of the names."""
    members: Any = StrEnum("LabelName", {f"L{place}": name for place, name in enumerate(names)})  # type: ignore[misc]
    return create_model("Answer", label=(members, ...))
