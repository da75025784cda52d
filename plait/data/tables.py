"""Raw tables of a workspace as lazy Polars frames: Plait's column names, times in epoch milliseconds."""

from pathlib import Path

import polars as pl

from plait.config import TableSettings, Workspace, nearest
from plait.errors import DataError
from plait.schema import TABLES, ColumnSpec, TableName

_MILLISECONDS_PER_UNIT = {"s": 1_000.0, "ms": 1.0, "us": 1e-3}
_SUFFIXES = {".parquet": "parquet", ".csv": "csv", ".gz": "csv"}


def table_files(root: Path, table: TableSettings) -> list[Path]:
    """The files of a table, in the order of their names.

    Raises:
        DataError: the path matches no file, or files of an unknown kind.
    """
    pattern = Path(table.path)
    base = Path(pattern.anchor) if pattern.is_absolute() else root
    files = sorted(base.glob(str(pattern.relative_to(pattern.anchor)) if pattern.is_absolute() else table.path))
    if not files:
        raise DataError(f"{root / table.path}: no file found; expected Parquet or CSV there")
    unknown = [file.name for file in files if file.suffix not in _SUFFIXES]
    if unknown:
        raise DataError(f"{root / table.path}: found {unknown[0]}, expected .parquet, .csv or .csv.gz")
    return files


def scan_table(root: Path, workspace: Workspace, name: TableName) -> pl.LazyFrame:
    """Table `name` with Plait's column names and times in epoch milliseconds; rows as they stand in the files.

    Raises:
        DataError: a file is missing, or a required column is.
    """
    settings = workspace.tables[name]
    files = table_files(root, settings)
    frame = _scan(files)
    present = frame.collect_schema().names()
    frame = _rename(frame, settings, present, files[0])
    spec = TABLES[name]
    columns = frame.collect_schema()
    for required in spec.required:
        if required not in columns:
            raise DataError(
                f"{files[0]}: column '{required}' is missing{nearest(required, columns.names())} "
                f"(or map it in plait.toml: tables.{name}.rename)"
            )
    times = [column for column in spec.columns if column.type == "time" and column.name in columns]
    return frame.with_columns(_to_milliseconds(column, columns[column.name], workspace.time_unit) for column in times)


def _scan(files: list[Path]) -> pl.LazyFrame:
    if _SUFFIXES[files[0].suffix] == "parquet":
        return pl.scan_parquet(files)
    return pl.scan_csv(files, infer_schema_length=10_000, try_parse_dates=True)


def _rename(frame: pl.LazyFrame, settings: TableSettings, present: list[str], file: Path) -> pl.LazyFrame:
    for ours, theirs in settings.rename.items():
        if theirs not in present:
            raise DataError(f"{file}: column '{theirs}' (renamed to '{ours}') is not there{nearest(theirs, present)}")
    return frame.rename({theirs: ours for ours, theirs in settings.rename.items()})


def _to_milliseconds(column: ColumnSpec, dtype: pl.DataType, unit: str) -> pl.Expr:
    if dtype.is_temporal():
        return pl.col(column.name).cast(pl.Datetime("ms")).cast(pl.Int64)
    factor = _MILLISECONDS_PER_UNIT[unit]
    if factor == 1.0:
        return pl.col(column.name).cast(pl.Int64)
    return (pl.col(column.name).cast(pl.Float64) * factor).round().cast(pl.Int64)
