"""`plait understand ask`: a language model's labels against a person's, on a sample of the test rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plait.config.embedding import EncoderSettings
from plait.content.labelling.model_strategies import STRATEGIES, ModelStrategy, Retrieved
from plait.content.labelling.sight import READ
from plait.content.labelling.strategy import Described, LabelAnswer
from plait.content.prompts import load_prompt
from plait.data.artifacts import ArtifactStore
from plait.llm.answer_cache import AnswerCache
from plait.llm.encoders import open_encoder
from plait.llm.generate import ChatModel
from plait.llm.llama_cpp import open_gguf
from plait.llm.openai_endpoint import EndpointSettings, open_endpoint
from plait.pipelines.labelled_creatives import DataName, LabelledCreatives, read_labelled
from plait.seeding import generator

StrategyName = Literal["one-shot", "by-level", "retrieve", "likelihood"]
_CONTEXT, _SLOTS = 4096, 8


@dataclass(frozen=True, slots=True)
class AskOptions:
    """What is asked."""

    data: DataName
    data_folder: Path
    strategy: StrategyName
    model: str
    """A GGUF file, or the model's name at the endpoint."""
    url: str | None = None
    """An OpenAI-compatible endpoint; None for the GGUF file in this process."""
    rows: int = 50
    """Test rows, drawn at random."""
    seed: int = 0
    cache: Path = Path(".plait/understand")


@dataclass(frozen=True, slots=True)
class AskedLabels:
    """What came out."""

    rows: int
    accuracy: tuple[float, ...]
    """Share of all rows whose path is right down to each level; a failure is wrong."""
    failures: int
    tokens_per_creative: float
    creatives_per_s: float
    """By the time that the model took, when it was asked for the first time."""


def ask_labels(options: AskOptions) -> AskedLabels:
    """Label a sample of the test rows without examples, and compare.

    Raises:
        DataError: the data is not there.
        ConfigError: the model is not there.
    """
    data = read_labelled(options.data, options.data_folder, ArtifactStore(options.cache))
    with AnswerCache(options.cache / "answers.sqlite") as cache:
        model = open_asked(options.model, options.url, cache)
        rows, creatives = drawn(data, options.rows, options.seed)
        return compare(data, rows, asked_strategy(options.strategy, data, model).label(creatives))


def drawn(data: LabelledCreatives, count: int, seed: int) -> tuple[list[int], list[Described]]:
    """`count` rows of the test at random, and the beginnings of their texts."""
    rows = generator(seed, "asked").permutation(data.test_M)[:count].tolist()
    return rows, [Described(str(row), data.texts[row][:READ]) for row in rows]


def compare(data: LabelledCreatives, rows: Sequence[int], answers: Sequence[LabelAnswer]) -> AskedLabels:
    """Answers against a person's labels."""
    right = right_of(data, rows, answers).mean(axis=0).tolist()
    tokens = sum(answer.tokens for answer in answers) / len(answers)
    failures = sum(bool(answer.failure) for answer in answers)
    seconds = sum(answer.seconds for answer in answers)
    return AskedLabels(len(rows), tuple(right), failures, tokens, len(rows) / max(seconds, 1e-9))


def right_of(data: LabelledCreatives, rows: Sequence[int], answers: Sequence[LabelAnswer]) -> NDArray[np.float64]:
    """1 where an answer's whole path is right down to a level, else 0 [N, levels]."""
    truth = [data.taxonomy.leaves[data.label_N[row]].path for row in rows]
    levels = range(1, data.taxonomy.depth + 1)
    said = zip(answers, truth, strict=True)
    return np.array([[answer.best[:level] == path[:level] for level in levels] for answer, path in said], np.float64)


def open_asked(model: str, url: str | None, cache: AnswerCache) -> ChatModel:
    """The model of a GGUF file, or behind an endpoint."""
    if url is None:
        return open_gguf(Path(model).expanduser(), cache, context=_CONTEXT, slots=_SLOTS)
    return open_endpoint(EndpointSettings(url=url, model=model), cache)


def asked_strategy(name: StrategyName, data: LabelledCreatives, model: ChatModel) -> ModelStrategy:
    """A strategy that asks the model."""
    kind = STRATEGIES[name]
    asked = kind(model, load_prompt(kind.asks, data.language), data.taxonomy)
    if isinstance(asked, Retrieved):
        encoder = open_encoder(EncoderSettings(kind="minilm" if data.language == "en" else "use"))
        return replace(asked, encoder=encoder)
    return asked
