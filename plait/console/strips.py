"""Dot plots made of rows: a label, a strip with marks on a shared scale, and the number itself."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from plait.console.formatting import fixed, interval, signed
from plait.console.scales import Scale, linear
from plait.evaluation import Difference, Estimate

Kind = Literal["main", "base", "oracle", "alone"]


@dataclass(frozen=True, slots=True)
class Mark:
    """A dot at `at` with a bar from `low` to `high`; places in percent of the strip."""

    kind: Kind
    at: float
    low: float | None
    high: float | None
    text: str
    """Shown where a pointer rests on it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a dot plot."""

    label: str
    note: str
    marks: tuple[Mark, ...]
    text: str
    """The number that matters, with its interval below."""
    below: str = ""


@dataclass(frozen=True, slots=True)
class Strips:
    """A dot plot."""

    ticks: tuple[tuple[float, str], ...]
    """Place in percent and text of each."""
    zero: float | None
    """Place of 0 where the plot is of differences."""
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Value:
    """What a mark stands for."""

    kind: Kind
    name: str
    estimate: Estimate | Difference | None


@dataclass(frozen=True, slots=True)
class Line:
    """What a row stands for: the first value is the one whose number is written out."""

    label: str
    note: str
    values: tuple[Value, ...]


def strips(lines: Sequence[Line], *, differences: bool = False) -> Strips:
    """Lay out a dot plot on a scale that holds every value and every interval."""
    scale = linear(_reach(lines), around=0.0 if differences else None)
    as_text: Callable[[float | None, int], str] = signed if differences else fixed
    rows = []
    for line in lines:
        first = line.values[0].estimate
        marks = tuple(mark for value in line.values if (mark := _mark(value, scale)) is not None)
        text = as_text(None if first is None else _number(first), 4)
        rows.append(Row(line.label, line.note, marks, text, interval(first)))
    ticks = tuple((100 * scale.place(tick), as_text(tick, scale.digits())) for tick in scale.ticks)
    return Strips(ticks, 100 * scale.place(0.0) if differences else None, tuple(rows))


def _mark(value: Value, scale: Scale) -> Mark | None:
    estimate = value.estimate
    if estimate is None or math.isnan(_number(estimate)):
        return None
    bounds = [None if bound is None else 100 * scale.place(bound) for bound in (estimate.low, estimate.high)]
    as_text = signed if isinstance(estimate, Difference) else fixed
    text = f"{value.name}: {as_text(_number(estimate))}"
    if spread := interval(estimate):
        text += f" ({spread})"
    return Mark(value.kind, 100 * scale.place(_number(estimate)), bounds[0], bounds[1], text)


def _number(estimate: Estimate | Difference) -> float:
    return estimate.difference if isinstance(estimate, Difference) else estimate.value


def _reach(lines: Sequence[Line]) -> Iterable[float]:
    for line in lines:
        for value in line.values:
            if value.estimate is not None:
                yield _number(value.estimate)
                yield from (bound for bound in (value.estimate.low, value.estimate.high) if bound is not None)
