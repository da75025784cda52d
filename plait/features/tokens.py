"""Short texts and lists as values: what a query, or a list of tags, is looked up by.

A text is normalised (NFKC), case-folded and cut into runs of one kind. Letters and digits of scripts that put spaces
between words make one token per run. Han, Hiragana and Katakana, which do not, make a token of every character and of
every two neighbours: 下棋 is 下, 下棋, 棋. A symbol such as an emoji is a token of its own. Everything else separates.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby, islice, pairwise
from typing import Literal

import polars as pl

from plait.data.conversion import split_list
from plait.features.vocabulary import Key

MultiKind = Literal["list", "text"]
"""What holds the values of a multi-valued field: a list of them, or a short text that is cut into tokens."""

_MOST_CHARACTERS = 1_024
"""Texts are read this far: as far as a request's query may go."""
_UNSPACED = (
    (0x3005, 0x3007),  # iteration and closing marks, zero
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),  # Katakana extensions
    (0x3400, 0x4DBF),  # Han, extension A
    (0x4E00, 0x9FFF),  # Han
    (0xF900, 0xFAFF),  # Han, compatibility
    (0x20000, 0x3FFFF),  # Han, further extensions
)
_VARIATION_SELECTORS = (0xFE00, 0xFE0F)


def tokenise(text: str) -> Iterator[str]:
    """The tokens of a text, from its beginning on; see the module's docstring."""
    normal = unicodedata.normalize("NFKC", text[:_MOST_CHARACTERS]).casefold()
    visible = (char for char in normal if unicodedata.category(char) != "Cf")
    for kind, run in groupby(visible, key=_kind):
        if kind == "unspaced":
            yield from _characters_and_pairs("".join(run))
        elif kind == "symbol":
            yield from run
        elif kind == "word":
            word = "".join(run)
            if any(char.isalnum() for char in word):
                yield word


def values_of(value: object, kind: MultiKind, most: int) -> list[Key]:
    """The first `most` values of one field of one row; none where it is null or blank.

    Args:
        value: a text, a list, or text that lists values (see `plait.data.conversion.split_list`).
        kind: of the field.
        most: further values are cut.
    """
    if value is None:
        return []
    if kind == "text":
        return list(islice(tokenise(str(value)), most))
    if isinstance(value, str):
        return list(split_list(value)[:most])
    if isinstance(value, Sequence):
        return [each for each in value if each is not None][:most]
    return [value if isinstance(value, int) else str(value)]


def value_lists(values: pl.Series, kind: MultiKind, most: int) -> pl.Series:
    """As `values_of`, for a column: a list per row."""
    if kind == "text":
        return pl.Series(values.name, [values_of(text, kind, most) for text in values], pl.List(pl.String))
    return values.list.drop_nulls().list.head(most).fill_null([])


def _characters_and_pairs(run: str) -> Iterator[str]:
    for first, second in pairwise(run):
        yield first
        yield first + second
    yield run[-1]


@lru_cache(maxsize=65_536)
def _kind(char: str) -> Literal["unspaced", "word", "symbol", "other"]:
    code, category = ord(char), unicodedata.category(char)
    if any(first <= code <= last for first, last in _UNSPACED):
        return "unspaced"
    if category[0] in "LN" or (category[0] == "M" and not _VARIATION_SELECTORS[0] <= code <= _VARIATION_SELECTORS[1]):
        return "word"
    return "symbol" if category == "So" else "other"
