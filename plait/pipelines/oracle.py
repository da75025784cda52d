"""The oracle of a simulated world: the true probabilities, which no model sees, scored like a model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait.errors import DataError
from plait.evaluation import Evaluation
from plait.features.dataset import EncodedDataset
from plait.pipelines.measure import measure
from plait.schema import Columns, Split

TRUTH_FOLDER = "truth/exposures"
PROBABILITY_PREFIX = "p_"


def has_oracle(root: Path) -> bool:
    """Whether the workspace in `root` keeps true probabilities, as only a simulated one can."""
    return (root / TRUTH_FOLDER).is_dir()


def measure_oracle(root: Path, dataset: EncodedDataset, split: Split, *, bootstrap: int) -> Evaluation | None:
    """Measure the true probabilities on the rows of `split`; None where the workspace keeps none."""
    if not has_oracle(root):
        return None
    rows_B = dataset.rows(split)
    truth_BT = oracle_probabilities(root, dataset.exposure_ids(rows_B), dataset.spec.objectives)
    return measure(dataset, rows_B, truth_BT, bootstrap=bootstrap)


def oracle_probabilities(root: Path, exposure_ids: pl.Series, objectives: Sequence[str]) -> NDArray[np.float64]:
    """The true probability of each objective for each exposure, [B, T].

    Raises:
        DataError: an exposure has no true probability.
    """
    columns = [PROBABILITY_PREFIX + objective for objective in objectives]
    wanted = exposure_ids.alias(Columns.EXPOSURE_ID).to_frame().lazy()
    truth = pl.scan_parquet(root / TRUTH_FOLDER / "*.parquet").select(Columns.EXPOSURE_ID, *columns)
    found = wanted.join(truth, on=Columns.EXPOSURE_ID, how="left", maintain_order="left").collect()
    missing = found[columns[0]].null_count()
    if missing:
        raise DataError(f"{root / TRUTH_FOLDER}: {missing} of {len(found)} exposures have no true probability there")
    probabilities_BT: NDArray[np.float64] = found.select(columns).to_numpy().astype(np.float64)
    return probabilities_BT
