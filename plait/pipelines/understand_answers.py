"""`plait understand evaluate --answers`: what so many answers of a person are worth, by the order of asking."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from plait.content.labelling.classifier import LightClassifier, Seen, settings_for, teach
from plait.content.labelling.coverage import asking_order
from plait.content.labelling.linear import Rows
from plait.data.artifacts import ArtifactStore
from plait.pipelines.creative_labels import ORDERED
from plait.pipelines.label_scores import Setting, level_key, mean_and_range, score, score_metrics
from plait.pipelines.labelled_creatives import LabelledCreatives, read_labelled
from plait.pipelines.results import Metric, write_result
from plait.pipelines.understand_evaluate import EvaluationOptions, LabelEvaluation, View, sight_of
from plait.seeding import generator

Asking = Literal["coverage", "least_sure", "random"]
ASKINGS: tuple[Asking, ...] = ("coverage", "least_sure", "random")


def measure_answers(options: EvaluationOptions, answers: Sequence[int]) -> LabelEvaluation:
    """Accuracy after so many answers, whatever their labels are, with three orders of asking on the same creatives.

    Every draw has a random half of the pool as its creatives; a person is asked about them, the classifier learns from
    the answers and from the rest, and the order of the next questions is what it then says. Rows of the test are only
    answered.

    Args:
        options: what is measured.
        answers: numbers of answers after which the classifier learns and is scored.

    Raises:
        DataError: the data is not there.
        ConfigError: an encoder is not installed.
    """
    data = read_labelled(options.data, options.data_folder, ArtifactStore(options.cache))
    views: list[View] = ["both", "no_label_words"] if data.pictured else ["both"]
    settings: list[Setting] = []
    metrics: dict[str, Metric] = {}
    for view in views:
        seen = sight_of(data, options.cache, view)
        found = _scored(data, seen, view, options, sorted(set(answers)))
        settings += found.values()
        metrics |= _metrics(found, view, data.taxonomy.depth)
    path = _write(options, data, answers, metrics) if options.write else None
    return LabelEvaluation(settings, metrics, path)


def _scored(
    data: LabelledCreatives, seen: Seen, view: View, options: EvaluationOptions, answers: Sequence[int]
) -> dict[tuple[Asking, int], Setting]:
    found = {(asking, count): Setting(f"{view}.{asking}_{count}") for asking in ASKINGS for count in answers}
    test = seen.rows(data.test_M)
    for draw in range(options.draws):
        mixed_M = generator(options.seed, "asked", draw).permutation(data.pool_M)[: len(data.pool_M) // 2]
        half = replace(data, pool_M=mixed_M)
        for asking in ASKINGS:
            for count, classifier in _taught(half, seen, asking, answers):
                score(data, classifier, test, found[asking, count])
    return found


def _taught(
    data: LabelledCreatives, seen: Seen, asking: Asking, answers: Sequence[int]
) -> Iterator[tuple[int, LightClassifier]]:
    """The classifier after each number of answers."""
    known_K, settings = np.zeros(0, np.int64), settings_for(data.pictured)
    rest_M = data.pool_M
    classifier = teach(seen.rows(rest_M), seen.rows(known_K), known_K, data.taxonomy, settings)
    for count in answers:
        if asking != "random":
            rest_M = _in_order(seen, rest_M, known_K, classifier, asking)
        known_K, rest_M = np.split(np.concatenate([known_K, rest_M]), [count])
        classifier = teach(seen.rows(rest_M), seen.rows(known_K), data.label_N[known_K], data.taxonomy, settings)
        yield count, classifier


def _in_order(seen: Seen, rest_M: Rows, known_K: Rows, classifier: LightClassifier, asking: Asking) -> Rows:
    """The rows that nobody was asked about, as the review queue would bring them."""
    confidence_M = classifier.probabilities(seen.rows(rest_M)).max(axis=1)
    if asking == "least_sure":
        return rest_M[np.argsort(confidence_M, kind="stable")]
    some = np.arange(0, len(rest_M), max(1, -(-len(rest_M) // ORDERED)))
    known_KD = seen.feature_ND[known_K[:ORDERED]]
    first = some[asking_order(seen.feature_ND[rest_M[some]], confidence_M[some], known_KD)]
    return np.concatenate([rest_M[first], np.delete(rest_M, first)])


def _metrics(found: dict[tuple[Asking, int], Setting], view: View, depth: int) -> dict[str, Metric]:
    """Scores of each order, and what coverage gains on random order in the same draws."""
    metrics: dict[str, Metric] = {}
    for (asking, count), setting in found.items():
        metrics |= {key: metric for key, metric in score_metrics(setting, depth).items() if key.count(".") == 2}
        if asking != "coverage":
            continue
        pairs = list(zip(setting.scores, found["random", count].scores, strict=True))
        for level in range(depth):
            gains = [float(one[level].accuracy - other[level].accuracy) for one, other in pairs]
            metrics[f"{view}.gain_{count}.{level_key(level, depth)}"] = mean_and_range(gains)
    return metrics


def _write(
    options: EvaluationOptions, data: LabelledCreatives, answers: Sequence[int], metrics: dict[str, Metric]
) -> Path:
    flags = "".join(f" --answers {count}" for count in answers)
    return write_result(
        f"understand_{options.data}_answers",
        command=f"plait understand evaluate --data {options.data} --data-folder DATA --draws {options.draws}{flags}",
        data=f"{data.words}, {len(data.test_M):,} of them for the test; a person is asked about half of the others",
        seeds=[options.seed],
        metrics=metrics,
        notes=(
            "Light classifier after so many answers, whatever labels they have, by the order of asking: `coverage` as "
            "the review queue has it where there are pictures (what stands for most of what is unsure first), "
            "`least_sure`, and `random`, as the queue has texts alone. After each number the classifier learns anew, "
            "and the rest is ordered anew. Mean and range over "
            f"{options.draws} draws of the half that is asked about; `gain` is coverage less random, draw by draw."
        ),
    )
