"""Raw batches as typed rows: the clean table's columns, beside what the file said and where it said it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from plait.data.checks.survey import IdTypes
from plait.data.conversion import convert, list_dtype
from plait.data.tables import RawBatch, RawTable
from plait.schema import Columns as C

SOURCE_FILE = "source_file"
SOURCE_ROW = "source_row"
FOUND = "found"
"""Column of a quarantine table: the values that broke the rule."""

_RAW_PREFIX = "raw:"
_CHECKED = ("id", "time", "number", "integer")
"""Kinds of which a value may be unreadable."""


@dataclass(frozen=True, slots=True)
class TypedTable:
    """How the rows of one table are read."""

    raw: RawTable
    ids: IdTypes
    unit: str
    root: Path
    """Folder that file names are given relative to."""

    @property
    def name(self) -> str:
        return str(self.raw.name)

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """Columns and types of the clean table."""
        return {column: self._dtype(column) for column in self.raw.kinds}

    @property
    def quarantine_schema(self) -> dict[str, pl.DataType]:
        """Columns and types of the quarantine table: those of the clean table, and why and where."""
        why = {C.REASON: pl.String(), FOUND: pl.String(), SOURCE_FILE: pl.String(), SOURCE_ROW: pl.Int64()}
        return {**self.schema, **why}

    def source_name(self, file: Path) -> str:
        """How a file is called in reports: relative to the workspace where it lies in there."""
        return str(file.relative_to(self.root)) if file.is_relative_to(self.root) else str(file)

    def rows(self, batch: RawBatch) -> pl.DataFrame:
        """The batch's rows: the clean table's columns, raw columns under `raw_name`, and their source.

        Values that cannot be read are null in the clean column.
        """
        present = batch.frame.schema
        kinds = self.raw.kinds
        clean = [
            self._converted(column, present[column]) if column in present else pl.lit(None, dtype).alias(column)
            for column, dtype in self.schema.items()
        ]
        raw = [pl.col(column).alias(raw_name(column)) for column in present if kinds[column] in _CHECKED]
        first = batch.first_row
        source = [
            pl.lit(self.raw.files.index(batch.file), pl.UInt32).alias(SOURCE_FILE),
            pl.int_range(first, first + batch.frame.height, dtype=pl.Int64).alias(SOURCE_ROW),
        ]
        return batch.frame.select(*clean, *raw, *source)

    def _converted(self, column: str, dtype: pl.DataType) -> pl.Expr:
        integer = self.ids.integer.get((self.name, column), True)
        kind = self.raw.kinds[column]
        return convert(column, dtype, kind, integer_ids=integer, unit=self.unit).cast(self._dtype(column)).alias(column)

    def _dtype(self, column: str) -> pl.DataType:
        kind = self.raw.kinds[column]
        if kind in ("id", "category"):
            return pl.Int64() if self.ids.integer[self.name, column] else pl.String()
        if kind == "sequence":
            return self._list_dtype(column)
        return _TYPES[kind]

    def _list_dtype(self, column: str) -> pl.DataType:
        """Lists of whole numbers where those of every file are; of text otherwise."""
        found = [columns[column] for columns in self.raw.dtypes.values() if column in columns]
        whole = all(list_dtype(dtype) == pl.List(pl.Int64) for dtype in found if dtype != pl.Null)
        return pl.List(pl.Int64 if whole else pl.String)


def raw_name(column: str) -> str:
    """The name, in typed rows, of what the file has in `column`."""
    return _RAW_PREFIX + column


def is_given(raw: str, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """Whether the file has a value there at all: not null, not blank, not NaN (how pandas writes a gap)."""
    given = pl.col(raw).is_not_null()
    if schema[raw] == pl.String:
        given &= pl.col(raw).str.strip_chars().str.len_bytes() > 0
    elif schema[raw].is_float():
        given &= pl.col(raw).is_not_nan()
    return given


_TYPES: dict[str, pl.DataType] = {
    "time": pl.Int64(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "text": pl.String(),
}
