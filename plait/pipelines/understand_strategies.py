"""The strategies of labelling side by side: what a language model and the light classifier say of equal creatives."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plait.content.labelling.classifier import settings_for, teach
from plait.content.labelling.hierarchy import decide
from plait.content.labelling.strategy import LabelAnswer
from plait.data.artifacts import ArtifactStore
from plait.errors import ConfigError
from plait.llm.answer_cache import AnswerCache
from plait.llm.generate import ChatModel
from plait.pipelines.labelled_creatives import DataName, LabelledCreatives, read_labelled
from plait.pipelines.results import Metric, share_metric, write_result
from plait.pipelines.understand_ask import (
    AskedLabels,
    StrategyName,
    asked_strategy,
    compare,
    drawn,
    open_asked,
)
from plait.pipelines.understand_evaluate import sight_of
from plait.telemetry import console

ASKED: tuple[StrategyName, ...] = ("one-shot", "by-level", "retrieve", "likelihood")
DATA: tuple[DataName, ...] = ("fashion", "kuairec", "iflytek")
UNSURE = 0.5
"""The light classifier's answers that are less sure at the leaf go to the language model."""


@dataclass(frozen=True, slots=True)
class StrategyOptions:
    """What is measured."""

    model: str
    """A GGUF file, or the model's name at the endpoint."""
    data_folder: Path
    data: tuple[DataName, ...] = DATA
    rows: int = 60
    """Test rows of each data set, drawn at random."""
    url: str | None = None
    seed: int = 0
    cache: Path = Path(".plait/understand")
    write: bool = True


def chosen_data(names: Sequence[str]) -> tuple[DataName, ...]:
    """The data sets that have these names; all of them without names.

    Raises:
        ConfigError: there is no such data set.
    """
    if unknown := sorted(set(names) - set(DATA)):
        raise ConfigError(f"data {unknown[0]}: found no such data set, expected some of {', '.join(DATA)}")
    return tuple(name for name in DATA if name in names or not names)


def measure_strategies(options: StrategyOptions) -> tuple[dict[str, Metric], Path | None]:
    """The metrics of every strategy on every data set, and where they were written.

    Answers of the language model are kept: a run that was broken off goes on where it was.

    Raises:
        DataError: the data is not there.
        ConfigError: the model is not there.
    """
    metrics: dict[str, Metric] = {}
    words = []
    with AnswerCache(options.cache / "answers.sqlite") as cache:
        model = open_asked(options.model, options.url, cache)
        for name in options.data:
            data = read_labelled(name, options.data_folder, ArtifactStore(options.cache))
            words.append(data.words)
            for strategy, found in _measured(options, data, model):
                key = f"{name}.{strategy}"
                console.print(f"{key}: {found}")
                metrics |= _metrics(key, found)
    return metrics, _write(options, metrics, words) if options.write else None


def _measured(options: StrategyOptions, data: LabelledCreatives, model: ChatModel) -> Iterator[tuple[str, AskedLabels]]:
    rows, creatives = drawn(data, options.rows, options.seed)
    light = _light(options, data, rows)
    yield "light", compare(data, rows, light)
    for strategy in ASKED:
        answers = asked_strategy(strategy, data, model).label(creatives)
        yield strategy.replace("-", "_"), compare(data, rows, answers)
        if strategy == "retrieve":
            unsure = [sure.confidence[-1] < UNSURE for sure in light]
            chosen = [said if doubt else sure for doubt, sure, said in zip(unsure, light, answers, strict=True)]
            yield "light_then_retrieve", compare(data, rows, chosen)


def _light(options: StrategyOptions, data: LabelledCreatives, rows: Sequence[int]) -> list[LabelAnswer]:
    """The light classifier's answers without any label, as a language model answers too."""
    seen = sight_of(data, options.cache)
    none = np.zeros(0, np.int64)
    classifier = teach(seen.rows(data.pool_M), seen.rows(none), none, data.taxonomy, settings_for(data.pictured))
    decision = decide(classifier.probabilities(seen.rows(np.array(rows, np.int64))), data.taxonomy)
    nodes = data.taxonomy.nodes(data.taxonomy.depth)
    return [
        LabelAnswer((), tuple(map(float, sure_L)), nodes[leaf])
        for leaf, sure_L in zip(decision.leaf_N, decision.confidence_NL, strict=True)
    ]


def _metrics(key: str, found: AskedLabels) -> dict[str, Metric]:
    metrics = {
        f"{key}.{'acc' if len(found.accuracy) == 1 else f'l{level}'}": share_metric(
            round(share * found.rows), found.rows
        )
        for level, share in enumerate(found.accuracy, start=1)
    }
    metrics[f"{key}.tokens_per_creative"] = Metric(found.tokens_per_creative, unit="tokens")
    metrics[f"{key}.failures"] = Metric(found.failures / found.rows, unit="fraction")
    if found.tokens_per_creative:
        metrics[f"{key}.creatives_per_s"] = Metric(found.creatives_per_s, unit="creatives/s")
    return metrics


def _write(options: StrategyOptions, metrics: dict[str, Metric], words: Sequence[str]) -> Path:
    model = Path(options.model).name
    only = "" if options.data == DATA else "".join(f" --data {name}" for name in options.data)
    return write_result(
        "understand_strategies",
        command=f"plait understand strategies {model} --data-folder DATA --rows {options.rows}{only}",
        data=f"{options.rows} test rows of each of: {'; '.join(words)}",
        seeds=[options.seed],
        metrics=metrics,
        notes=(
            f"No labels are given to anybody. {model} reads texts only (300 characters), the light classifier on "
            "fashion also pictures. one_shot: the path decoded under a schema of all paths; by_level: likelihood of "
            "each child; retrieve: likelihood among the 12 nearest by an encoder; likelihood: of all leaves in heats "
            f"of 26; light_then_retrieve: the light classifier, and retrieve where it is less than {UNSURE:.0%} sure "
            "at the leaf. A failure counts as wrong. Intervals: Wilson, 95 %. Tokens: all of every prompt, also what "
            "was kept of it; speed is the model's alone, one call at a time, on a machine with other work."
        ),
    )
