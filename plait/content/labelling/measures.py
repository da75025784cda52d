"""How well labels agree with a person's: accuracy, macro-F1, calibration, coverage at a precision, confusions."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plait.content.labelling.hierarchy import Codes
from plait.content.labelling.linear import Floats


@dataclass(frozen=True, slots=True)
class LevelScores:
    """Scores of one level."""

    accuracy: float
    macro_f1: float
    """Mean of F1 over the nodes that stand among the true labels or the answers."""
    ece: float
    """Expected calibration error over ten bins of equal width: mean |confidence - accuracy|, weighted by rows."""
    coverage_95: float
    """Largest share of rows, surest first, of which 95 % are right."""


def score_level(truth_N: Codes, answer_N: Codes, confidence_N: Floats) -> LevelScores:
    """All scores of one level."""
    right_N = truth_N == answer_N
    return LevelScores(
        float(right_N.mean()),
        macro_f1(truth_N, answer_N),
        calibration_error(right_N, confidence_N),
        coverage_at(0.95, right_N, confidence_N),
    )


def macro_f1(truth_N: Codes, answer_N: Codes) -> float:
    """Mean over nodes of 2 tp / (2 tp + fp + fn)."""
    size = int(max(truth_N.max(), answer_N.max())) + 1
    hit, true, said = (
        np.bincount(codes, minlength=size) for codes in (truth_N[truth_N == answer_N], truth_N, answer_N)
    )
    present = (true + said) > 0
    return float((2 * hit[present] / (true + said)[present]).mean())


def calibration_error(right_N: NDArray[np.bool_], confidence_N: Floats, bins: int = 10) -> float:
    """Mean |confidence - accuracy| over bins of equal width, weighted by rows."""
    bin_N = np.clip((confidence_N * bins).astype(int), 0, bins - 1)
    gaps = [
        (bin_N == b).mean() * abs(float(right_N[bin_N == b].mean()) - float(confidence_N[bin_N == b].mean()))
        for b in np.unique(bin_N)
    ]
    return float(sum(gaps))


def coverage_at(precision: float, right_N: NDArray[np.bool_], confidence_N: Floats) -> float:
    """Largest share of rows, surest first, whose precision is at least `precision`; rows of one confidence together."""
    order = np.argsort(-confidence_N, kind="stable")
    precision_N = right_N[order].cumsum() / np.arange(1, len(order) + 1)
    sorted_N = confidence_N[order]
    ends = np.append(sorted_N[1:] != sorted_N[:-1], True)
    reached = np.flatnonzero(ends & (precision_N >= precision))
    return float(reached[-1] + 1) / len(order) if len(reached) else 0.0


def confusions(truth_N: Codes, answer_N: Codes, most: int = 20) -> list[tuple[int, int, int]]:
    """(true node, answered node, rows) of the commonest mistakes."""
    wrong = truth_N != answer_N
    pairs = Counter(zip(truth_N[wrong].tolist(), answer_N[wrong].tolist(), strict=True))
    return [(true, said, count) for (true, said), count in pairs.most_common(most)]
