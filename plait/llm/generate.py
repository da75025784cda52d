"""What a language model is asked: messages in, a validated object or the likelihood of each option out.

Every backend speaks the body of OpenAI's chat completions; it supplies `Ask`, and `ChatModel` does the rest: the
schema, one repair, the cache, the account of tokens.
"""

import math
import string
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from plait.errors import PlaitError
from plait.llm.answer_cache import AnswerCache, question_key

Message = Mapping[str, Any]
"""`{"role": ..., "content": ...}`; content is text or a list of OpenAI's parts, images as data URLs."""
CODES = string.ascii_uppercase
"""Letters that stand for options: one token each in every vocabulary."""
_SECONDS = "plait_seconds"
"""Where a kept answer says how long it took."""
_Object = TypeVar("_Object", bound=BaseModel)


class Ask(Protocol):
    """A backend: sends the body of a chat completion and gives the answer's body.

    Raises:
        PlaitError: it does not answer.
    """

    def __call__(self, body: Mapping[str, Any], /) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a call took."""

    prompt: int = 0
    answer: int = 0
    seconds: float = field(default=0.0, compare=False)
    """When it was asked for the first time."""

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.prompt + other.prompt, self.answer + other.answer, self.seconds + other.seconds)

    @property
    def total(self) -> int:
        return self.prompt + self.answer


@dataclass(frozen=True, slots=True)
class Usage:
    """What some calls took, together."""

    calls: int = 0
    prompt: int = 0
    answer: int = 0

    def plus(self, tokens: Tokens) -> "Usage":
        """With one more call."""
        return Usage(self.calls + 1, self.prompt + tokens.prompt, self.answer + tokens.answer)

    def times(self, scale: float) -> "Usage":
        """What so many times as many calls take."""
        return Usage(round(scale * self.calls), round(scale * self.prompt), round(scale * self.answer))

    def price(self, prompt: float, answer: float) -> float:
        """In the currency of the prices, which are those of a million tokens."""
        return (self.prompt * prompt + self.answer * answer) / 1e6


@dataclass(frozen=True, slots=True)
class Generated(Generic[_Object]):
    """An object, or why there is none."""

    value: _Object | None
    tokens: Tokens
    failure: str = ""
    kept: bool = False
    """It came from the cache: nothing was paid."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Probabilities of the options, in their order."""

    probability_K: tuple[float, ...]
    tokens: Tokens
    failure: str = ""
    kept: bool = False


class ChatModel:
    """A language model behind a backend.

    Args:
        name: model and version; answers are kept under it.
        ask: the backend.
        cache: of answers; None to keep none.
    """

    def __init__(self, name: str, ask: Ask, cache: AnswerCache | None = None) -> None:
        self.name = name
        self._ask, self._cache = ask, cache
        self._counting = threading.Lock()
        self.asked = Usage()
        """All questions, those whose answer was kept included."""
        self.paid = Usage()
        """The questions that went to the backend."""

    def generate(
        self, messages: Sequence[Message], kind: type[_Object], *, max_tokens: int = 128
    ) -> Generated[_Object]:
        """An object of `kind`, whose JSON schema constrains the decoding.

        An answer that is none is shown to the model once with what is wrong with it; a second one is a failure. What
        the backend cannot answer raises; what the model answers wrongly does not.
        """
        schema = {"type": "json_schema", "json_schema": {"name": kind.__name__, "schema": kind.model_json_schema()}}
        tokens, problem, kept = Tokens(), "", True
        said: list[Message] = []
        for _ in range(2):
            body = {
                "messages": [*messages, *said],
                "response_format": schema,
                "temperature": 0,
                "max_tokens": max_tokens,
            }
            answer, from_cache = self._answer(body)
            tokens, kept = tokens + _tokens(answer), kept and from_cache
            text = _text(answer)
            try:
                return Generated(kind.model_validate_json(text), tokens, kept=kept)
            except ValidationError as error:
                problem = "; ".join(one["msg"] for one in error.errors()[:3])
                fix = f"That is not valid: {problem}. Answer with JSON that fits the schema."
                said = [{"role": "assistant", "content": text}, {"role": "user", "content": fix}]
        return Generated(None, tokens, f"no valid answer after one repair: {problem}", kept)

    def choose(self, messages: Sequence[Message], options: int) -> Chosen:
        """Probabilities of `options` letters as the answer's first token, without decoding anything.

        Backends tell the likeliest tokens only. A letter that is not among these has what they leave over, and no more
        than the least likely of them.

        Raises:
            ValueError: there are more options than letters.
        """
        if not 1 <= options <= len(CODES):
            raise ValueError(f"found {options} options, expected 1 to {len(CODES)}")
        body = {"messages": list(messages), "temperature": 0, "max_tokens": 1, "logprobs": True, "top_logprobs": 20}
        answer, kept = self._answer(body)
        found = _first_token(answer)
        codes = CODES[:options]
        untold = [code for code in codes if code not in found]
        if sum(found.get(code, 0.0) for code in codes) <= 0:
            return Chosen((), _tokens(answer), "no option is among the likely answers", kept)
        most = min(*found.values(), max(0.0, 1.0 - sum(found.values())) / max(1, len(untold)))
        weights = [found.get(code, most) for code in codes]
        total = sum(weights)
        return Chosen(tuple(weight / total for weight in weights), _tokens(answer), kept=kept)

    def _answer(self, body: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
        key = question_key(self.name, body)
        if self._cache is not None and (known := self._cache.get(key)) is not None:
            self._count(known, kept=True)
            return known, True
        started = time.perf_counter()
        answer = self._ask(body)
        answer = {**answer, _SECONDS: round(time.perf_counter() - started, 4)}
        if self._cache is not None:
            self._cache.put(key, answer)
        self._count(answer, kept=False)
        return answer, False

    def _count(self, answer: Mapping[str, Any], *, kept: bool) -> None:
        with self._counting:
            self.asked = self.asked.plus(_tokens(answer))
            self.paid = self.paid if kept else self.paid.plus(_tokens(answer))


def _text(answer: Mapping[str, Any]) -> str:
    try:
        return str(answer["choices"][0]["message"]["content"])
    except (KeyError, IndexError, TypeError) as error:
        raise PlaitError(f"language model: found {answer!r:.200}, expected a chat completion") from error


def _tokens(answer: Mapping[str, Any]) -> Tokens:
    usage = answer.get("usage") or {}
    prompt, said = (int(usage.get(f"{kind}_tokens", 0)) for kind in ("prompt", "completion"))
    return Tokens(prompt, said, float(answer.get(_SECONDS, 0.0)))


def _first_token(answer: Mapping[str, Any]) -> dict[str, float]:
    """Probability of every likely first token, white space around it dropped."""
    try:
        likely = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    except (KeyError, IndexError, TypeError) as error:
        raise PlaitError("language model: found no log-probabilities; the backend must support `logprobs`") from error
    found: dict[str, float] = {}
    for one in likely:
        token = str(one["token"]).strip()
        found[token] = found.get(token, 0.0) + math.exp(one["logprob"])
    return found
