"""How good a model's probabilities and rankings are, with intervals; NumPy only.

`evaluate` measures one model on one table of outcomes, `compare` measures two on the same rows, `evaluate_ranking`
measures next-item ranks. The conventions are written down in `docs/evaluation.md`.
"""

from plait.evaluation.auc import auc, gauc, user_auc
from plait.evaluation.calibration import (
    brier,
    expected_calibration_error,
    field_rce,
    log_loss,
    normalised_entropy,
    pcoc,
    reliability_curve,
)
from plait.evaluation.classification import evaluate
from plait.evaluation.comparison import compare, compare_over_seeds, over_seeds, paired_difference
from plait.evaluation.ranking import RankingEvaluation, evaluate_ranking, ranks_from_scores
from plait.evaluation.scores import (
    METRICS,
    Comparison,
    Difference,
    Estimate,
    Evaluation,
    ReliabilityBin,
    Scores,
    Undefined,
)

__all__ = [
    "METRICS",
    "Comparison",
    "Difference",
    "Estimate",
    "Evaluation",
    "RankingEvaluation",
    "ReliabilityBin",
    "Scores",
    "Undefined",
    "auc",
    "brier",
    "compare",
    "compare_over_seeds",
    "evaluate",
    "evaluate_ranking",
    "expected_calibration_error",
    "field_rce",
    "gauc",
    "log_loss",
    "normalised_entropy",
    "over_seeds",
    "paired_difference",
    "pcoc",
    "ranks_from_scores",
    "reliability_curve",
    "user_auc",
]
