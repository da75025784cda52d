"""The stage of item sequences: clean tables to what next-item models learn from."""

from pathlib import Path

from plait.data.item_sequences import write_sequences
from plait.pipelines.check import checked_tables
from plait.pipelines.project import Project

_VERSION = 1
"""Raised when the same tables give other sequences."""


def item_sequences(project: Project) -> Path:
    """The workspace's item sequences, made now unless they are there: a folder for `ItemSequences.open`.

    Raises:
        DataError: the tables are refused, or hold no behaviours.
    """
    tables, actions = checked_tables(project), project.workspace.actions
    inputs = {
        "version": _VERSION,
        "tables": tables.name,
        "actions": {name: action.model_dump() for name, action in actions.items()},
    }
    return project.store.build("item_sequences", inputs, lambda out: write_sequences(tables, actions, out))
