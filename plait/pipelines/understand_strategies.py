"""The strategies of labelling side by side: what a language model and the light classifier say of equal creatives."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plait.content.labelling.classifier import Seen, settings_for, teach
from plait.content.labelling.coverage import draw_examples
from plait.content.labelling.label_model import answers_of
from plait.content.labelling.model_strategies import NEAREST, ModelStrategy
from plait.content.labelling.strategy import Described, LabelAnswer
from plait.data.artifacts import ArtifactStore
from plait.errors import ConfigError
from plait.llm.answer_cache import AnswerCache
from plait.llm.generate import ChatModel
from plait.pipelines.label_scores import level_key
from plait.pipelines.labelled_creatives import DataName, LabelledCreatives, read_labelled
from plait.pipelines.results import Metric, share_metric, write_result
from plait.pipelines.understand_ask import (
    AskedLabels,
    StrategyName,
    asked_strategy,
    compare,
    drawn,
    open_asked,
    right_of,
)
from plait.pipelines.understand_evaluate import sight_of
from plait.seeding import generator
from plait.telemetry import console

ASKED: tuple[StrategyName, ...] = ("one-shot", "by-level", "retrieve", "likelihood")
DATA: tuple[DataName, ...] = ("fashion", "kuairec", "iflytek")
EXAMPLES = 8
"""Labels of each leaf, at most, where the light classifier knows any."""
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
    alone: bool = True
    """Measure the language model alone too, by every strategy; else only what it adds to the light classifier."""
    examples: int = EXAMPLES
    """Labels of each leaf that teach the light classifier where it has any, at most; 0: measure it without only."""
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
            for key, metric in _measured(options, data, model):
                console.print(f"{name}.{key}: {metric.value:.4g} {metric.unit}")
                metrics[f"{name}.{key}"] = metric
    return metrics, _write(options, metrics, words) if options.write else None


def _measured(options: StrategyOptions, data: LabelledCreatives, model: ChatModel) -> Iterator[tuple[str, Metric]]:
    rows, creatives = drawn(data, options.rows, options.seed)
    seen = sight_of(data, options.cache)
    for strategy in ASKED if options.alone else ():
        answers = asked_strategy(strategy, data, model).label(creatives)
        yield from _metrics(strategy.replace("-", "_"), compare(data, rows, answers))
    chooser = asked_strategy("retrieve", data, model)
    for prefix, most in (("", 0), ("few_", options.examples)):
        if prefix and not most:
            continue
        taught = draw_examples(data.label_N, data.pool_M, most, generator(options.seed, "examples", 0))
        light = _light(data, seen, rows, taught)
        both = _with_model(light, creatives, chooser)
        yield from _metrics(f"{prefix}light", compare(data, rows, light))
        yield from _metrics(f"{prefix}rest", compare(data, rows, both))
        gained_NL = right_of(data, rows, both) - right_of(data, rows, light)
        for level, gained_N in enumerate(gained_NL.T):
            yield f"{prefix}rest.{level_key(level, data.taxonomy.depth)}_gain", _mean(gained_N)


def _light(data: LabelledCreatives, seen: Seen, rows: Sequence[int], taught_M: NDArray[np.int64]) -> list[LabelAnswer]:
    """The light classifier's answers, with the leaves that it finds likeliest."""
    unlabelled = seen.rows(np.setdiff1d(data.pool_M, taught_M))
    classifier = teach(
        unlabelled, seen.rows(taught_M), data.label_N[taught_M], data.taxonomy, settings_for(data.pictured)
    )
    probability_NC = classifier.probabilities(seen.rows(np.array(rows, np.int64)))
    return answers_of(probability_NC, data.taxonomy, UNSURE, NEAREST)


def _with_model(
    light: Sequence[LabelAnswer], creatives: Sequence[Described], chooser: ModelStrategy
) -> list[LabelAnswer]:
    """The language model's answers, among the likeliest, in place of those that the classifier is not sure of."""
    unsure = [place for place, said in enumerate(light) if not said.is_sure]
    asked = [replace(creatives[place], likely=light[place].likely) for place in unsure]
    chosen = dict(zip(unsure, chooser.label(asked), strict=True))
    return [chosen.get(place, said) for place, said in enumerate(light)]


def _mean(value_N: NDArray[np.float64]) -> Metric:
    """With a 95 % interval by the normal approximation."""
    mean, wide = float(value_N.mean()), 1.96 * float(value_N.std()) / len(value_N) ** 0.5
    return Metric(mean, mean - wide, mean + wide, "fraction")


def _metrics(key: str, found: AskedLabels) -> Iterator[tuple[str, Metric]]:
    depth = len(found.accuracy)
    for level, share in enumerate(found.accuracy):
        yield f"{key}.{level_key(level, depth)}", share_metric(round(share * found.rows), found.rows)
    yield f"{key}.tokens_per_creative", Metric(found.tokens_per_creative, unit="tokens")
    yield f"{key}.failures", Metric(found.failures / found.rows, unit="fraction")
    if found.tokens_per_creative:
        yield f"{key}.creatives_per_s", Metric(found.creatives_per_s, unit="creatives/s")


def _write(options: StrategyOptions, metrics: dict[str, Metric], words: Sequence[str]) -> Path:
    model = Path(options.model).name
    flags = [] if options.data == DATA else [f"--data {name}" for name in options.data]
    flags += ["--no-alone"] * (not options.alone)
    flags += [f"--examples {options.examples}"] * (options.examples != EXAMPLES)
    command = f"plait understand strategies {model} --data-folder DATA --rows {options.rows}"
    return write_result(
        "understand_strategies" if options.alone else "understand_rest",
        command=" ".join([command, *flags]),
        data=f"{options.rows} test rows of each of: {'; '.join(words)}",
        seeds=[options.seed],
        metrics=metrics,
        notes=(
            f"{model} reads texts only (300 characters), the light classifier on fashion also pictures. Without any "
            "label: one_shot: the path decoded under a schema of all paths; by_level: likelihood of each child; "
            f"retrieve: likelihood among the {NEAREST} nearest by an encoder, times the encoder's own; likelihood: of "
            f"all leaves in heats of 26; light: the light classifier; rest: where that is less than {UNSURE:.0%} sure "
            f"at the leaf, likelihood among its {NEAREST} likeliest, times its own. few_: the light classifier knows "
            f"at most {options.examples} random labels a leaf. gain: rest less light, the same rows. A failure counts "
            "as wrong. Intervals: Wilson, of gains the normal one, 95 %. Tokens: all of every prompt, also what was "
            "kept of it; speed is the model's alone, one call at a time, on a machine with other work."
        ),
    )
