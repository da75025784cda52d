"""Axes: round ticks, and values as places between 0 and 1."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """From `low` to `high`; `bend` straightens the values first (identity, square root, logarithm)."""

    low: float
    high: float
    ticks: tuple[float, ...]
    bend: Callable[[float], float] = float

    def place(self, value: float) -> float:
        """Where `value` lies: 0 at the low end, 1 at the high end, held inside."""
        low, high = self.bend(self.low), self.bend(self.high)
        return min(1.0, max(0.0, (self.bend(min(max(value, self.low), self.high)) - low) / (high - low)))

    def digits(self) -> int:
        """Decimals that tell the ticks apart."""
        steps = [after - before for before, after in zip(self.ticks, self.ticks[1:], strict=False)]
        return max(0, -math.floor(math.log10(min(steps)) + 1e-9)) if steps else 2


def linear(values: Iterable[float], *, around: float | None = None, parts: int = 5) -> Scale:
    """A linear scale with round ticks over all `values` that are numbers (and over `around`, where given)."""
    known = [value for value in values if not math.isnan(value)] + ([] if around is None else [around])
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    margin = 0.06 * (high - low) or 0.01
    low, high = low - margin, high + margin
    step = _round_step((high - low) / parts)
    first = math.ceil(low / step - 1e-9)
    ticks = tuple(round(k * step, 10) for k in range(first, math.floor(high / step + 1e-9) + 1))
    return Scale(low, high, ticks)


def logarithmic(values: Iterable[float]) -> Scale:
    """A logarithmic scale over all `values`, which are above 0; ticks at 1, 2 and 5 times powers of ten.

    Where those are too few, at round steps.
    """
    known = list(values)
    low, high = min(known), max(known)
    margin = max((high / low) ** 0.04, 1.01)
    low, high = low / margin, high * margin
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [factor * 10.0**decade for decade in decades for factor in (1, 2, 5)]
    if sum(low <= tick <= high for tick in ticks) < 2:
        ticks = list(linear(known).ticks)
    return Scale(low, high, tuple(tick for tick in ticks if low <= tick <= high), math.log)


def square_root(highest: float) -> Scale:
    """From 0 to `highest`, with more room for what is rare; round ticks at about every third of the axis."""
    top = highest if highest > 0 else 1.0
    ticks = {0.0}
    for part in (0.36, 0.68, 1.0):
        wanted = top * part**2
        step = 10 ** math.floor(math.log10(wanted))
        ticks.add(round(math.floor(wanted / step + 1e-9) * step, 10))
    return Scale(0.0, top, tuple(sorted(ticks)), math.sqrt)


def _round_step(step: float) -> float:
    size: float = 10 ** math.floor(math.log10(step))
    return next(factor * size for factor in (1, 2, 5, 10) if factor * size >= step * 0.999)
