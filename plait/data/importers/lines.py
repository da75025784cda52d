"""Text files into typed frames, block by block: bounded memory, and a line that does not fit is kept with a reason."""

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import polars as pl

from plait.data.importers.source import Reader, SourceFile
from plait.errors import ImportLayoutError

BLOCK_BYTES = 16 << 20
"""How much text is parsed at a time; peak memory is a small multiple of it."""
LINE = "line"
"""Name of the column that holds the number of the line in the file, from 1."""

_UNIT = "\x1f"
"""Stands for separators of more than one character while a block is parsed."""
_QUOTED_FIELD = r'(^|{separator})"(?:[^"]|"")*"'
_QUOTED = "\x1a"
"""Stands for a quoted field while the shape of a line is judged."""


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a text file."""

    name: str
    kind: Literal["integer", "number", "text"] = "text"
    required: bool = False
    """A line without it is rejected."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the lines of a text file are written."""

    fields: tuple[Field, ...]
    separator: str
    header: bool = False
    """The first line names the columns; those not in `fields` are left out, `fields` that it lacks are an error
    where they are required and null otherwise."""
    quoted: bool = False
    """Fields may stand in double quotes; a field never spans lines."""
    encoding: Literal["utf-8", "latin-1"] = "utf-8"

    def spelled(self) -> str:
        """An example line, for messages."""
        return self.separator.join(field.name for field in self.fields)


class Intake(Protocol):
    """Who is told what became of a file while it is read."""

    def advance(self, size: int) -> None:
        """`size` more of the file's stored bytes are done."""

    def reject(self, file: str, lines: pl.DataFrame) -> None:
        """These lines (`line`, `reason`, `text`) do not fit."""

    def finished(self, file: SourceFile, digest: str) -> None:
        """The file was read to its end; `digest` names its bytes."""


def read_blocks(file: SourceFile, layout: Layout, intake: Intake) -> Iterator[pl.DataFrame]:
    """The good lines of `file` as frames with a column `line` and one column per field, block by block.

    Raises:
        ImportLayoutError: the header lacks a required column, or most lines of the first block do not fit.
    """
    names: list[str] | None = None if layout.header else [field.name for field in layout.fields]
    first = True
    for lines in read_lines(file, layout.encoding, intake):
        if names is None:
            names = _header(file, layout, lines["text"][0])
            lines = lines[1:]  # noqa: PLW2901 (the header is no line of the table)
        good, bad = _parse(lines, names, layout)
        if first and bad.height > good.height:
            raise ImportLayoutError(
                f"{file.path}: {file.name} has another layout: expected lines of {layout.spelled()!r}, found "
                f"{bad['text'][0]!r:.200} ({bad['reason'][0]})"
            )
        first = False
        if bad.height:
            intake.reject(file.name, bad)
        if good.height:
            yield good
    if names is None:
        raise ImportLayoutError(f"{file.path}: {file.name} is empty, expected a header {layout.spelled()!r}")


def read_whole(file: SourceFile, layout: Layout, intake: Intake) -> pl.DataFrame:
    """As `read_blocks`, for files that are known to be small: one frame, empty where the file is."""
    blocks = list(read_blocks(file, layout, intake))
    return pl.concat(blocks) if blocks else pl.DataFrame(schema=schema_of(layout))


def read_lines(file: SourceFile, encoding: str, intake: Intake) -> Iterator[pl.DataFrame]:
    """All lines of `file`, block by block, as frames of `line`, `text`, `broken`.

    `line` is the number from 1; `broken` says that the bytes are not valid in the encoding.
    """
    number = 1
    with file.open() as reader:
        for block in _whole_lines(reader, intake):
            lines = _decode(block, encoding, number)
            number += lines.height
            yield lines
        intake.finished(file, reader.digest())


def schema_of(layout: Layout) -> dict[str, pl.DataType]:
    """Column types of the frames that `read_blocks` gives for `layout`."""
    types: dict[str, pl.DataType] = {"integer": pl.Int64(), "number": pl.Float64(), "text": pl.String()}
    return {LINE: pl.Int64(), **{field.name: types[field.kind] for field in layout.fields}}


def _whole_lines(reader: Reader, intake: Intake) -> Iterator[bytes]:
    """Blocks that end where a line ends; the byte order mark is dropped."""
    rest, begun, done = b"", False, 0
    while data := reader.read(BLOCK_BYTES):
        intake.advance(reader.position - done)
        done = reader.position
        block = rest + data
        if not begun:
            block, begun = block.removeprefix(codecs.BOM_UTF8), True
        cut = block.rfind(b"\n") + 1
        rest = block[cut:]
        if cut:
            yield block[:cut]
    if rest:
        yield rest


def _decode(block: bytes, encoding: str, number: int) -> pl.DataFrame:
    """The lines of a block with their numbers; `broken` marks those that are not valid in the encoding."""
    raw = block.removesuffix(b"\n")
    try:
        texts, broken = raw.decode(encoding).split("\n"), None
    except UnicodeDecodeError:
        pieces = raw.split(b"\n")
        texts = [piece.decode(encoding, errors="replace") for piece in pieces]
        broken = pl.Series([not _decodes(piece, encoding) for piece in pieces])
    frame = pl.DataFrame({"text": texts}, schema={"text": pl.String})
    return frame.select(
        pl.int_range(number, number + pl.len(), dtype=pl.Int64).alias(LINE),
        pl.col("text").str.strip_suffix("\r"),
        (pl.lit(False) if broken is None else broken).alias("broken"),
    )


