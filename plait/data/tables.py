"""Raw tables of a workspace: their files, their columns under Plait's names, and their rows in bounded batches."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from plait.config import TableSettings, Workspace, nearest
from plait.data.conversion import Kind
from plait.errors import DataError
from plait.schema import TABLES, Meaning, TableName

BATCH_ROWS = 500_000
"""Rows that are read at a time."""

_CSV_BLOCK_BYTES = 16 << 20
_CSV_NULLS = ("", "NULL", "NaN", "\\N")
_KINDS_OF_MEANINGS: dict[Meaning, Kind] = {
    Meaning.ID: "id",
    Meaning.CATEGORY: "category",
    Meaning.NUMBER: "number",
    Meaning.TEXT: "text",
    Meaning.MEDIA: "text",
    Meaning.SEQUENCE: "sequence",
    Meaning.TIME: "time",
}


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Some consecutive rows of one file, as they stand there, under Plait's column names."""

    file: Path
    first_row: int
    """Number of the first row in its file, counted from 1; a CSV file's header does not count."""
    frame: pl.DataFrame


@dataclass(frozen=True, slots=True)
class RawTable:
    """One table as its files hold it."""

    name: TableName
    files: tuple[Path, ...]
    kinds: Mapping[str, Kind]
    """What each column that Plait keeps is to become, in the order of the clean table."""
    names: Mapping[str, str]
    """Plait's name -> the files' name, of the columns in `kinds`."""
    dtypes: Mapping[Path, Mapping[str, pl.DataType]]
    """Of each file: its columns (under Plait's names) and their types; text throughout in CSV."""

    @property
    def stored_rows(self) -> int:
        """Rows that the Parquet files say they hold; CSV files, which do not say, count 0."""
        return sum(pq.read_metadata(file).num_rows for file in self.files if not is_csv(file))

    def batches(self, columns: list[str] | None = None, rows: int = BATCH_ROWS) -> Iterator[RawBatch]:
        """All rows, in the order of files and rows; of each file those of `columns` that it has.

        Raises:
            DataError: a file is damaged, or a line of a CSV file does not have the header's columns.
        """
        wanted = list(self.kinds) if columns is None else columns
        for file in self.files:
            ours = [column for column in wanted if column in self.dtypes[file]]
            theirs = [self.names[column] for column in ours]
            first_row = 1
            for frame in _read(file, theirs, rows):
                renamed = frame.select(pl.col(self.names[column]).alias(column) for column in ours)
                yield RawBatch(file, first_row, renamed)
                first_row += frame.height


def is_csv(file: Path) -> bool:
    """Whether `file` is CSV (plain or gzipped) rather than Parquet."""
    return file.name.lower().endswith((".csv", ".csv.gz"))


def table_files(root: Path, table: TableSettings) -> list[Path]:
    """The files of a table, in the order of their names.

    Raises:
        DataError: the path matches no file, or files of an unknown kind.
    """
    pattern = Path(table.path)
    base = Path(pattern.anchor) if pattern.is_absolute() else root
    files = sorted(base.glob(str(pattern.relative_to(pattern.anchor)) if pattern.is_absolute() else table.path))
    files = [file for file in files if file.is_file()]
    if not files:
        raise DataError(f"{root / table.path}: no file found; expected Parquet or CSV there")
    unknown = [file.name for file in files if not is_csv(file) and file.suffix.lower() != ".parquet"]
    if unknown:
        raise DataError(f"{root / table.path}: found {unknown[0]}, expected .parquet, .csv or .csv.gz")
    return files


