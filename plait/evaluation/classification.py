"""`evaluate`: one model's probabilities against what happened, overall and per scenario and objective."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plait.errors import DataError
from plait.evaluation.auc import Codes, Labels, Numbers
from plait.evaluation.bootstrap import draw_users
from plait.evaluation.scores import METRICS, Evaluation, MetricName, Undefined, cell_group
from plait.evaluation.slices import Slice, mean_slice, measure


def evaluate(  # noqa: PLR0917 (one table, column by column)
    labels_BT: Labels,
    mask_BT: NDArray[np.bool_],
    probabilities_BT: Numbers,
    users_B: NDArray[Any],
    scenarios_B: NDArray[np.integer[Any]],
    objectives: Sequence[str],
    scenarios: Sequence[str],
    *,
    bootstrap: int = 200,
    seed: int = 0,
    cell_replicates: bool = False,
) -> Evaluation:
    """Measure one model on B exposures and T objectives; only mature labels count.

    `auc` is the mean over objectives, each pooled over scenarios; `gauc` is by user, weighted by exposures. What is
    undefined (one class only, no mature rows) is NaN and listed in `undefined`, never 0.5.

    Args:
        labels_BT: outcomes, 0 or 1; whatever stands where `mask_BT` is False is not read.
        mask_BT: True where the label is mature.
        probabilities_BT: predictions in [0, 1]. Double precision keeps rows apart that single precision ties.
        users_B: user of each exposure: numbers or strings.
        scenarios_B: index into `scenarios`.
        objectives: T names.
        scenarios: S names.
        bootstrap: resamples of users for the intervals; 0: no intervals.
        seed: of the resamples. The same rows and seed give the same resamples: see `paired_difference`.
        cell_replicates: keep the resampled metrics of every scenario x objective too, so that they can be compared.

    Raises:
        DataError: shapes that do not fit, probabilities outside [0, 1], mature labels other than 0 and 1, or scenario
            codes without a name.
    """
    table = _Table(np.asarray(labels_BT), np.asarray(mask_BT, bool), probabilities_BT, np.asarray(scenarios_B))
    _check(table, len(users_B), objectives, scenarios)
    names_U, codes_B = np.unique(users_B, return_inverse=True)
    weights_RU = draw_users(len(names_U), bootstrap, seed)
    by_objective = _row(table, objectives, codes_B, weights_RU, None)
    cells = {
        scenario: _row(table, objectives, codes_B, weights_RU, np.flatnonzero(table.scenarios_B == s))
        for s, scenario in enumerate(scenarios)
    }
    overall = mean_slice(list(by_objective.values()))
    return Evaluation(
        rows=len(codes_B),
        users=len(names_U),
        objectives=tuple(objectives),
        scenarios=tuple(scenarios),
        bootstrap=bootstrap,
        seed=seed,
        pairing=_pairing(table, users_B, objectives, bootstrap, seed),
        overall=overall.scores(),
        by_objective={name: one.scores() for name, one in by_objective.items()},
        by_scenario={name: mean_slice(list(one.values())).scores() for name, one in cells.items()},
        cells={name: {t: one.scores() for t, one in row.items()} for name, row in cells.items()},
        reliability={name: one.reliability for name, one in by_objective.items()},
        undefined=_undefined(by_objective, None) + sum((_undefined(row, s) for s, row in cells.items()), ()),
        replicates=_replicates(overall, by_objective, cells if cell_replicates else {}),
    )


@dataclass(frozen=True, slots=True)
class _Table:
    labels_BT: Labels
    mask_BT: NDArray[np.bool_]
    probabilities_BT: Numbers
    scenarios_B: NDArray[np.integer[Any]]


def _row(
    table: _Table,
    objectives: Sequence[str],
    codes_B: Codes,
    weights_RU: NDArray[np.uint8],
    rows_B: NDArray[np.intp] | None,
) -> dict[str, Slice]:
    """Measure every objective, on all rows or those among `rows_B`."""
    return {name: _column(table, t, codes_B, weights_RU, rows_B) for t, name in enumerate(objectives)}


def _column(
    table: _Table, t: int, codes_B: Codes, weights_RU: NDArray[np.uint8], rows_B: NDArray[np.intp] | None
) -> Slice:
    """Measure objective `t` on its mature rows, all of them or those among `rows_B`."""
    if rows_B is None:
        kept_B = np.flatnonzero(table.mask_BT[:, t])
        users_B = codes_B[kept_B]
    else:
        kept_B = rows_B[table.mask_BT[rows_B, t]]
        present_U, users_B = np.unique(codes_B[kept_B], return_inverse=True)
        weights_RU = weights_RU[:, present_U]
    given_B = table.probabilities_BT[kept_B, t]
    return measure(table.labels_BT[kept_B, t], given_B, users_B, weights_RU, curve=rows_B is None)


def _undefined(slices: dict[str, Slice], scenario: str | None) -> tuple[Undefined, ...]:
    return tuple(
        Undefined(scenario, name, one.missing(), one.reason()) for name, one in slices.items() if one.missing()
    )


def _replicates(
    overall: Slice, by_objective: Mapping[str, Slice], cells: Mapping[str, Mapping[str, Slice]]
) -> dict[str, dict[MetricName, tuple[float, ...]]]:
    groups = {"overall": overall, **{f"objective/{name}": one for name, one in by_objective.items()}}
    groups |= {cell_group(s, t): one for s, row in cells.items() for t, one in row.items()}
    return {group: {name: tuple(one.resampled_R[name].tolist()) for name in METRICS} for group, one in groups.items()}


def _pairing(table: _Table, users_B: NDArray[Any], objectives: Sequence[str], bootstrap: int, seed: int) -> str:
    """16 hex digits that name the rows, outcomes and resamples, whatever the model."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update(repr((tuple(objectives), table.labels_BT.shape, bootstrap, seed)).encode())
    known_BT = np.where(table.mask_BT, np.asarray(table.labels_BT) > 0, 2).astype(np.uint8)
    for part in (known_BT, table.scenarios_B.astype(np.int64)):
        digest.update(np.ascontiguousarray(part).data)
    users = np.asarray(users_B)
    digest.update(np.ascontiguousarray(users).data if users.dtype.kind in "iu" else "\n".join(map(str, users)).encode())
    return digest.hexdigest()


