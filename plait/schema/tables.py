"""What each of the five tables must hold. Extra columns are welcome: the workspace file gives them a meaning."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from plait.schema.columns import Columns as C

ColumnType = Literal["id", "time", "text", "number", "integer"]
"""`id`: integer or string; `time`: integer in the workspace's unit, or a datetime; the others as named."""


class TableName(StrEnum):
    """The five tables of a workspace."""

    USERS = "users"
    ITEMS = "items"
    CREATIVES = "creatives"
    EXPOSURES = "exposures"
    BEHAVIOURS = "behaviours"


class Meaning(StrEnum):
    """What a column means to a model."""

    ID = "id"
    CATEGORY = "category"
    NUMBER = "number"
    TEXT = "text"
    MEDIA = "media"
    SEQUENCE = "sequence"
    TIME = "time"
    IGNORE = "ignore"


class Split(StrEnum):
    """Which part of the data a sample belongs to, in time order."""

    TRAIN = "train"
    VALID = "valid"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One column that Plait itself gives a meaning to."""

    name: str
    type: ColumnType
    required: bool
    nullable: bool = False
    references: TableName | None = None
    """The table whose id column this one must resolve in."""


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table: its key and the columns that Plait itself gives a meaning to."""

    name: TableName
    key: str | None
    columns: tuple[ColumnSpec, ...]

    def column(self, name: str) -> ColumnSpec | None:
        """The specification of column `name`, or None where Plait gives it no meaning of its own."""
        return next((spec for spec in self.columns if spec.name == name), None)

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the columns that must be there."""
        return tuple(spec.name for spec in self.columns if spec.required)


def _id(name: str, *, required: bool = True, nullable: bool = False, references: TableName | None = None) -> ColumnSpec:
    return ColumnSpec(name, "id", required, nullable, references)


def _optional(name: str, kind: ColumnType) -> ColumnSpec:
    return ColumnSpec(name, kind, required=False, nullable=True)


TABLES: dict[TableName, TableSpec] = {
    spec.name: spec
    for spec in (
        TableSpec(TableName.USERS, C.USER_ID, (_id(C.USER_ID),)),
        TableSpec(
            TableName.ITEMS,
            C.ITEM_ID,
            (
                _id(C.ITEM_ID),
                _optional(C.NAME, "text"),
                _optional(C.CATEGORY_1, "text"),
                _optional(C.CATEGORY_2, "text"),
                _optional(C.CATEGORY_3, "text"),
                _optional(C.DESCRIPTION, "text"),
            ),
        ),
        TableSpec(
            TableName.CREATIVES,
            C.CREATIVE_ID,
            (
                _id(C.CREATIVE_ID),
                _id(C.ITEM_ID, references=TableName.ITEMS),
                _optional(C.MEDIA, "text"),
                _optional(C.TEXT, "text"),
                _optional(C.ADVERTISER, "id"),
                _optional(C.BID, "number"),
            ),
        ),
        TableSpec(
            TableName.EXPOSURES,
            C.EXPOSURE_ID,
            (
                _id(C.EXPOSURE_ID),
                _id(C.REQUEST_ID, required=False, nullable=True),
                ColumnSpec(C.TIME, "time", required=True),
                _id(C.USER_ID, references=TableName.USERS),
                _id(C.ITEM_ID, references=TableName.ITEMS),
                _id(C.CREATIVE_ID, required=False, nullable=True, references=TableName.CREATIVES),
                ColumnSpec(C.SCENARIO, "text", required=True),
                _optional(C.POSITION, "integer"),
                _optional(C.PROPENSITY, "number"),
                _optional(C.QUERY, "text"),
            ),
        ),
        TableSpec(
            TableName.BEHAVIOURS,
            None,
            (
                ColumnSpec(C.TIME, "time", required=True),
                _id(C.USER_ID, references=TableName.USERS),
                _id(C.ITEM_ID, references=TableName.ITEMS),
                ColumnSpec(C.ACTION, "text", required=True),
                _optional(C.VALUE, "number"),
                _optional(C.SCENARIO, "text"),
                _id(C.EXPOSURE_ID, required=False, nullable=True, references=TableName.EXPOSURES),
                _optional(C.RECEIVED_TIME, "time"),
            ),
        ),
    )
}
"""The specification of every table, by name."""
