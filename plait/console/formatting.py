"""Numbers as people read them; what is unknown is a dash."""

import math

from plait.evaluation import Difference, Estimate

DASH = "–"
MINUS = "\N{MINUS SIGN}"


def count(number: int) -> str:
    """1234567 as "1,234,567"."""
    return f"{number:,}"


def short_count(number: float) -> str:
    """1234567 as "1.2M"."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= 0.9995 * size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


def fixed(number: float | None, digits: int = 4) -> str:
    """A number with so many decimals."""
    if number is None or math.isnan(number):
        return DASH
    return f"{number:.{digits}f}".replace("-", MINUS)


def signed(number: float | None, digits: int = 4) -> str:
    """A number with its sign, for differences; what rounds to 0 has none."""
    if number is None or math.isnan(number):
        return DASH
    text = f"{number:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", MINUS)


def interval(estimate: Estimate | Difference | None, digits: int = 4) -> str:
    """The bounds of an interval, signed for a difference; empty where there is none."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    as_text = signed if isinstance(estimate, Difference) else fixed
    return f"{as_text(estimate.low, digits)} to {as_text(estimate.high, digits)}"


def share(number: float) -> str:
    """A fraction as a percentage with three digits that count: "0.0123" is "1.23 %"."""
    if math.isnan(number):
        return DASH
    percent = 100 * number
    digits = 1 if percent >= 10 else 2 if percent >= 0.1 or percent == 0 else 4
    return f"{percent:.{digits}f} %"


def tick_share(number: float) -> str:
    """A round fraction as a short percentage, for ticks: 0.02 is "2 %"."""
    return f"{100 * number:.3g} %"


def seconds(number: float | None) -> str:
    """A duration: "0.42 s", "12.3 s", "3 min 20 s"."""
    if number is None or math.isnan(number):
        return DASH
    if number < 59.95:
        return f"{number:.2f} s" if number < 9.995 else f"{number:.1f} s"
    minutes, rest = divmod(round(number), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def milliseconds(number: float | None) -> str:
    """A short duration: "12.3 ms"."""
    return DASH if number is None or math.isnan(number) else f"{number:.1f} ms"
