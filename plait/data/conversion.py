"""Columns of raw files as Plait's types: what each dtype may become, and how.

A value that cannot be read becomes null, never an error: whoever asks compares with the raw column and says so. Only a
dtype that can never hold what is wanted (a list where a number is due) is an error.
"""

import re
from typing import Literal

import polars as pl

from plait.errors import DataError

Kind = Literal["id", "time", "text", "number", "integer", "category", "sequence"]

MILLISECONDS_PER_UNIT: dict[str, float] = {"s": 1_000.0, "ms": 1.0, "us": 1e-3}
"""Factor from each time unit of a workspace to milliseconds."""

_LISTED_VALUE = r"[^|;,，；、\[\]'\"\s][^|;,，；、]*"
"""A value in text that lists some, from its first character on."""
_AFTER_VALUE = " \t\r\n]'\""
_SAFE_INTEGER = 9 * 10**15
"""Larger times are cut here before the unit is applied, so that they stay out of range instead of wrapping round."""
_TIME_PATTERN = r"^\s*(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[T ]([^Z]+))?Z?\s*$"
_TIME_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M%#z")


def convert(column: str, dtype: pl.DataType, kind: Kind, *, integer_ids: bool = True, unit: str = "ms") -> pl.Expr:
    """Column `column` of `dtype` as `kind`; what cannot be read becomes null.

    Args:
        column: its name in the frame.
        dtype: its type there.
        kind: what it is to be: Int64 for `time` (epoch ms) and `integer`, Float64 for `number`, String for `text`,
            Int64 or String for `id` and `category`, a list of Int64 or String for `sequence` (text is split as
            `split_list` does).
        integer_ids: whether an id or category becomes Int64 rather than String.
        unit: unit of integer times.

    Raises:
        DataError: no value of `dtype` can be that.
    """
    value = pl.col(column)
    if isinstance(dtype, pl.Categorical | pl.Enum):
        value, dtype = value.cast(pl.String), pl.String()
    if dtype == pl.Null:
        return value.cast(_target(kind, integer_ids) or pl.Null)
    if kind == "sequence":
        return _to_list(column, value, dtype)
    if not _possible(dtype, kind):
        raise DataError(f"column '{column}' is {dtype}, expected {_EXPECTED[kind]}")
    if kind == "time":
        return _to_milliseconds(value, dtype, unit)
    if kind in ("number", "integer"):
        return _to_number(value, dtype, kind)
    if kind == "text":
        return value.cast(pl.String)
    return _to_code(value, dtype, integer_ids)


def split_list(text: str) -> list[str]:
    """The values in text that lists some: `Action|Crime`, `1, 2`, `['a', 'b']`, `棋牌、休闲`.

    They are separated by `|`, `;`, `,` or their full-width forms; space, brackets and quotes around them are dropped.
    """
    return [value.rstrip(_AFTER_VALUE) for value in re.findall(_LISTED_VALUE, text)]


def list_dtype(dtype: pl.DataType) -> pl.DataType | None:
    """The type of the lists that a `sequence` column of `dtype` becomes; None where it can hold no list."""
    if isinstance(dtype, pl.Categorical | pl.Enum | pl.String):
        return pl.List(pl.String)
    if isinstance(dtype, pl.List | pl.Array) and not dtype.inner.is_nested():
        return pl.List(pl.Int64 if dtype.inner.is_integer() else pl.String)
    return None


def is_whole_number(value: pl.Expr) -> pl.Expr:
    """Whether text is a whole number in its one usual spelling ("7", not "007"), so that Int64 can hold it."""
    return value.str.contains(r"^(?:0|-?[1-9][0-9]{0,17})$")


_EXPECTED: dict[Kind, str] = {
    "id": "whole numbers or text",
    "time": "an integer time, a datetime or text that holds one",
    "text": "text",
    "number": "numbers",
    "integer": "whole numbers",
    "category": "text or whole numbers",
    "sequence": "lists of text or whole numbers, or text that lists some",
}


