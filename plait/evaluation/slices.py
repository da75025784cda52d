"""The metrics of one slice of rows (one objective, all scenarios or one), with their values in every resample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plait.evaluation.auc import Codes, Labels, Numbers, RankedPairs, user_auc
from plait.evaluation.bootstrap import interval, resampled_totals
from plait.evaluation.calibration import BINS, entropy, equal_mass_bins, row_losses
from plait.evaluation.scores import METRICS, Estimate, MetricName, ReliabilityBin, Scores

Floats = NDArray[np.float64]
_ADDITIVE = 7
"""Columns before those of the bins: rows, predicted, observed, loss, squared, rows with a user AUC, their AUC.

Then, by bin, predicted minus observed; and where the curve is wanted: rows, predicted, observed.
"""


@dataclass(frozen=True, slots=True)
class Slice:
    """A measured slice: counts, the metrics, and the metrics in each of R resamples."""

    rows: int
    positives: int
    users: int
    one_class_share: float
    values: Mapping[MetricName, float]
    resampled_R: Mapping[MetricName, Floats]
    reliability: tuple[ReliabilityBin, ...]

    def scores(self) -> Scores:
        """Counts and estimates."""
        return Scores(self.rows, self.positives, self.users, self.one_class_share, **_estimates(self))

    def missing(self) -> tuple[MetricName, ...]:
        """The metrics that are undefined here."""
        return tuple(name for name in METRICS if np.isnan(self.values[name]))

    def reason(self) -> str:
        """Why some metrics are undefined here."""
        if not self.rows:
            return "no mature rows"
        if not self.positives:
            return f"no positives among {self.rows} mature rows"
        if self.positives == self.rows:
            return f"no negatives among {self.rows} mature rows"
        return "no user has both classes"


def measure(
    labels_B: Labels,
    probabilities_B: Numbers,
    users_B: Codes,
    weights_RU: NDArray[np.uint8],
    *,
    bins: int = BINS,
    curve: bool = True,
) -> Slice:
    """Measure the mature rows of one objective.

    Args:
        labels_B: outcomes, 0 or 1.
        probabilities_B: predictions in [0, 1].
        users_B: user of each row, 0 <= user < U.
        weights_RU: resamples of users, see `draw_users`.
        bins: bins of equal mass for ECE and the reliability curve.
        curve: whether the reliability curve is wanted.
    """
    resamples, num_users = weights_RU.shape
    labels_B = np.asarray(labels_B) > 0
    auc_U = user_auc(labels_B, probabilities_B, users_B, num_users)
    sums_UK = _sums_by_user(labels_B, probabilities_B, users_B, auc_U, bins=bins, curve=curve)
    ranked = RankedPairs.of(labels_B, probabilities_B, users_B)
    point_1K, total_RK = sums_UK.sum(axis=0)[None], resampled_totals(weights_RU, sums_UK)
    everyone_1U = np.ones((1, num_users), np.uint8)
    values = {"auc": ranked.auc_under(everyone_1U), **_from_totals(point_1K, bins)}
    resampled_R = {"auc": ranked.auc_under(weights_RU), **_from_totals(total_RK, bins)}
    rows_U = sums_UK[:, 0]
    users = int((rows_U > 0).sum())
    return Slice(
        rows=len(labels_B),
        positives=int(labels_B.sum()),
        users=users,
        one_class_share=float((np.isnan(auc_U) & (rows_U > 0)).sum() / users) if users else float("nan"),
        values={name: float(values[name][0]) for name in METRICS},
        resampled_R={name: resampled_R[name] if resamples else np.zeros(0) for name in METRICS},
        reliability=_reliability(point_1K[0], total_RK, bins) if curve else (),
    )


def mean_slice(slices: Sequence[Slice]) -> Slice:
    """The mean over objectives, metric by metric, over those objectives that have the metric.

    A resample in which one of these is undefined is undefined in the mean as well: it would be a mean of other things.
    """
    values: dict[MetricName, float] = {}
    resampled_R: dict[MetricName, Floats] = {}
    for name in METRICS:
        having = [one for one in slices if not np.isnan(one.values[name])]
        values[name] = float(np.mean([one.values[name] for one in having])) if having else float("nan")
        resampled_R[name] = (
            np.mean([one.resampled_R[name] for one in having], axis=0)
            if having
            else np.full_like(slices[0].resampled_R[name], np.nan)
        )
    shares = [one.one_class_share for one in slices if one.rows]
    return Slice(
        rows=sum(one.rows for one in slices),
        positives=sum(one.positives for one in slices),
        users=max(one.users for one in slices),
        one_class_share=float(np.mean(shares)) if shares else float("nan"),
        values=values,
        resampled_R=resampled_R,
        reliability=(),
    )


def _estimates(one: Slice) -> dict[MetricName, Estimate]:
    estimates: dict[MetricName, Estimate] = {}
    for name in METRICS:
        value = one.values[name]
        low, high = (None, None) if name == "ece" or np.isnan(value) else interval(one.resampled_R[name])
        estimates[name] = Estimate(value, low, high)
    return estimates


def _sums_by_user(
    labels_B: NDArray[np.bool_], probabilities_B: Numbers, users_B: Codes, auc_U: Floats, *, bins: int, curve: bool
) -> Floats:
    """What each user adds to the totals, `[U, K]`; for the columns see `_ADDITIVE`."""
    num_users = len(auc_U)
    given_B = np.asarray(probabilities_B, np.float64)
    rows_U = np.bincount(users_B, minlength=num_users).astype(np.float64)
    known_U = ~np.isnan(auc_U)
    per_row = (given_B, labels_B, row_losses(labels_B, given_B), (given_B - labels_B) ** 2)
    columns = [rows_U, *(np.bincount(users_B, weights=one_B, minlength=num_users) for one_B in per_row)]
    columns += [rows_U * known_U, rows_U * np.where(known_U, auc_U, 0.0)]
    place_B = users_B * bins + equal_mass_bins(probabilities_B, bins)
    by_bin = [
        np.bincount(place_B, weights=one_B, minlength=num_users * bins).reshape(num_users, bins)
        for one_B in (given_B - labels_B, *((None, given_B, labels_B) if curve else ()))
    ]
    return np.concatenate([np.stack(columns, axis=1), *by_bin], axis=1)


def _from_totals(total_RK: Floats, bins: int) -> dict[MetricName, Floats]:
    """Every metric but AUC, for each row of totals."""
    rows_R, predicted_R, observed_R, loss_R, squared_R, known_R, wins_R = total_RK[:, :_ADDITIVE].T
    gap_RK = total_RK[:, _ADDITIVE : _ADDITIVE + bins]
    logloss_R = _ratio(loss_R, rows_R)
    return {
        "gauc": _ratio(wins_R, known_R),
        "logloss": logloss_R,
        "normalised_entropy": _ratio(logloss_R, entropy(_ratio(observed_R, rows_R))),
        "pcoc": _ratio(predicted_R, observed_R),
        "ece": _ratio(np.abs(gap_RK).sum(axis=1), rows_R),
        "brier": _ratio(squared_R, rows_R),
    }


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def _reliability(point_K: Floats, total_RK: Floats, bins: int) -> tuple[ReliabilityBin, ...]:
    """The curve over the bins that have rows; a bin's rows stay the same in every resample."""
    rows_K, predicted_K, observed_K = np.split(point_K[_ADDITIVE + bins :], 3)
    rows_RK, _, observed_RK = np.split(total_RK[:, _ADDITIVE + bins :], 3, axis=1)
    curve = []
    for k in np.flatnonzero(rows_K):
        low, high = interval(_ratio(observed_RK[:, k], rows_RK[:, k]))
        point = (float(predicted_K[k] / rows_K[k]), float(observed_K[k] / rows_K[k]))
        curve.append(ReliabilityBin(int(rows_K[k]), *point, low, high))
    return tuple(curve)
