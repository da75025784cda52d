"""Clean tables into exposure samples and user samples."""

from dataclasses import dataclass
from pathlib import Path

from plait.data.samples import build_samples, read_summary
from plait.data.splits import SPLITS
from plait.pipelines.check import checked_tables
from plait.pipelines.project import Project

_VERSION = 1
"""Raised when the same tables and settings give other samples."""


def built_samples(project: Project, as_of: int | None = None) -> Path:
    """The folder with the samples of the workspace as it stands now; built where there is none yet.

    Args:
        project: the opened workspace.
        as_of: label every row as known at this time (epoch milliseconds); by default at the end of its split.

    Raises:
        DataError: a table does not hold what samples need.
    """
    tables = checked_tables(project)
    workspace = project.workspace
    inputs = {
        "version": _VERSION,
        "tables": tables.name,
        "objectives": [objective.model_dump(mode="json") for objective in workspace.objectives],
        "split": workspace.split.model_dump(mode="json"),
        "as_of": as_of,
    }
    return project.store.build("samples", inputs, lambda out: build_samples(tables, workspace, out, as_of=as_of))


@dataclass(frozen=True, slots=True)
class SampleCount:
    """How much one split has to say about one objective."""

    split: str
    objective: str
    exposures: int
    mature: int
    positive: int
    """Of the mature ones."""


def sample_counts(folder: Path) -> list[SampleCount]:
    """The counts that `summary.json` keeps, a row per split and objective, in time and file order."""
    summary = read_summary(folder)
    rows: list[SampleCount] = []
    for split in (split.value for split in SPLITS if split.value in summary["splits"]):
        part = summary["splits"][split]
        for objective in summary["objectives"]:
            counts = part["objectives"][objective]
            rows.append(SampleCount(split, objective, part["exposures"], counts["mature"], counts["positive"]))
    return rows