def _decodes(piece: bytes, encoding: str) -> bool:
    try:
        piece.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _header(file: SourceFile, layout: Layout, line: str) -> list[str]:
    names = [name.strip().strip('"') for name in line.split(layout.separator)]
    missing = [field.name for field in layout.fields if field.required and field.name not in names]
    if missing:
        raise ImportLayoutError(
            f"{file.path}: the header of {file.name} lacks {', '.join(missing)}; expected {layout.spelled()!r}, "
            f"found {line[:200]!r}"
        )
    return names


def _parse(lines: pl.DataFrame, names: list[str], layout: Layout) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The typed good lines, and the bad ones with their reasons."""
    separator, parsed = layout.separator, pl.col("text")
    if len(separator) > 1:
        separator, parsed = _UNIT, parsed.str.replace_all(layout.separator, _UNIT, literal=True)
    quoted = _QUOTED_FIELD.format(separator=_escaped(separator))
    lines = lines.with_columns(parsed=parsed).with_columns(
        bare=pl.col("parsed").str.replace_all(quoted, f"${{1}}{_QUOTED}") if layout.quoted else pl.col("parsed")
    )
    lines = lines.with_columns(reason=_shape_reason(len(names), separator, layout.quoted))
    fitting = lines.filter(pl.col("reason").is_null())
    texts = _split(
        _regular(fitting, separator) if layout.quoted else fitting["parsed"], names, separator, layout.quoted
    )
    present = [field for field in layout.fields if field.name in names]
    absent = [field for field in layout.fields if field.name not in names]
    typed = texts.select(
        fitting[LINE],
        *(_typed(field).alias(field.name) for field in present),
        *(pl.lit(None, dtype=schema_of(layout)[field.name]).alias(field.name) for field in absent),
        pl.coalesce(*map(_value_reason, present)).alias("reason"),
        fitting["text"],
    ).select(LINE, *(field.name for field in layout.fields), "reason", "text")
    kept = [LINE, "reason", "text"]
    bad = pl.concat([frame.filter(pl.col("reason").is_not_null())[kept] for frame in (lines, typed)]).sort(LINE)
    return typed.filter(pl.col("reason").is_null()).drop("reason", "text"), bad


def _escaped(separator: str) -> str:
    return "\\|" if separator == "|" else separator


def _shape_reason(fields: int, separator: str, quoted: bool) -> pl.Expr:
    """Why a line has another shape; None where it has not."""
    bare, escaped = pl.col("bare"), _escaped(separator)
    count = bare.str.count_matches(separator, literal=True) + 1
    reason = (
        pl.when(pl.col("broken"))
        .then(pl.lit("not valid text in the file's encoding"))
        .when(pl.col("text") == "")
        .then(pl.lit("empty line"))
        .when(pl.col("text").str.contains("\r", literal=True))
        .then(pl.lit("a carriage return inside the line"))
    )
    if quoted:
        reason = (
            reason.when(bare.str.contains(f'(^|{escaped})"'))
            .then(pl.lit("a quote that is never closed"))
            .when(bare.str.contains(f"{_QUOTED}[^{escaped}]"))
            .then(pl.lit("text after a closing quote"))
        )
    return reason.when(count != fields).then(pl.format(f"expected {fields} fields, found {{}}", count)).otherwise(None)


def _regular(fitting: pl.DataFrame, separator: str) -> pl.Series:
    """The lines with quotes inside plain fields (`5" nails`) doubled and enclosed, as the parser wants them."""
    odd = fitting["bare"].str.contains('"', literal=True)
    if not odd.any():
        return fitting["parsed"]
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator="\n")
    writer.writerows(csv.reader(fitting["parsed"].filter(odd).to_list(), delimiter=separator))
    enclosed = pl.DataFrame({LINE: fitting[LINE].filter(odd), "regular": out.getvalue().split("\n")[:-1]})
    joined = fitting.join(enclosed, on=LINE, how="left", maintain_order="left")
    return joined.select(pl.coalesce("regular", "parsed")).to_series()


def _split(lines: pl.Series, names: list[str], separator: str, quoted: bool) -> pl.DataFrame:
    """Fields as text, a column per name."""
    if lines.is_empty():
        return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    table = pl.read_csv(
        io.BytesIO("\n".join(lines.to_list()).encode()),
        has_header=False,
        new_columns=names,
        schema=dict.fromkeys(names, pl.String),
        separator=separator,
        quote_char='"' if quoted else None,
    )
    if table.height != lines.len():
        raise ImportLayoutError(f"{lines.len()} lines read as {table.height} rows; first: {lines[0]!r:.200}")
    return table


def _typed(field: Field) -> pl.Expr:
    text = pl.col(field.name)
    if field.kind == "text":
        return pl.when(text != "").then(text)
    number = text.str.strip_chars().cast(pl.Float64, strict=False)
    finite = pl.when(number.is_finite()).then(number)
    if field.kind == "number":
        return finite
    whole = pl.when(finite == finite.floor()).then(finite).cast(pl.Int64, strict=False)
    return pl.coalesce(text.str.strip_chars().cast(pl.Int64, strict=False), whole)


def _value_reason(field: Field) -> pl.Expr:
    text = pl.col(field.name)
    reason = pl.when(text.is_null() if field.required else pl.lit(False)).then(pl.lit(f"{field.name} is empty"))
    if field.kind == "text":
        return reason.otherwise(None)
    expected = "a whole number" if field.kind == "integer" else "a number"
    wrong = text.is_not_null() & _typed(field).is_null()
    return reason.when(wrong).then(pl.format(f"{field.name}: found '{{}}', expected {expected}", text)).otherwise(None)
