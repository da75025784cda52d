"""The encoding stage: samples to codes and numbers."""

from pathlib import Path

from plait.features.encoding import encode_samples
from plait.pipelines.check import checked_tables
from plait.pipelines.project import Project
from plait.pipelines.samples import built_samples

_VERSION = 3
"""Raised when the encoded layout or the meaning of a feature changes."""


def encoded_dataset(project: Project) -> Path:
    """The workspace's encoded samples, made now unless they are there: a folder for `EncodedDataset.open`."""
    tables, samples = checked_tables(project), built_samples(project)
    workspace = project.workspace
    inputs = {
        "version": _VERSION,
        "tables": tables.name,
        "samples": samples.name,
        "columns": {name: dict(table.columns) for name, table in workspace.tables.items()},
        "scenarios": workspace.scenario_names(),
        "objectives": workspace.objective_names(),
        "actions": {name: action.model_dump() for name, action in workspace.actions.items()},
        "features": workspace.features.model_dump(),
    }
    return project.store.build("encoded", inputs, lambda out: encode_samples(samples, tables, workspace, out))
