"""Which tables lie in a folder: files that belong together, with their columns and first rows."""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from plait.errors import DataError

SAMPLE_ROWS = 100_000
"""How many rows of each table are looked at."""
_SUFFIXES = (".parquet", ".csv", ".csv.gz")
_NUMBERS = re.compile(r"\d+(?:[-_]\d+)*")
_SKIPPED = frozenset(("rejected.csv",))


@dataclass(frozen=True, slots=True)
class FoundTable:
    """Files that make one table."""

    path: str
    """File or glob, relative to the folder."""
    files: tuple[Path, ...]
    sample: pl.DataFrame
    """Its first rows."""

    @property
    def words(self) -> str:
        """What its path says about it."""
        return self.path.casefold()

    def scan(self) -> pl.LazyFrame:
        """All its rows."""
        return _scan(self.files)


def find_tables(root: Path) -> list[FoundTable]:
    """The tables under `root`: single files, numbered or dated files that belong together, folders of parts.

    Raises:
        DataError: there is no Parquet or CSV file, or one cannot be read.
    """
    folders: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path in sorted(root.rglob("*")):
        parts, suffix = path.relative_to(root).parts, _suffix(path)
        hidden = any(part.startswith(".") for part in parts)
        if suffix and path.is_file() and path.name not in _SKIPPED and not hidden:
            folders[parts[0] if len(parts) > 1 else "", suffix].append(path)
    if not folders:
        raise DataError(f"{root}: no Parquet or CSV file there (endings {', '.join(_SUFFIXES)}); nothing to look at")
    return [table for (folder, suffix), files in folders.items() for table in _tables(root, folder, suffix, files)]


def _tables(root: Path, folder: str, suffix: str, files: list[Path]) -> list[FoundTable]:
    """A folder whose files all have the same columns is one table; else files of one numbered name are."""
    parts = folder and (len(files) > 1 or _NUMBERS.search(files[0].stem))
    alike = {tuple(_read((file,), 0).columns) for file in files} if parts else set()
    if len(alike) == 1:
        nested = any(file.parent != root / folder for file in files)
        return [_found(f"{folder}/**/*{suffix}" if nested else f"{folder}/*{suffix}", files)]
    groups: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        stem = _NUMBERS.sub("[0-9]*", file.name.removesuffix(suffix))
        groups[str((file.parent / f"{stem}{suffix}").relative_to(root))].append(file)
    tables = []
    for pattern, group in groups.items():
        if len(group) > 1 and sorted(root.glob(pattern)) == group:
            tables.append(_found(pattern, group))
        else:
            tables += [_found(str(file.relative_to(root)), [file]) for file in group]
    return tables


def _suffix(path: Path) -> str | None:
    return next((end for end in reversed(_SUFFIXES) if path.name.endswith(end)), None)


def _found(path: str, files: list[Path]) -> FoundTable:
    return FoundTable(path, tuple(files), _read(tuple(files), SAMPLE_ROWS))


def _read(files: tuple[Path, ...], rows: int) -> pl.DataFrame:
    try:
        return _scan(files).head(rows).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"{files[0]}: cannot be read ({error}); expected Parquet, or CSV with a header in UTF-8"
        ) from error


def _scan(files: tuple[Path, ...]) -> pl.LazyFrame:
    if files[0].suffix == ".parquet":
        return pl.scan_parquet(list(files))
    return pl.scan_csv(list(files), infer_schema_length=10_000, try_parse_dates=True)
