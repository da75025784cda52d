"""From a download to a finished workspace folder: built aside, checked, then renamed into place."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plait.config import WORKSPACE_FILE, load_workspace, parse_settings
from plait.config.template import render_workspace
from plait.data.artifacts import write_atomically
from plait.data.importers.contract import Importer
from plait.data.importers.source import Source
from plait.data.importers.writing import WorkspaceWriter
from plait.errors import DataError
from plait.telemetry import progress

_MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import made."""

    folder: Path
    rows: dict[str, int]
    """Rows by table."""
    rejected: dict[str, int]
    """Lines by input file that did not fit; they stand in rejected.csv."""


def import_source(
    importer: Importer, path: Path, out: Path, options: dict[str, Any], *, replace: bool = False
) -> ImportReport:
    """Read the download at `path` with `importer` into the new workspace folder `out`.

    The folder appears in one rename when it is complete; an import that was killed leaves none, and what it left aside
    (a hidden folder beside `out`) is cleared by the next one.

    Args:
        importer: what reads the layout.
        path: folder or zip of the download.
        out: the workspace folder to make.
        options: the importer's own options.
        replace: put the new folder in place of one that is there.

    Raises:
        ConfigError: an option is unknown or out of range.
        ImportLayoutError: the download has another layout.
        DataError: `out` holds something already and `replace` is off.
    """
    settings = parse_settings(importer.options, options, f"options of {importer.name}")
    out = out.absolute()
    if out.exists() and not replace and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out}: already there; give another --out, or --force to replace it")
    source = Source.open(path)
    aside = out.with_name(f".{out.name}.importing")
    if aside.exists():
        shutil.rmtree(aside)
    aside.mkdir(parents=True)
    with progress(f"importing {importer.name} (MB)", max(1, source.size // _MEGABYTE)) as advance:
        writer = WorkspaceWriter(aside, advance)
        draft = importer.run(source, writer, settings)
    writer.write_manifest(importer.name, settings.model_dump(mode="json"))
    write_atomically(aside / WORKSPACE_FILE, render_workspace(draft.workspace, draft.header, draft.comments))
    load_workspace(aside)
    _move_into_place(aside, out)
    rejected = {name: count for name, count in writer.rejected.items() if count}
    return ImportReport(out, dict(writer.rows), rejected)


def _move_into_place(aside: Path, out: Path) -> None:
    """`aside` becomes `out`; an older folder is moved out of the way first and removed last."""
    old = out.with_name(f".{out.name}.replaced")
    if old.exists():
        shutil.rmtree(old)
    if out.exists():
        out.rename(old)
    aside.rename(out)
    if old.exists():
        shutil.rmtree(old)
