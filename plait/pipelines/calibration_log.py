"""Exposures with a ranker's logits, and what of their labels was known at any moment: what curves are fitted on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from plait.calibration import CalibrationRows, logit
from plait.data.attribution import maturity_window
from plait.features.dataset import EncodedDataset
from plait.pipelines.feedback import known_after
from plait.pipelines.project import Project
from plait.schema import Split
from plait.training import predict
from plait.training.delayed import LEAST_SHARE, KnownShares


@dataclass(frozen=True, slots=True)
class Evidence:
    """What curves are fitted on at a moment."""

    trail_ms: int | None = None
    """How far back exposures count, of each objective from its last one; None for all."""
    half_life_ms: int | None = None
    """After which an exposure counts half; None for all alike."""
    young: bool = True
    """Labels count from the beginning, with the share of positives that is in after so long; else once mature."""


@dataclass(frozen=True, slots=True)
class CalibrationLog:
    """Exposures in order of their rows."""

    rows_B: NDArray[np.int64]
    time_B: NDArray[np.int64]
    scenario_B: NDArray[np.int64]
    logits_BT: NDArray[np.float64]
    """Not calibrated."""
    after_BT: NDArray[np.int64]
    """Milliseconds until each label was known to be 1."""
    window_T: NDArray[np.int64]
    """How long each objective takes to mature."""
    scenarios: int

    def known_at(self, moment: int, evidence: Evidence) -> tuple[CalibrationRows, NDArray[np.int64]]:
        """What could be fitted on at a moment, labels as they were known then; and the exposures' times."""
        past_B = self.time_B < moment
        time_B, after_BT = self.time_B[past_B], self.after_BT[past_B]
        known_BT = after_BT <= moment - time_B[:, None]
        share_BT = None
        if evidence.young:
            share_BT = KnownShares.of(moment, after_BT, time_B).at(torch.from_numpy(time_B)).double().numpy()
            edge_T, mask_BT = np.full_like(self.window_T, moment), share_BT >= LEAST_SHARE
        else:
            edge_T = moment - self.window_T
            mask_BT = time_B[:, None] <= edge_T
        if evidence.trail_ms is not None:
            mask_BT &= time_B[:, None] > edge_T - evidence.trail_ms
        weight_B = None
        if evidence.half_life_ms is not None:
            weight_B = 0.5 ** ((moment - time_B) / evidence.half_life_ms)
        kept_B = mask_BT.any(axis=1)
        rows = CalibrationRows(
            self.logits_BT[past_B][kept_B],
            known_BT[kept_B],
            mask_BT[kept_B],
            self.scenario_B[past_B][kept_B],
            self.scenarios,
            None if share_BT is None else share_BT[kept_B],
            None if weight_B is None else weight_B[kept_B],
        )
        return rows, time_B[kept_B]


def calibration_log(
    project: Project, dataset: EncodedDataset, ranker: nn.Module, splits: Sequence[Split]
) -> CalibrationLog:
    """The exposures of these windows with the logits of a ranker that is not calibrated."""
    parts = [predict(dataset, ranker, split, label=f"{split} window") for split in splits]
    rows_B = np.concatenate([part.rows for part in parts])
    order_B = np.argsort(rows_B)
    rows_B = rows_B[order_B]
    objectives = project.workspace.objectives
    return CalibrationLog(
        rows_B,
        dataset.times(rows_B),
        dataset.scenarios(rows_B).astype(np.int64),
        logit(np.concatenate([part.probabilities_BT for part in parts])[order_B]),
        known_after(project, dataset, rows_B),
        np.array([maturity_window(objective, objectives) for objective in objectives]),
        len(dataset.spec.scenarios),
    )
