"""Curves that are fitted anew on a schedule, each on what was known by then: the test window as production meets it."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from plait.calibration import CalibrationRows, Method, fit_curves, logit
from plait.data.attribution import maturity_window
from plait.features.dataset import EncodedDataset
from plait.models.calibrated import curve_layer
from plait.pipelines.feedback import known_after
from plait.pipelines.project import Project
from plait.schema import Split
from plait.training import predict


@dataclass(frozen=True, slots=True)
class Schedule:
    """When curves are fitted anew, and on what."""

    every_ms: int = 86_400_000
    trail_ms: int = 7 * 86_400_000
    """Of each objective, the exposures of this long before the last one whose label is mature."""
    method: Method = "field"


@dataclass(frozen=True, slots=True)
class _Log:
    """Exposures of the validation and test windows with an uncalibrated ranker's logits."""

    rows_B: NDArray[np.int64]
    time_B: NDArray[np.int64]
    scenario_B: NDArray[np.int64]
    logits_BT: NDArray[np.float64]
    after_BT: NDArray[np.int64]
    window_T: NDArray[np.int64]
    scenarios: int

    def known_at(self, moment: int, trail_ms: int) -> CalibrationRows:
        """What could be fitted on at a moment: labels that were mature then, as they were known then."""
        edge_T = moment - self.window_T
        mask_BT = (self.time_B[:, None] <= edge_T) & (self.time_B[:, None] > edge_T - trail_ms)
        kept_B = mask_BT.any(axis=1)
        known_BT = self.after_BT[kept_B] <= moment - self.time_B[kept_B, None]
        return CalibrationRows(
            self.logits_BT[kept_B], known_BT, mask_BT[kept_B], self.scenario_B[kept_B], self.scenarios
        )


def refitted(
    project: Project, dataset: EncodedDataset, ranker: nn.Module, schedule: Schedule
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Probabilities of the test window under curves that are fitted anew all the time, always on the past.

    At each refit the curves see exposures of the validation window and of the test window so far whose labels are
    mature at that moment, with the labels as they were known then; they calibrate the exposures up to the next refit.

    Returns:
        Rows of the exposures, ascending, and `[B, T]`.
    """
    log = _log(project, dataset, ranker)
    test_B = np.flatnonzero(np.isin(log.rows_B, dataset.rows(Split.TEST)))
    probabilities_BT = np.empty((len(test_B), log.logits_BT.shape[1]))
    times = log.time_B[test_B]
    for moment in range(int(times.min()), int(times.max()) + 1, schedule.every_ms):
        curves = curve_layer(fit_curves(log.known_at(moment, schedule.trail_ms), schedule.method))
        due = (times >= moment) & (times < moment + schedule.every_ms)
        logits_BT = torch.from_numpy(log.logits_BT[test_B[due]]).float()
        scenario_B = torch.from_numpy(log.scenario_B[test_B[due]])
        probabilities_BT[due] = torch.sigmoid(curves(logits_BT, scenario_B)).numpy()
    return log.rows_B[test_B], probabilities_BT


def _log(project: Project, dataset: EncodedDataset, ranker: nn.Module) -> _Log:
    parts = [predict(dataset, ranker, split, label=f"{split} window") for split in (Split.VALID, Split.TEST)]
    rows_B = np.concatenate([part.rows for part in parts])
    order_B = np.argsort(rows_B)
    rows_B = rows_B[order_B]
    objectives = project.workspace.objectives
    return _Log(
        rows_B,
        dataset.times(rows_B),
        dataset.scenarios(rows_B).astype(np.int64),
        logit(np.concatenate([part.probabilities_BT for part in parts])[order_B]),
        known_after(project, dataset, rows_B),
        np.array([maturity_window(objective, objectives) for objective in objectives]),
        len(dataset.spec.scenarios),
    )