def _target(kind: Kind, integer_ids: bool) -> type[pl.DataType] | None:
    if kind in ("id", "category"):
        return pl.Int64 if integer_ids else pl.String
    targets: dict[Kind, type[pl.DataType]] = {
        "time": pl.Int64,
        "integer": pl.Int64,
        "number": pl.Float64,
        "text": pl.String,
    }
    return targets.get(kind)


def _to_list(column: str, value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    target = list_dtype(dtype)
    if target is None:
        raise DataError(f"column '{column}' is {dtype}, expected {_EXPECTED['sequence']}")
    if dtype == pl.String:
        return value.str.extract_all(_LISTED_VALUE).list.eval(pl.element().str.strip_chars_end(_AFTER_VALUE))
    return value.cast(target)


def _possible(dtype: pl.DataType, kind: Kind) -> bool:
    if dtype.is_nested() or dtype in (pl.Binary, pl.Object, pl.Duration, pl.Time):
        return False
    if dtype.is_temporal():
        return kind in ("time", "text")
    if dtype == pl.Boolean:
        return kind not in ("time", "id")
    return True


def _to_milliseconds(value: pl.Expr, dtype: pl.DataType, unit: str) -> pl.Expr:
    if dtype.is_temporal():
        return value.dt.epoch("ms")
    if dtype == pl.String:
        return pl.coalesce(_scale(value.cast(pl.Float64, strict=False), unit), _parse_datetime(value))
    if dtype.is_integer() and unit == "ms":
        return value.cast(pl.Int64, strict=False)
    if dtype.is_integer() and unit == "us":
        return value.cast(pl.Int64, strict=False) // 1_000
    return _scale(value.cast(pl.Float64), unit)


def _scale(value: pl.Expr, unit: str) -> pl.Expr:
    """A float time in `unit` as whole milliseconds, null where it is not finite."""
    finite = pl.when(value.is_finite()).then(value.clip(-_SAFE_INTEGER, _SAFE_INTEGER))
    return (finite * MILLISECONDS_PER_UNIT[unit]).floor().cast(pl.Int64, strict=False)


def _parse_datetime(value: pl.Expr) -> pl.Expr:
    """Dates and datetimes as people write them, in UTC unless they carry an offset."""
    parts = value.str.extract_groups(_TIME_PATTERN)
    field = parts.struct.field
    clock = pl.when(field("1").is_not_null()).then(field("4").fill_null("00:00"))
    text = pl.concat_str([field("1"), pl.lit("-"), field("2"), pl.lit("-"), field("3"), pl.lit(" "), clock])
    tries = [
        text.str.to_datetime(form, strict=False, time_unit="ms", time_zone="UTC" if form.endswith("z") else None)
        for form in _TIME_FORMATS
    ]
    return pl.coalesce([attempt.dt.epoch("ms") for attempt in tries])


def _to_number(value: pl.Expr, dtype: pl.DataType, kind: Kind) -> pl.Expr:
    if kind == "integer" and (dtype.is_integer() or dtype == pl.Boolean):
        return value.cast(pl.Int64, strict=False)
    number = value.cast(pl.Float64, strict=False)
    finite = pl.when(number.is_finite()).then(number)
    if kind == "number":
        return finite
    return pl.when(finite == finite.floor()).then(finite).cast(pl.Int64, strict=False)


def _to_code(value: pl.Expr, dtype: pl.DataType, integer: bool) -> pl.Expr:
    if dtype.is_float():
        # pandas writes integer ids with gaps as floats: 12.0 is the id 12
        value = pl.when(value == value.floor()).then(value).cast(pl.Int64, strict=False)
    if integer:
        return value.cast(pl.Int64, strict=False)
    text = value.cast(pl.String)
    return pl.when(text.str.strip_chars().str.len_bytes() > 0).then(text)
