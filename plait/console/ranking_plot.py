"""A ranking of features as one SVG: a bar per feature and method."""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup, escape

from plait.data.artifacts import write_atomically
from plait.pipelines.feature_ranking import FeatureRanking

_COLOURS = ("#2563eb", "#d97706", "#059669")
_LINE, _BAR, _NAME, _WIDTH, _MOST = 26, 6, 210, 420, 40


def write_ranking_plot(ranking: FeatureRanking, path: Path) -> Path:
    """Write the plot of the most valuable features; see `ranking_plot`."""
    write_atomically(path, ranking_plot(ranking))
    return path


def ranking_plot(ranking: FeatureRanking) -> str:
    """The most valuable features by the first method; each method's bars are shares of its largest value."""
    methods = list(ranking.worth)
    order = sorted(range(len(ranking.features)), key=lambda each: ranking.places(methods[0])[each])[:_MOST]
    parts = [_legend(methods)]
    for line, index in enumerate(order, 1):
        y = line * _LINE
        parts.append(Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(
            _NAME - 8, y + 14, escape(ranking.features[index])
        ))  # fmt: skip
        for place, name in enumerate(methods):
            value = ranking.worth[name][index]
            largest = max(*ranking.worth[name], 1e-12)
            width = _WIDTH * min(max(value / largest, 0.0), 1.0)
            parts.append(_bar(y + 2 + place * (_BAR + 1), width, _COLOURS[place], f"{name}: {value:.5g}"))
    size = (_NAME + _WIDTH + 20, (len(order) + 1) * _LINE + 10)
    return str(
        Markup('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" font-family="sans-serif" font-size="11">')
        .format(*size) + Markup("\n").join(parts) + Markup("\n</svg>\n")
    )  # fmt: skip


def _bar(y: float, width: float, colour: str, note: str) -> Markup:
    return Markup('<rect x="{}" y="{}" width="{:.1f}" height="{}" fill="{}"><title>{}</title></rect>').format(
        _NAME, y, width, _BAR, colour, note
    )


def _legend(methods: Sequence[str]) -> Markup:
    texts = [
        Markup('<text x="{}" y="14" fill="{}">{}</text>').format(_NAME + 110 * place, _COLOURS[place], name)
        for place, name in enumerate(methods)
    ]
    return Markup("\n").join(texts)
