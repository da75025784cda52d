"""Predictions on one split, measured: what evaluating a model and every rung of the ladder share."""

import numpy as np
from numpy.typing import NDArray

from plait.evaluation import Evaluation, evaluate
from plait.features.dataset import EncodedDataset


def measure(
    dataset: EncodedDataset,
    rows_B: NDArray[np.int64],
    probabilities_BT: NDArray[np.floating],
    *,
    bootstrap: int = 200,
    seed: int = 0,
    cell_replicates: bool = False,
) -> Evaluation:
    """Evaluate probabilities of the exposures `rows_B`, whoever made them, with intervals over resampled users."""
    return evaluate(
        dataset.labels(rows_B),
        dataset.mask(rows_B),
        probabilities_BT,
        dataset.user_rows(rows_B),
        dataset.scenarios(rows_B),
        dataset.spec.objectives,
        dataset.spec.scenarios,
        bootstrap=bootstrap,
        seed=seed,
        cell_replicates=cell_replicates,
    )
