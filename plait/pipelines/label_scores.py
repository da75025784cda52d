"""Scores of a classifier's labels on a test, over draws, and as metrics of a result file."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import numpy as np

from plait.content.labelling.classifier import LightClassifier, Seen
from plait.content.labelling.hierarchy import decide
from plait.content.labelling.measures import LevelScores, confusions, score_level
from plait.pipelines.labelled_creatives import LabelledCreatives
from plait.pipelines.results import Metric

_Result = TypeVar("_Result")
Order = Literal["coverage", "random"]
"""In which a person looks through the pool for examples."""


@dataclass
class Setting:
    """Scores of one setting: a list of levels for each draw."""

    name: str
    order: Order = "coverage"
    scores: list[list[LevelScores]] = field(default_factory=list)
    seconds: float = 0.0
    answered: int = 0
    confusions: list[tuple[str, str, int]] = field(default_factory=list)
    """(true label, answered label, rows) of the last draw."""


def score(data: LabelledCreatives, classifier: LightClassifier, test: Seen, setting: Setting) -> float:
    """Add a draw's scores; returns the seconds that answering took.

    Args:
        data: whose test rows are answered.
        classifier: answers.
        test: what it sees of these rows.
        setting: gets the scores.
    """
    decision, seconds = timed(lambda: decide(classifier.probabilities(test), data.taxonomy))
    truth_N = data.label_N[data.test_M]
    levels = []
    for level in range(1, data.taxonomy.depth + 1):
        true_N = np.array(data.taxonomy.node_of_leaf(level))[truth_N]
        levels.append(score_level(true_N, decision.node_NL[:, level - 1], decision.confidence_NL[:, level - 1]))
    nodes = [" > ".join(path) for path in data.taxonomy.nodes(data.taxonomy.depth)]
    wrong = confusions(true_N, decision.leaf_N)
    setting.scores.append(levels)
    setting.confusions = [(nodes[true], nodes[said], count) for true, said, count in wrong]
    return seconds


def score_metrics(setting: Setting, depth: int) -> dict[str, Metric]:
    """Mean and range over the draws, by level and measure."""
    found: dict[str, Metric] = {}
    for level in range(depth):
        names = {"": "accuracy", ".macro_f1": "macro_f1", ".ece": "ece", ".coverage_95": "coverage_95"}
        for suffix, name in names.items():
            values = [float(getattr(levels[level], name)) for levels in setting.scores]
            found[f"{setting.name}.{level_key(level, depth)}{suffix}"] = mean_and_range(values)
    return found


def level_key(level: int, depth: int) -> str:
    """What a level's accuracy is called."""
    return "acc" if depth == 1 else f"l{level + 1}"


def mean_and_range(values: list[float]) -> Metric:
    """Of one share a draw."""
    low, high = (min(values), max(values)) if len(values) > 1 else (None, None)
    return Metric(float(np.mean(values)), low, high, "fraction")


def timed(make: Callable[[], _Result]) -> tuple[_Result, float]:
    """What `make` gives, and the seconds that it took."""
    start = time.perf_counter()
    return make(), time.perf_counter() - start
