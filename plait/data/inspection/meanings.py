"""What a column may mean to a model, by its name, type and values."""

import re

import polars as pl

from plait.config.workspace import TimeUnit
from plait.data.conversion import convert
from plait.data.inspection.words import OUTCOMES, PERSONAL, squash
from plait.schema import Meaning, TableName

FEW = 50
"""Whole numbers with at most this many different values are taken for codes."""
TEXT_CHARACTERS = 20
"""Strings that are longer than this on average, and mostly different, are taken for text."""
LISTING = 0.2
"""A column of strings may be one of lists where at least this share of them holds several values."""

_CODE_NAME = re.compile(r"(?:id|ids|code|type|level|kind|flag|bucket|tag|编号|类型|等级)$")
_MEDIA = r"(?i)\.(?:jpe?g|png|gif|webp|bmp|mp4|mov|webm|avi)(?:\?.*)?$"
_EPOCH_RANGES: dict[TimeUnit, tuple[float, float]] = {"s": (1e8, 1e11), "ms": (1e11, 1e14), "us": (1e14, 1e17)}
_TIME_NAMES = ("time", "date", "ts", "_at", "时间", "日期")


def guess_meaning(table: TableName, column: pl.Series) -> tuple[Meaning, str]:
    """The likely meaning of an extra column of `table`, and why."""
    values = column.drop_nulls()
    useless = _reason_to_ignore(table, column.name, values)
    if useless is not None:
        return Meaning.IGNORE, useless
    if isinstance(values.dtype, pl.List | pl.Array):
        return Meaning.SEQUENCE, "lists"
    if values.dtype.is_temporal():
        return Meaning.TIME, "dates or times"
    if values.dtype.is_numeric():
        return _number(column.name, values)
    return _text(values)


def time_unit(column: pl.Series) -> TimeUnit | None:
    """The unit s, ms or us by the size of the numbers; None where they are no epoch times."""
    values = column.drop_nulls()
    if values.is_empty() or not values.dtype.is_numeric():
        return None
    middle = _floats(values)[len(values) // 2]
    return next((unit for unit, (low, high) in _EPOCH_RANGES.items() if low <= middle < high), None)


def _reason_to_ignore(table: TableName, name: str, values: pl.Series) -> str | None:
    if table is TableName.EXPOSURES and squash(name) in OUTCOMES:
        return "looks like an outcome: a label must never be a feature"
    if any(word in squash(name) for word in PERSONAL):
        return "looks like personal data"
    if values.is_empty():
        return "empty"
    if values.dtype in (pl.Struct, pl.Binary, pl.Object):
        return f"of type {values.dtype}"
    if not values.dtype.is_nested() and values.n_unique() == 1:
        return "the same value in every row looked at"
    return None


def _number(name: str, values: pl.Series) -> tuple[Meaning, str]:
    unit = time_unit(values)
    if unit is not None and any(word in name.casefold() for word in _TIME_NAMES):
        return Meaning.TIME, f"epoch {unit}, by its size"
    different = values.n_unique()
    if values.dtype.is_integer() and (different <= FEW or _CODE_NAME.search(name.casefold())):
        return Meaning.CATEGORY, f"whole numbers, {different:,} different"
    ordered = _floats(values)
    return Meaning.NUMBER, f"numbers from {ordered[0]:g} to {ordered[-1]:g}"


def _text(values: pl.Series) -> tuple[Meaning, str]:
    if values.dtype == pl.Boolean:
        return Meaning.CATEGORY, "true or false"
    texts = values.cast(pl.String)
    if texts.str.contains(_MEDIA).sum() > 0.5 * len(texts):
        return Meaning.MEDIA, "names of image or video files"
    different = texts.n_unique()
    listed = _listed_values(texts)
    if listed is not None:
        return Meaning.SEQUENCE, f"text that lists values, {listed:,} different"
    mostly_different = different > 0.5 * len(texts)
    length = texts.str.len_chars().sum() / len(texts)
    if length > TEXT_CHARACTERS and mostly_different:
        return Meaning.TEXT, f"strings of {length:.0f} characters on average"
    if mostly_different and len(texts) > FEW:
        return Meaning.IGNORE, f"strings, {different:,} different in {len(texts):,} rows: an id or a key"
    return Meaning.CATEGORY, f"strings, {different:,} different"


def _listed_values(texts: pl.Series) -> int | None:
    """How many different values texts such as "Action|Crime" list; None where they do not.

    They do where many of them hold several short values and these recur in more combinations than there are values:
    the words between the commas of sentences do not, nor does a category whose name has a comma.
    """
    lists = texts.to_frame("x").select(convert("x", pl.String(), "sequence"))["x"]
    values = lists.explode(empty_as_null=False, keep_nulls=False)
    several = int((lists.list.len() > 1).sum())
    if several < LISTING * len(texts) or values.str.len_chars().sum() > TEXT_CHARACTERS * len(values):
        return None
    different = values.n_unique()
    return different if different < texts.n_unique() and different <= 0.5 * len(values) else None


def _floats(values: pl.Series) -> list[float]:
    return values.cast(pl.Float64).sort().to_list()
