"""Options weighed by a language model: the likelihood of their letters, without what it would say of no text at all."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from plait.content.prompts import Prompt
from plait.llm.generate import ChatModel, Chosen, Message, Tokens

_LEAST = 1e-6
"""Probability of an option without a text, at least."""
_LISTS = 4_096
"""Lists of options that are remembered; what is forgotten is asked again, or known to the model's cache."""


class Weigher:
    """Weighs options for one creative after another.

    Small models prefer a letter, a place or a name whatever they read. How likely they find each option for an empty
    text says how much, and is divided out (Zhao et al. 2021, "Calibrate Before Use", section 4). That is asked once for
    each list of options.

    Args:
        model: is asked.
        prompt: with which.
    """

    def __init__(self, model: ChatModel, prompt: Prompt) -> None:
        self._model, self._prompt = model, prompt
        self._empty: OrderedDict[tuple[str, ...], Future[Chosen]] = OrderedDict()
        self._lock = threading.Lock()

    def weigh(
        self,
        options: Sequence[str],
        text: str,
        shown: Sequence[tuple[str, int]] = (),
        picture: Mapping[str, Any] | None = None,
    ) -> Chosen:
        """Probabilities of the options, or why there are none.

        Args:
            options: their names, at most as many as there are letters.
            text: of the creative.
            shown: see `Prompt.messages`.
            picture: a part of a message, for a model that sees.

        Raises:
            PlaitError: the model does not answer.
        """
        found = self._model.choose(self._messages(options, text, shown, picture), len(options))
        empty, took = self._without_text(options, shown)
        if found.failure:
            return Chosen((), found.tokens + took, found.failure)
        liking_K = empty.probability_K or (1.0,) * len(options)  # a model may have no letter for an empty text
        weights = [one / max(liked, _LEAST) for one, liked in zip(found.probability_K, liking_K, strict=True)]
        total = sum(weights)
        return Chosen(tuple(weight / total for weight in weights), found.tokens + took, kept=found.kept)

    def _messages(
        self,
        options: Sequence[str],
        text: str,
        shown: Sequence[tuple[str, int]],
        picture: Mapping[str, Any] | None = None,
    ) -> list[Message]:
        messages = self._prompt.messages(options, text, "letter", shown)
        if picture is None:
            return messages
        said = {"type": "text", "text": messages[-1]["content"]}
        return [*messages[:-1], {"role": "user", "content": [said, picture]}]

    def _without_text(self, options: Sequence[str], shown: Sequence[tuple[str, int]]) -> tuple[Chosen, Tokens]:
        """What the model says of an empty text, and the tokens that this took now."""
        key = (*options, *(f"{place} {example}" for example, place in shown))
        with self._lock:  # or two threads would pay for the same answer; other lists need not wait for it
            known = self._empty.get(key)
            mine = self._empty.setdefault(key, Future())
            if len(self._empty) > _LISTS:
                self._empty.popitem(last=False)
        if known is not None:
            return known.result(), Tokens()
        try:
            found = self._model.choose(self._messages(options, "", shown), len(options))
        except BaseException as error:
            with self._lock:
                self._empty.pop(key, None)  # the next creative tries again
            mine.set_exception(error)
            raise
        mine.set_result(found)
        return found, found.tokens
