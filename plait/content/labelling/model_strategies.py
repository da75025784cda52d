"""Strategies that ask a language model: the whole path at once, level by level, among the nearest, by likelihood."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, create_model

from plait.content.labelling.evidence import label_text, likeness
from plait.content.labelling.linear import Floats, softmax
from plait.content.labelling.strategy import Described, LabelAnswer, Likely, cut
from plait.content.prompts import Prompt
from plait.content.taxonomy import Path3, Taxonomy
from plait.content.weighing import Weigher
from plait.errors import PlaitError
from plait.llm.encode import TextEncoder
from plait.llm.generate import CODES, ChatModel, Tokens

NEAREST = 12
"""Labels that a model chooses among."""
_SHARPNESS = 10.0
"""Of the softmax of likenesses (cosines)."""


@dataclass(frozen=True)
class ModelStrategy:
    """What all of them share: one answer per creative, a backend's failure is that creative's alone."""

    name: ClassVar[str]
    asks: ClassVar[str] = "label"
    """Name of its prompt."""
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
        with ThreadPoolExecutor(self.concurrency) as pool:
            return list(pool.map(self._guarded, creatives))

    def _guarded(self, creative: Described) -> LabelAnswer:
        try:
            return self.answer(creative)
        except PlaitError as error:
            return LabelAnswer((), (), (), failure=str(error))

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
    """Weighs options by the likelihood of their letters.

    The options follow the creative's text: among options that they read before it, small models choose by chance.
    """

    asks = "label_option"

    @cached_property
    def _weigher(self) -> Weigher:
        return Weigher(self.model, self.prompt)

    def _shares(self, options: Sequence[Path3], names: Sequence[str], text: str) -> tuple[Floats, Tokens]:
        """Probabilities of any number of options: by heats of at most 26, whose winners meet."""
        if len(options) == 1:
            return np.ones(1, np.float32), Tokens()
        heats = [range(start, min(start + len(CODES), len(options))) for start in range(0, len(options), len(CODES))]
        total, tokens, shares = np.zeros(len(options), np.float32), Tokens(), []
        for heat in heats:
            shown = self._shown(options[heat.start : heat.stop])
            found = self._weigher.weigh(names[heat.start : heat.stop], text, shown)
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


class ByLevel(_Weighing):
    """(b) One level after the other, the options limited to the children of the level above, each by likelihood."""

    name = "by-level"

    def answer(self, creative: Described) -> LabelAnswer:
        """See `ModelStrategy.answer`."""
        path: Path3 = ()
        confidence: list[float] = []
        tokens = Tokens()
        while children := self.taxonomy.children(path):
            names = self.taxonomy.names_below(path, self.prompt.language)
            shares, took = self._shares([(*path, child) for child in children], names, creative.text)
            chosen = int(np.argmax(shares))
            confidence.append((confidence[-1] if confidence else 1.0) * float(shares[chosen]))
            path, tokens = (*path, children[chosen]), tokens + took
        return self._said(path, confidence, tokens)


class ByLikelihood(_Weighing):
    """(d) Every leaf scored at once by the likelihood of its letter, under a prompt whose state is kept."""

    name = "likelihood"

    def answer(self, creative: Described) -> LabelAnswer:
        """See `ModelStrategy.answer`."""
        paths = [leaf.path for leaf in self.taxonomy.leaves]
        shares, tokens = self._shares(paths, self._names(paths), creative.text)
        return self._of_leaves(paths, shares, tokens)

    def _of_leaves(self, paths: Sequence[Path3], shares: Floats, tokens: Tokens) -> LabelAnswer:
        """The likeliest leaf; a level is as sure as its leaves together."""
        best = paths[int(np.argmax(shares))]
        confidence = [
            float(sum(share for path, share in zip(paths, shares, strict=True) if path[:level] == best[:level]))
            for level in range(1, len(best) + 1)
        ]
        return self._said(best, confidence, tokens)


@dataclass(frozen=True)
class Retrieved(ByLikelihood):
    """(c) The nearest labels by an encoder, or those that the light classifier finds likeliest, then these few weighed.

    What found the few has a say in the choice too: a small model that chooses alone is worse than its encoder. The
    share of a label is proportional to (what found it says) x (the model's likelihood) ^ `power`.
    """

    encoder: TextEncoder | None = None
    nearest: int = NEAREST
    name = "retrieve"
    power: float = 0.75
    """Of the model's likelihoods: less than 1 gives more to what found the few."""

    def label(self, creatives: Sequence[Described]) -> list[LabelAnswer]:
        """See `Strategy`. A creative that has `likely` labels is asked about these."""
        far = [place for place, creative in enumerate(creatives) if not creative.likely]
        found = list(creatives)
        for place, likely in zip(far, self._near([creatives[place].text for place in far]), strict=True):
            found[place] = replace(creatives[place], likely=likely)
        return super().label(found)

    def answer(self, creative: Described) -> LabelAnswer:
        """See `ModelStrategy.answer`."""
        paths = [path for path, _ in creative.likely]
        prior_K = np.array([probability for _, probability in creative.likely], np.float32)
        shares_K, tokens = self._shares(paths, self._names(paths), creative.text)
        shares_K = prior_K * shares_K**self.power
        return self._of_leaves(paths, shares_K / max(float(shares_K.sum()), 1e-9), tokens)

    def _near(self, texts: Sequence[str]) -> list[Likely]:
        """The nearest labels of each text, in the taxonomy's order, with a softmax of their likeness."""
        if not texts:
            return []
        if self.encoder is None:
            raise PlaitError("strategy retrieve: found no encoder; give one")
        leaves = self.taxonomy.leaves
        label_CD = self.encoder.encode([label_text(leaf, self.prompt.language) for leaf in leaves])
        like_NC = likeness(self.encoder.encode(texts), label_CD)
        near_NK = np.sort(np.argsort(-like_NC, axis=1)[:, : self.nearest], axis=1)
        share_NK = softmax(_SHARPNESS * np.take_along_axis(like_NC, near_NK, axis=1))
        return [
            tuple((leaves[place].path, float(share)) for place, share in zip(near, shares, strict=True))
            for near, shares in zip(near_NK, share_NK, strict=True)
        ]


STRATEGIES: dict[str, type[ModelStrategy]] = {kind.name: kind for kind in (OneShot, ByLevel, Retrieved, ByLikelihood)}
"""By what people call them."""


def spread_examples(said: Sequence[tuple[str, Path3]], most: int) -> tuple[tuple[str, Path3], ...]:
    """At most so many examples, spread over their labels: the first of every label, then the second of every one."""
    counts: dict[Path3, int] = {}
    ranked = []
    for place, (_, path) in enumerate(said):
        ranked.append((counts.setdefault(path, 0), place))
        counts[path] += 1
    return tuple(said[place] for _, place in sorted(ranked)[:most])


def answer_kind(names: tuple[str, ...]) -> type[BaseModel]:
    """A model with the one field `label`, which is one of the names."""
    members: Any = StrEnum("LabelName", {f"L{place}": name for place, name in enumerate(names)})  # type: ignore[misc]
    return create_model("Answer", label=(members, ...))
