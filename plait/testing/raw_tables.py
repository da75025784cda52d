"""Raw tables in one piece, for tests; Plait itself reads them in blocks."""

from pathlib import Path

import polars as pl

from plait.config import Workspace
from plait.data.conversion import convert
from plait.data.tables import is_csv, open_table
from plait.schema import TableName


def scan_table(root: Path, workspace: Workspace, name: TableName) -> pl.LazyFrame:
    """Table `name` lazily, unchecked: the columns Plait keeps, typed file by file, times in epoch milliseconds.

    Ids become Int64 where the file holds integers and String otherwise; values that cannot be read are null.

    Raises:
        DataError: a file is missing, or a required column is, or a column can never hold what it should.
    """
    table = open_table(root, workspace, name)
    frames = []
    for file in table.files:
        frame = pl.scan_csv(file, infer_schema_length=10_000) if is_csv(file) else pl.scan_parquet(file)
        schema = frame.collect_schema()
        frames.append(
            frame.select(pl.col(table.names[column]).alias(column) for column in table.dtypes[file]).with_columns(
                convert(column, dtype, kind, integer_ids=dtype.is_integer(), unit=workspace.time_unit)
                for column, kind in table.kinds.items()
                if column in table.dtypes[file]
                for dtype in [schema[table.names[column]]]
            )
        )
    return pl.concat(frames, how="diagonal")
