"""The feedback stage: how long after each exposure its labels became known."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait.data.feedback import build_feedback
from plait.data.samples import read_summary
from plait.errors import ArtifactError
from plait.features.dataset import EncodedDataset
from plait.pipelines.check import checked_tables
from plait.pipelines.project import Project
from plait.pipelines.samples import built_samples
from plait.schema import Columns, Split
from plait.training.delayed import DelayedFeedback, KnownShares

_VERSION = 1
UNKNOWN = np.iinfo(np.int64).max
"""Of a label that never was known to be 1."""


def built_feedback(project: Project) -> Path:
    """The folder with `part-*.parquet` of the workspace as it stands now; built where there is none yet."""
    tables, samples = checked_tables(project), built_samples(project)
    inputs = {"version": _VERSION, "tables": tables.name, "samples": samples.name}
    return project.store.build("feedback", inputs, lambda out: build_feedback(tables, samples, project.workspace, out))


def known_after(project: Project, dataset: EncodedDataset, rows_B: NDArray[np.int64]) -> NDArray[np.int64]:
    """Milliseconds from each exposure until its label was known to be 1, `[B, T]`; `UNKNOWN` where it never was.

    Raises:
        ArtifactError: the parts are of other samples.
    """
    found = pl.read_parquet(sorted(built_feedback(project).glob("part-*.parquet")))
    if len(found) != len(dataset):
        raise ArtifactError(f"feedback of {len(found)} exposures, expected {len(dataset)}; encode the samples again")
    chosen = found[rows_B]
    if not chosen[Columns.EXPOSURE_ID].equals(dataset.exposure_ids(rows_B)):
        raise ArtifactError("feedback and encoded samples differ in order; remove .plait/derived/feedback")
    columns = [chosen[name].fill_null(UNKNOWN).to_numpy() for name in dataset.spec.objectives]
    return np.stack(columns, axis=1)


def training_shares(project: Project, dataset: EncodedDataset, how: DelayedFeedback) -> KnownShares | None:
    """How much of each exposure's feedback is in at the end of the training window; None to wait for maturity.

    Args:
        project: the workspace.
        dataset: its encoded samples; the delays are those of its training window.
        how: `naive` takes all feedback for complete, `dfm` and `es-dfm` count.
    """
    if how == "waiting":
        return None
    as_of = int(read_summary(built_samples(project))["as_of"][0])
    if how == "naive":
        return KnownShares.complete(as_of, len(dataset.spec.objectives))
    rows_B = dataset.rows(Split.TRAIN)
    return KnownShares.of(as_of, known_after(project, dataset, rows_B), dataset.times(rows_B))
