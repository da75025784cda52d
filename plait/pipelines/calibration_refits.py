"""Curves that are fitted anew on a schedule, each on what was known by then: the test window as production meets it."""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from plait.calibration import Method, fit_curves
from plait.features.dataset import EncodedDataset
from plait.models.calibrated import curve_layer
from plait.pipelines.calibration_log import CalibrationLog, Evidence
from plait.schema import Split


@dataclass(frozen=True, slots=True)
class Schedule:
    """When curves are fitted anew, and on what."""

    every_ms: int = 86_400_000
    evidence: Evidence = field(default_factory=lambda: Evidence(trail_ms=7 * 86_400_000))
    method: Method = "field"


def refitted(
    log: CalibrationLog, dataset: EncodedDataset, schedule: Schedule
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Probabilities of the test window under curves that are fitted anew all the time, always on the past.

    At each refit the curves see the exposures of the validation window and of the test window so far, with their labels
    as they were known then; they calibrate the exposures up to the next refit.

    Returns:
        Rows of the exposures, ascending, and `[B, T]`.
    """
    test_B = np.flatnonzero(np.isin(log.rows_B, dataset.rows(Split.TEST)))
    probabilities_BT = np.empty((len(test_B), log.logits_BT.shape[1]))
    times = log.time_B[test_B]
    for moment in range(int(times.min()), int(times.max()) + 1, schedule.every_ms):
        known, _ = log.known_at(moment, schedule.evidence)
        curves = curve_layer(fit_curves(known, schedule.method))
        due = (times >= moment) & (times < moment + schedule.every_ms)
        logits_BT = torch.from_numpy(log.logits_BT[test_B[due]]).float()
        scenario_B = torch.from_numpy(log.scenario_B[test_B[due]])
        probabilities_BT[due] = torch.sigmoid(curves(logits_BT, scenario_B)).numpy()
    return log.rows_B[test_B], probabilities_BT
