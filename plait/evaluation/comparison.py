"""Two models on the same rows: paired differences over resampled users, and over training seeds."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plait.errors import DataError
from plait.evaluation.auc import Labels, Numbers
from plait.evaluation.bootstrap import interval
from plait.evaluation.classification import evaluate
from plait.evaluation.scores import (
    METRICS,
    Comparison,
    Difference,
    Estimate,
    Evaluation,
    MetricName,
    Scores,
    cell_group,
)

_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""97.5 % points of Student's t with 1 to 10 degrees of freedom."""
_NORMAL = 1.959964


def compare(  # noqa: PLR0917 (one table, column by column)
    labels_BT: Labels,
    mask_BT: NDArray[np.bool_],
    probabilities_a_BT: Numbers,
    probabilities_b_BT: Numbers,
    users_B: NDArray[Any],
    scenarios_B: NDArray[np.integer[Any]],
    objectives: Sequence[str],
    scenarios: Sequence[str],
    *,
    bootstrap: int = 200,
    seed: int = 0,
) -> Comparison:
    """Model B against model A on the same rows and the same resamples of users; differences are B - A.

    Where both models have been evaluated already, `paired_difference` says the same at no cost.

    Raises:
        DataError: as `evaluate`.
    """
    a, b = (
        evaluate(
            labels_BT, mask_BT, one_BT, users_B, scenarios_B, objectives, scenarios, bootstrap=bootstrap, seed=seed
        )
        for one_BT in (probabilities_a_BT, probabilities_b_BT)
    )
    return paired_difference(a, b)


def paired_difference(a: Evaluation, b: Evaluation) -> Comparison:
    """Model B against model A from their evaluations on the same rows, outcomes, resamples and seed; B - A.

    Raises:
        DataError: the two were measured on different rows, or with different resamples.
    """
    return compare_over_seeds([a], [b])


def compare_over_seeds(a: Sequence[Evaluation], b: Sequence[Evaluation]) -> Comparison:
    """Model B against model A, each trained with n seeds and evaluated on the same rows; B - A of the means.

    With one seed the interval is the percentile interval over resampled users. With more it covers both what other
    users and what other seeds would have given: difference +- t sqrt(v_u + v_s), v_u the variance over resamples of
    the mean difference, v_s = s^2 / n that of the mean over seeds, t with Satterthwaite's degrees of freedom.

    Args:
        a: the evaluations of model A, one for each seed.
        b: those of model B, in the order of their seeds; seed k of A is paired with seed k of B.

    Raises:
        DataError: different numbers of seeds, or evaluations of different rows or resamples.
    """
    if len(a) != len(b) or not a:
        raise DataError(f"compare: {len(a)} evaluations of A and {len(b)} of B, expected as many of each, and some")
    _check_paired([*a, *b])
    return Comparison(
        bootstrap=a[0].bootstrap,
        seeds=len(a),
        overall=_differences(a, b, "overall", lambda one: one.overall),
        by_objective={name: _of_objective(a, b, name) for name in a[0].objectives},
        cells=_cells(a, b),
    )


def over_seeds(evaluations: Sequence[Evaluation]) -> dict[MetricName, Estimate]:
    """The overall metrics as a mean over training seeds, with intervals as in `compare_over_seeds`.

    Raises:
        DataError: no evaluations, or evaluations of different rows or resamples.
    """
    if not evaluations:
        raise DataError("over_seeds: no evaluations, expected one for each seed")
    _check_paired(evaluations)
    estimates: dict[MetricName, Estimate] = {}
    for name in METRICS:
        values_S = np.array([one.overall.metric(name).value for one in evaluations])
        resampled_SR = np.array([one.replicates["overall"][name] for one in evaluations])
        bounds = (None, None) if name == "ece" else _interval(values_S, resampled_SR)
        estimates[name] = Estimate(float(values_S.mean()), *bounds)
    return estimates


def _of_objective(a: Sequence[Evaluation], b: Sequence[Evaluation], name: str) -> Mapping[MetricName, Difference]:
    return _differences(a, b, f"objective/{name}", lambda one: one.by_objective[name])


def _cells(a: Sequence[Evaluation], b: Sequence[Evaluation]) -> dict[str, dict[str, Mapping[MetricName, Difference]]]:
    """Every scenario x objective; nothing where an evaluation did not keep the cells' resampled metrics."""
    first = cell_group(a[0].scenarios[0], a[0].objectives[0])
    if not all(first in one.replicates for one in (*a, *b)):
        return {}
    return {s: {t: _of_cell(a, b, s, t) for t in a[0].objectives} for s in a[0].scenarios}


def _of_cell(
    a: Sequence[Evaluation], b: Sequence[Evaluation], scenario: str, objective: str
) -> Mapping[MetricName, Difference]:
    return _differences(a, b, cell_group(scenario, objective), lambda one: one.cells[scenario][objective])


def _differences(
    a: Sequence[Evaluation], b: Sequence[Evaluation], group: str, scores: Callable[[Evaluation], Scores]
) -> Mapping[MetricName, Difference]:
    differences: dict[MetricName, Difference] = {}
    for name in METRICS:
        a_S, b_S = (np.array([scores(one).metric(name).value for one in side]) for side in (a, b))
        a_SR, b_SR = (np.array([one.replicates[group][name] for one in side]) for side in (a, b))
        bounds = (None, None) if name == "ece" else _interval(b_S - a_S, b_SR - a_SR)
        differences[name] = Difference(float(a_S.mean()), float(b_S.mean()), float((b_S - a_S).mean()), *bounds)
    return differences


def _interval(values_S: NDArray[np.float64], resampled_SR: NDArray[np.float64]) -> tuple[float | None, float | None]:
    seeds = len(values_S)
    if np.isnan(values_S).any():
        return None, None
    mean_R = resampled_SR.mean(axis=0)
    low, high = interval(mean_R)
    if seeds == 1 or low is None or high is None:
        return low, high
    of_users, of_seeds = float(np.nanvar(mean_R, ddof=1)), float(values_S.var(ddof=1)) / seeds
    spread = math.sqrt(of_users + of_seeds)
    freedom = (of_users + of_seeds) ** 2 / (of_seeds**2 / (seeds - 1)) if of_seeds else math.inf
    reach = student_quantile(freedom) * spread
    return float(values_S.mean()) - reach, float(values_S.mean()) + reach


def student_quantile(freedom: float) -> float:
    """The 97.5 % point of Student's t, from a table up to 10 degrees of freedom; good to 0.5 % between and beyond."""
    if freedom >= len(_STUDENT):
        return _NORMAL + (_STUDENT[-1] - _NORMAL) * len(_STUDENT) / freedom
    known = [1 / k for k in range(1, len(_STUDENT) + 1)]
    # Interpolated in 1 / freedom, where the curve is nearly straight, on a log scale.
    return float(np.exp(np.interp(1 / max(freedom, 1.0), known[::-1], np.log(_STUDENT)[::-1])))


def _check_paired(evaluations: Sequence[Evaluation]) -> None:
    names = {one.pairing for one in evaluations}
    if len(names) > 1:
        raise DataError(
            "compare: the evaluations are of different rows, outcomes or resamples, expected the same for all; "
            "evaluate every model on the same split with the same `bootstrap` and `seed`"
        )
