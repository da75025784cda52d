"""Durations as people write them: "30m", "24h", "7d"."""

import re
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PATTERN = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*$")


def parse_duration(text: object) -> int:
    """Milliseconds in `text`: a number with one of the units ms, s, m, h, d, or a whole number of milliseconds.

    Raises:
        ValueError: `text` is neither.
    """
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    match = _PATTERN.match(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'found {text!r}, expected a duration such as "30m", "24h" or "7d"')
    return round(float(match[1]) * _UNITS_MS[match[2]])


def format_duration(milliseconds: int) -> str:
    """The shortest exact spelling of `milliseconds`, so that `parse_duration` gives the same number back."""
    for unit in ("d", "h", "m", "s"):
        if milliseconds and milliseconds % _UNITS_MS[unit] == 0:
            return f"{milliseconds // _UNITS_MS[unit]}{unit}"
    return f"{milliseconds}ms"


Duration = Annotated[int, BeforeValidator(parse_duration), PlainSerializer(format_duration)]
"""A setting in milliseconds, written as "30m", "24h" or "7d"."""