def _check(table: _Table, num_users: int, objectives: Sequence[str], scenarios: Sequence[str]) -> None:
    expected = (len(table.scenarios_B), len(objectives))
    for what, found in (
        ("labels_BT", table.labels_BT.shape),
        ("mask_BT", table.mask_BT.shape),
        ("probabilities_BT", table.probabilities_BT.shape),
        ("users_B", (num_users, len(objectives))),
    ):
        if found != expected:
            raise DataError(f"evaluate: {what} has shape {found}, expected {expected} (exposures x objectives)")
    if not expected[0] or not expected[1]:
        raise DataError(f"evaluate: found {expected[0]} exposures and {expected[1]} objectives, expected some of both")
    known = table.probabilities_BT[table.mask_BT]
    wrong = int((~((known >= 0) & (known <= 1))).sum())  # also true of NaN
    if wrong:
        raise DataError(f"evaluate: {wrong} of {known.size} probabilities are NaN or outside [0, 1]; pass sigmoids")
    labels = table.labels_BT[table.mask_BT]
    odd = int(((labels != 0) & (labels != 1)).sum())
    if odd:
        raise DataError(f"evaluate: {odd} of {labels.size} mature labels are neither 0 nor 1; mask what is not known")
    if table.scenarios_B.min() < 0 or table.scenarios_B.max() >= len(scenarios):
        raise DataError(
            f"evaluate: scenario codes run from {table.scenarios_B.min()} to {table.scenarios_B.max()}, "
            f"expected 0 to {len(scenarios) - 1}: there are {len(scenarios)} scenario names"
        )
