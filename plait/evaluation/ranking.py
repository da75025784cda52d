"""Next-item metrics from the rank of the one right item: HR@k, NDCG@k, MRR."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from plait.errors import DataError
from plait.evaluation.auc import Numbers
from plait.evaluation.bootstrap import draw_users, interval, resampled_totals
from plait.evaluation.scores import Estimate


def ranks_from_scores(
    target_B: Numbers, scores_BV: Numbers, ties: Literal["worst", "mean"] = "worst"
) -> NDArray[np.float64]:
    """The rank of the right item among the others, from 1.

    rank = 1 + (others that score higher) + (others that score the same), or half of these with `ties="mean"`. Counting
    ties against the model is the default: a model that scores everything alike must not look perfect.

    Args:
        target_B: score of the right item.
        scores_BV: scores of the other candidates; minus infinity for those that are out: the right item's own column,
            and, where the protocol says so, items seen before.
        ties: "worst": ties rank before the right item; "mean": half of them do.

    Raises:
        DataError: a score is NaN.
    """
    if np.isnan(target_B).any() or np.isnan(scores_BV).any():
        raise DataError("ranks_from_scores: some scores are NaN, expected numbers; look for the step that made them")
    higher_B = np.count_nonzero(scores_BV > target_B[:, None], axis=1)
    same_B = np.count_nonzero((scores_BV == target_B[:, None]) & np.isfinite(scores_BV), axis=1)
    return np.asarray(1 + higher_B + same_B * (1.0 if ties == "worst" else 0.5), np.float64)


@dataclass(frozen=True, slots=True)
class RankingEvaluation:
    """Next-item metrics by name: "hr@10", "ndcg@10", ..., "mrr"."""

    cases: int
    users: int
    bootstrap: int
    metrics: Mapping[str, Estimate]

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "RankingEvaluation":
        """The evaluation that `to_json` wrote."""
        metrics = {name: Estimate(**one) for name, one in content["metrics"].items()}
        return cls(content["cases"], content["users"], content["bootstrap"], metrics)


def evaluate_ranking(
    ranks_B: NDArray[Any],
    users_B: NDArray[Any],
    ks: Sequence[int] = (5, 10, 20, 50),
    *,
    bootstrap: int = 200,
    seed: int = 0,
) -> RankingEvaluation:
    """HR@k, NDCG@k and MRR of B cases with one right item each, with intervals over resampled users.

    HR@k = share of cases with rank <= k; NDCG@k = mean of 1 / log2(rank + 1) where rank <= k, else 0 (one right item:
    the ideal gain is 1); MRR = mean of 1 / rank.

    Args:
        ranks_B: rank of the right item, from 1; infinity where it was not ranked at all.
        users_B: user of each case: numbers or strings.
        ks: cut-offs.
        bootstrap: resamples of users; 0: no intervals.
        seed: of the resamples.

    Raises:
        DataError: no cases, or a rank below 1.
    """
    ranks_B = np.asarray(ranks_B, np.float64)
    if not len(ranks_B) or not (ranks_B >= 1).all():
        raise DataError(f"evaluate_ranking: {len(ranks_B)} ranks, expected some, each a number from 1")
    gains = {f"hr@{k}": (ranks_B <= k).astype(np.float64) for k in ks}
    gains |= {f"ndcg@{k}": np.where(ranks_B <= k, 1 / np.log2(ranks_B + 1), 0.0) for k in ks}
    gains["mrr"] = 1 / ranks_B
    names_U, codes_B = np.unique(users_B, return_inverse=True)
    columns = (np.ones_like(ranks_B), *gains.values())
    sums_UK = np.stack([np.bincount(codes_B, weights=one_B) for one_B in columns], axis=1).astype(np.float64)
    total_RK = resampled_totals(draw_users(len(names_U), bootstrap, seed), sums_UK)
    metrics = {
        name: Estimate(float(gain_B.mean()), *interval(total_RK[:, k] / total_RK[:, 0]))
        for k, (name, gain_B) in enumerate(gains.items(), start=1)
    }
    return RankingEvaluation(len(ranks_B), len(names_U), bootstrap, metrics)
