"""Area under the ROC curve: pooled, by user, and under bootstrap weights. Ties count one half, exactly."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[Any]
"""Outcomes, 0 or 1 (or bool)."""
Numbers = NDArray[np.floating[Any]]
Codes = NDArray[np.int64]
_BLOCK_ROWS = 1 << 14
"""Resampled rows handled at once: few enough to stay in the processor's cache, many enough for small slices."""


def auc(labels_B: Labels, scores_B: Numbers) -> float:
    """The chance that a positive scores above a negative, a tie counting one half; NaN with one class only.

    AUC = (sum over positives of (negatives below + negatives tied / 2)) / (positives x negatives), in O(B log B).

    Args:
        labels_B: outcomes, 0 or 1.
        scores_B: anything that grows with the chance of an outcome.
    """
    order = RankedPairs.of(labels_B, scores_B, np.zeros(len(scores_B), np.int64))
    return float(order.auc_under(np.ones((1, 1), np.uint8))[0])


def user_auc(labels_B: Labels, scores_B: Numbers, users_B: Codes, num_users: int) -> NDArray[np.float64]:
    """The AUC of each user's own rows; NaN for users with one class only.

    Args:
        labels_B: outcomes, 0 or 1.
        scores_B: scores.
        users_B: user of each row, 0 <= user < num_users.
        num_users: U.

    Returns:
        AUC by user, `[U]`.
    """
    order_B = np.lexsort((scores_B, users_B))
    users_B, scores_B, positive_B = users_B[order_B], scores_B[order_B], np.asarray(labels_B)[order_B] > 0
    # Rank of each row among all rows, from 0, tied rows sharing the middle of their places.
    new_B = np.ones(len(users_B), bool)
    new_B[1:] = (users_B[1:] != users_B[:-1]) | (scores_B[1:] != scores_B[:-1])
    starts_G = np.flatnonzero(new_B)
    ends_G = np.append(starts_G[1:], len(users_B))
    middle_B = np.repeat((starts_G + ends_G - 1) / 2, ends_G - starts_G)
    rows_U = np.bincount(users_B, minlength=num_users)
    first_U = np.cumsum(rows_U) - rows_U
    rank_B = middle_B - first_U[users_B]
    positives_U = np.bincount(users_B, weights=positive_B, minlength=num_users)
    rank_sums_U = np.bincount(users_B, weights=rank_B * positive_B, minlength=num_users)
    pairs_U = positives_U * (rows_U - positives_U)
    wins_U = rank_sums_U - positives_U * (positives_U - 1) / 2
    return np.asarray(np.divide(wins_U, pairs_U, out=np.full(num_users, np.nan), where=pairs_U > 0))


def gauc(labels_B: Labels, scores_B: Numbers, users_B: NDArray[Any]) -> tuple[float, float]:
    """AUC by user, averaged with each user's number of rows as weight, and the share of users left out.

    GAUC = sum_u n_u AUC_u / sum_u n_u over the users who have both classes (Zhu et al., "Optimized Cost per Click in
    Taobao Display Advertising", 2017, section 4.1). Users with one class have no AUC and are left out.

    Args:
        labels_B: outcomes, 0 or 1.
        scores_B: scores.
        users_B: user of each row: numbers or strings.

    Returns:
        GAUC (NaN where no user has both classes) and the share of users left out.
    """
    names_U, codes_B = np.unique(users_B, return_inverse=True)
    auc_U = user_auc(labels_B, scores_B, codes_B, len(names_U))
    known_U = ~np.isnan(auc_U)
    if not known_U.any():
        return float("nan"), 1.0
    rows_U = np.bincount(codes_B, minlength=len(names_U))
    return float(np.average(auc_U[known_U], weights=rows_U[known_U])), float(1 - known_U.mean())


@dataclass(frozen=True, slots=True)
class RankedPairs:
    """Rows sorted once by score, from which the AUC under any weights of users follows without sorting again."""

    negative_users_N: Codes
    """User of each negative, negatives by rising score."""
    positive_users_P: Codes
    """User of each positive, positives by rising score."""
    below_P: Codes
    """How many negatives score below each positive."""
    not_above_P: Codes
    """How many negatives score below it or the same."""

    @classmethod
    def of(cls, labels_B: Labels, scores_B: Numbers, users_B: Codes) -> "RankedPairs":
        """Sort the rows.

        Args:
            labels_B: outcomes, 0 or 1.
            scores_B: scores.
            users_B: user of each row, 0 <= user < U.
        """
        positive_B = np.asarray(labels_B) > 0
        negatives_N, positives_P = scores_B[~positive_B], scores_B[positive_B]
        order_N, order_P = np.argsort(negatives_N), np.argsort(positives_P)
        negatives_N, positives_P = negatives_N[order_N], positives_P[order_P]
        return cls(
            users_B[~positive_B][order_N],
            users_B[positive_B][order_P],
            np.searchsorted(negatives_N, positives_P, "left"),
            np.searchsorted(negatives_N, positives_P, "right"),
        )

    def auc_under(self, weights_RU: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The AUC of each resample, as if every row stood there as often as its user was drawn.

        Exact: integer sums. O(R B), two passes over the rows for each resample.

        Args:
            weights_RU: how often each user was drawn, `[R, U]`.

        Returns:
            AUC by resample, `[R]`; NaN where a resample has one class only.
        """
        rows = len(self.negative_users_N) + len(self.positive_users_P) + 1
        block = max(1, _BLOCK_ROWS // rows)
        parts = [self._auc_of_block(weights_RU[start : start + block]) for start in range(0, len(weights_RU), block)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _auc_of_block(self, weights_RU: NDArray[np.uint8]) -> NDArray[np.float64]:
        wide_RU = weights_RU.astype(np.int64)
        below_RN1 = np.zeros((len(wide_RU), len(self.negative_users_N) + 1), np.int64)
        np.cumsum(wide_RU[:, self.negative_users_N], axis=1, out=below_RN1[:, 1:])
        weights_RP = wide_RU[:, self.positive_users_P]
        below_RP = below_RN1[:, self.below_P]
        below_RP += below_RN1[:, self.not_above_P]
        twice_won_R = np.einsum("rp,rp->r", weights_RP, below_RP)
        pairs_R = weights_RP.sum(axis=1) * below_RN1[:, -1]
        return np.asarray(np.divide(twice_won_R, 2 * pairs_R, out=np.full(len(wide_RU), np.nan), where=pairs_R > 0))
