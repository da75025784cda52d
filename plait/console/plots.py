"""Small SVG plots, drawn by hand: they take their colours from the page and scale with it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from plait.console.formatting import fixed, share, short_count, tick_share
from plait.console.scales import Scale, linear, square_root
from plait.evaluation import ReliabilityBin
from plait.pipelines.report_data import LearningCurve


@dataclass(frozen=True, slots=True)
class WidthPoint:
    """One width of a feature and the AUC with it."""

    width: int
    auc: float
    low: float
    high: float


_Text = Callable[[float], str]
_Places = Sequence[Sequence[float]]
_SIDE, _PLANE = 200, 360
_LEFT, _TOP, _RIGHT, _BOTTOM = 46, 10, 12, 34


def reliability_plot(curve: Sequence[ReliabilityBin], name: str) -> Markup:
    """Predicted against observed shares on square-root axes: on the diagonal, probabilities mean what they say."""
    highest = max((max(one.predicted, one.observed, one.high or 0.0) for one in curve), default=1.0)
    scale = square_root(min(1.0, highest * 1.04))
    frame = _Frame(scale, scale, _SIDE, _SIDE)
    corner = frame.x(scale.high), frame.y(scale.high)
    parts = [frame.grid(tick_share, tick_share), _line("diagonal", frame.x(0), frame.y(0), *corner)]
    for one in curve:
        if one.low is not None and one.high is not None:
            x = frame.x(one.predicted)
            parts.append(_line("bar", x, frame.y(one.low), x, frame.y(one.high)))
    parts.append(_path("thin", [(frame.x(one.predicted), frame.y(one.observed)) for one in curve]))
    for one in curve:
        note = f"predicted {share(one.predicted)}, observed {share(one.observed)}, {one.rows:,} rows"
        parts.append(_dot("dot", frame.x(one.predicted), frame.y(one.observed), note))
    return frame.svg(parts, f"Reliability of {name}: predicted against observed", "predicted", "observed")


def learning_plot(curve: LearningCurve, others: Sequence[LearningCurve]) -> Markup:
    """Validation AUC by exposures trained on; the other curves stand behind it in grey, on the same scale."""
    everyone = [point for one in others for point in one.points] + list(curve.points)
    vertical = linear((point.auc for point in everyone), parts=4)
    most = max((point.exposures for point in everyone), default=1)
    frame = _Frame(Scale(0.0, float(most), (0.0, most / 2, float(most))), vertical, 230, 150)
    parts = [frame.grid(short_count, lambda tick: fixed(tick, vertical.digits()))]
    for one in (*others, curve):
        own = one is curve
        known = [point for point in one.points if not math.isnan(point.auc)]
        places = [(frame.x(point.exposures), frame.y(point.auc)) for point in known]
        parts.append(_path("curve" if own else "other", places))
        if own:
            parts += [
                _dot("dot", x, y, f"{point.exposures:,} exposures: AUC {fixed(point.auc)}, logloss {fixed(point.loss)}")
                for (x, y), point in zip(places, known, strict=True)
            ]
        elif len(places) == 1:
            parts.append(_dot("faint", *places[0], one.name))
    return frame.svg(parts, f"Learning curve of {curve.name}", "exposures trained on", "validation AUC")


def width_plot(points: Sequence[WidthPoint], without: float) -> Markup:
    """AUC by the width of a feature, on a logarithmic axis, with intervals; a line where it is without the feature."""
    vertical = linear((bound for one in points for bound in (one.auc, one.low, one.high)), around=without, parts=4)
    widths = [float(one.width) for one in points]
    frame = _Frame(Scale(min(widths), max(widths), tuple(widths), math.log2), vertical, 320, 180)
    parts = [frame.grid(lambda tick: str(int(tick)), lambda tick: fixed(tick, vertical.digits()))]
    parts.append(_line("diagonal", frame.x(min(widths)), frame.y(without), frame.x(max(widths)), frame.y(without)))
    parts += [
        _line("bar", frame.x(one.width), frame.y(one.low), frame.x(one.width), frame.y(one.high)) for one in points
    ]
    parts.append(_path("curve", [(frame.x(one.width), frame.y(one.auc)) for one in points]))
    for one in points:
        note = f"d = {one.width}: AUC {fixed(one.auc)} ({fixed(one.low)} to {fixed(one.high)})"
        parts.append(_dot("dot", frame.x(one.width), frame.y(one.auc), note))
    return frame.svg(parts, "AUC by the width of the feature; the dashed line is without it", "d", "test AUC")


def pairs_plot(rows: _Places, texts: _Places, names: Sequence[str], title: str) -> Markup:
    """Rows and texts as dots on one plane, partners joined by a line; the plane is as wide as the farthest dot."""
    reach = max((abs(value) for place in (*rows, *texts) for value in place), default=1.0) or 1.0
    centre = _PLANE / 2

    def placed(place: Sequence[float]) -> tuple[float, float]:
        return centre + place[0] / reach * (centre - 8), centre - place[1] / reach * (centre - 8)

    dots = [(placed(row), placed(text), name) for row, text, name in zip(rows, texts, names, strict=True)]
    parts = [_line("pair", *row, *text) for row, text, _ in dots]
    parts += [_dot("row", *row, f"row: item {name}") for row, _, name in dots]
    parts += [_dot("words", *text, f"text: item {name}") for _, text, name in dots]
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _PLANE, _PLANE, f"Rows and texts {title} alignment", Markup("").join(parts)
    )


class _Frame:
    """The plotting area with its two scales, in pixels of the drawing."""

    def __init__(self, across: Scale, up: Scale, width: int, height: int) -> None:
        self.across, self.up, self.width, self.height = across, up, width, height

    def x(self, value: float) -> float:
        return _LEFT + self.across.place(value) * self.width

    def y(self, value: float) -> float:
        return _TOP + (1 - self.up.place(value)) * self.height

    def grid(self, across_text: _Text, up_text: _Text) -> Markup:
        """Grid lines and tick labels."""
        right, bottom = _LEFT + self.width, _TOP + self.height
        parts = []
        for tick in self.up.ticks:
            y = self.y(tick)
            parts.append(_line("grid", _LEFT, y, right, y))
            parts.append(_label("end", _LEFT - 6, y + 3.5, up_text(tick)))
        for tick in self.across.ticks:
            x = self.x(tick)
            parts.append(_line("grid", x, _TOP, x, bottom))
            parts.append(_label("middle", x, bottom + 14, across_text(tick)))
        return Markup("").join(parts)

    def svg(self, parts: Sequence[Markup], title: str, across: str, up: str) -> Markup:
        """The drawing, with a title for those who hear the page and the names of both axes."""
        width, height = _LEFT + self.width + _RIGHT, _TOP + self.height + _BOTTOM
        names = [
            _label("middle name", _LEFT + self.width / 2, height - 4, across),
            _label("start name", _LEFT + 5, _TOP + 11, up),
        ]
        return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
            width, height, title, Markup("").join([*parts, *names])
        )


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(kind, x1, y1, x2, y2)


def _path(kind: str, places: Sequence[tuple[float, float]]) -> Markup:
    return Markup('<polyline class="{}" points="{}"/>').format(kind, " ".join(f"{x:.1f},{y:.1f}" for x, y in places))


def _dot(kind: str, x: float, y: float, note: str) -> Markup:
    return Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="3"><title>{}</title></circle>').format(
        kind, x, y, escape(note)
    )


def _label(kind: str, x: float, y: float, text: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(kind, x, y, text)
