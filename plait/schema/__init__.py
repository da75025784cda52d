"""Types and column names that cross packages."""

from plait.schema.columns import Columns, label_column, mature_column
from plait.schema.tables import TABLES, ColumnSpec, Meaning, Split, TableName, TableSpec

__all__ = [
    "TABLES",
    "ColumnSpec",
    "Columns",
    "Meaning",
    "Split",
    "TableName",
    "TableSpec",
    "label_column",
    "mature_column",
]
