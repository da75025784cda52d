"""A first `plait.toml` for a folder of tables."""

from pathlib import Path

from plait.config import WORKSPACE_FILE, load_workspace
from plait.config.template import render_workspace
from plait.data.artifacts import write_atomically
from plait.data.inspection import Inspection, inspect_folder
from plait.errors import ConfigError


def initialise(folder: Path, *, name: str | None = None, replace: bool = False) -> Inspection:
    """Look at the tables in `folder`, write a commented `plait.toml` there, and say what was found.

    Raises:
        ConfigError: there is a workspace file already and `replace` is off, or `folder` is none.
        DataError: nothing that could be exposures or behaviours lies there.
    """
    folder = folder.resolve()
    path = folder / WORKSPACE_FILE
    if not folder.is_dir():
        raise ConfigError(f"{folder}: not a folder; expected one with Parquet or CSV tables")
    if path.exists() and not replace:
        raise ConfigError(f"{path}: already there; --force replaces it")
    inspection = inspect_folder(folder, name or folder.name)
    write_atomically(path, render_workspace(inspection.workspace, inspection.header, inspection.comments))
    load_workspace(folder)
    return inspection