def open_table(root: Path, workspace: Workspace, name: TableName) -> RawTable:
    """Table `name`: its files and columns looked at, no row read yet.

    Raises:
        DataError: a file is missing or damaged, or a column that must be there is not.
    """
    settings = workspace.tables[name]
    files = table_files(root, settings)
    kinds = _column_kinds(settings, name, files[0])
    names = {column: settings.rename.get(column, column) for column in kinds}
    dtypes = {}
    for file in files:
        header = _header(file)
        dtypes[file] = {ours: header[theirs] for ours, theirs in names.items() if theirs in header}
        needed = [*TABLES[name].required, *settings.rename, *_declared(settings)]
        missing = next((column for column in needed if names[column] not in header), None)
        if missing is not None:
            raise DataError(_missing_column(file, name, missing, names[missing], list(header)))
    present = {column for columns in dtypes.values() for column in columns}
    kinds = {column: kind for column, kind in kinds.items() if column in present}
    return RawTable(name, tuple(files), kinds, names, dtypes)


def _declared(settings: TableSettings) -> dict[str, Kind]:
    return {
        column: _KINDS_OF_MEANINGS[meaning]
        for column, meaning in settings.columns.items()
        if meaning is not Meaning.IGNORE
    }


def _column_kinds(settings: TableSettings, name: TableName, file: Path) -> dict[str, Kind]:
    """Plait's own columns, then the declared ones: their names and what they are to become."""
    kinds: dict[str, Kind] = {spec.name: spec.type for spec in TABLES[name].columns}
    kinds |= _declared(settings)
    for ours, theirs in settings.rename.items():
        if ours not in kinds:
            raise DataError(
                f"{file}: tables.{name}.rename gives column '{theirs}' the name '{ours}', which has no meaning in "
                f"{name}{nearest(ours, list(kinds))}"
            )
    return kinds


def _missing_column(file: Path, name: TableName, column: str, theirs: str, header: list[str]) -> str:
    hint = nearest(theirs, header)
    if theirs != column:
        return f"{file}: column '{theirs}' (renamed to '{column}') is not there{hint}"
    if column not in TABLES[name].required:
        return f"{file}: column '{column}' is declared in tables.{name}.columns but is not there{hint}"
    return f"{file}: column '{column}' is missing{hint} (or map it in plait.toml: tables.{name}.rename)"


def _header(file: Path) -> dict[str, pl.DataType]:
    """Names and types of a file's columns."""
    if is_csv(file):
        with _naming(file), _open_csv(file, None) as reader:
            return {name: pl.String() for name in reader.schema.names}
    with _naming(file):
        return dict(pl.read_parquet_schema(file))


def _read(file: Path, columns: list[str], rows: int) -> Iterator[pl.DataFrame]:
    with _naming(file):
        if is_csv(file):
            with _open_csv(file, columns) as reader:
                for batch in reader:
                    yield from _slices(_frame(batch), rows)
        else:
            with pq.ParquetFile(file) as parquet:
                for batch in parquet.iter_batches(batch_size=rows, columns=columns):
                    yield _frame(batch)


def _frame(batch: pa.RecordBatch) -> pl.DataFrame:
    frame = pl.from_arrow(pa.Table.from_batches([batch]))
    if not isinstance(frame, pl.DataFrame):
        raise TypeError(f"found {type(frame).__name__}, expected a frame")
    return frame


def _slices(frame: pl.DataFrame, rows: int) -> Iterator[pl.DataFrame]:
    for start in range(0, frame.height, rows):
        yield frame.slice(start, rows)


def _open_csv(file: Path, columns: list[str] | None) -> pc.CSVStreamingReader:
    """A streaming reader that leaves every value as text: types are decided by looking at all rows, not the first."""
    names = columns if columns is not None else pc.open_csv(file).schema.names
    return pc.open_csv(
        file,
        read_options=pc.ReadOptions(block_size=_CSV_BLOCK_BYTES),
        parse_options=pc.ParseOptions(newlines_in_values=True),
        convert_options=pc.ConvertOptions(
            column_types=dict.fromkeys(names, pa.large_string()),
            include_columns=names,
            null_values=list(_CSV_NULLS),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Turns a reader's errors into a message that names the file and says what to do."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error
    except (pa.ArrowInvalid, pl.exceptions.PolarsError, OSError) as error:
        advice = "repair that line" if is_csv(file) else "write it again"
        raise DataError(f"{file}: cannot be read: {str(error).strip()}; {advice}") from error
