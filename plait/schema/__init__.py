"""Types and column names that cross packages."""

from plait.schema.columns import Columns, label_column, mature_column
from plait.schema.creative_profile import CreativeProfile, Failure, Provenance, profile_table_schema
from plait.schema.creative_words import (
    Brightness,
    Clarity,
    Color,
    ObjectType,
    Orientation,
    TextType,
    Tone,
    Word,
)
from plait.schema.tables import TABLES, ColumnSpec, Meaning, Split, TableName, TableSpec

__all__ = [
    "TABLES",
    "Brightness",
    "Clarity",
    "Color",
    "ColumnSpec",
    "Columns",
    "CreativeProfile",
    "Failure",
    "Meaning",
    "ObjectType",
    "Orientation",
    "Provenance",
    "Split",
    "TableName",
    "TableSpec",
    "TextType",
    "Tone",
    "Word",
    "label_column",
    "mature_column",
    "profile_table_schema",
]
