"""The report: everything a run found, as one HTML file that needs nothing else, and the same as JSON beside it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from plait.console import formatting
from plait.console.alignment_page import alignment_planes
from plait.console.plots import learning_plot, reliability_plot
from plait.console.strips import Kind, Line, Strips, Value, strips
from plait.console.sweep_page import sweep_plot
from plait.console.thumbnails import is_video, thumbnail
from plait.data.artifacts import write_atomically
from plait.evaluation import Estimate, Evaluation, Scores
from plait.pipelines.report_data import LadderRow, ReportData

MAX_CREATIVES = 24
"""How many creatives the gallery shows; each adds some kilobytes to the page."""
COLUMNS = (
    ("auc", "AUC"),
    ("gauc", "GAUC"),
    ("logloss", "logloss"),
    ("normalised_entropy", "NE"),
    ("pcoc", "PCOC"),
)


def render_report(report: ReportData, path: Path) -> Path:
    """Write the report as one HTML file, and its content as JSON under the same name with `.json`.

    The page loads nothing: styles, plots and pictures are inside it, it has no scripts, and it forbids itself to load
    any. Whatever text the data holds is escaped.

    Args:
        report: what to say; sections without content are left out.
        path: of the HTML file, such as `report.html`.

    Returns:
        `path`.

    Raises:
        KeyError: `report.featured` is not among its models.
    """
    page = _environment().get_template("report.html").render(_context(report))
    write_atomically(path, page)
    write_atomically(path.with_suffix(".json"), json.dumps(report.to_json(), indent=1, ensure_ascii=False) + "\n")
    return path


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("plait.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = ("count", "fixed", "signed", "interval", "share", "seconds", "milliseconds")
    environment.filters |= {name: getattr(formatting, name) for name in names}
    return environment


def _context(report: ReportData) -> dict[str, Any]:
    featured = report.model(report.featured)
    return {
        "report": report,
        "columns": COLUMNS,
        "ladder_auc": _ladder_auc(report),
        "ladder_gain": _ladder_gain(report.ladder),
        "oracle_metrics": {} if report.oracle is None else report.oracle.overall.metrics(),
        "by_scenario": _by_slice(report, "by_scenario", featured.scenarios),
        "by_objective": _by_slice(report, "by_objective", featured.objectives),
        "featured": featured,
        "first": report.models[0].name,
        "reliability": [
            (name, featured.by_objective[name], reliability_plot(curve, name))
            for name, curve in featured.reliability.items()
            if curve
        ],
        "curves": [
            (curve, learning_plot(curve, [one for one in report.curves if one is not curve]))
            for curve in report.curves
            if curve.points
        ],
        "sweep_plot": sweep_plot(report.sweep) if report.sweep else None,
        "planes": alignment_planes(report.alignment) if report.alignment else (),
        "creatives": [
            (creative, thumbnail(creative.path), is_video(creative.path))
            for creative in report.creatives[:MAX_CREATIVES]
        ],
        "response_text": _as_text(report.served.response) if report.served else "",
        "request_text": _as_text(report.served.request) if report.served else "",
    }


def _ladder_auc(report: ReportData) -> Strips:
    lines = [Line(row.name, row.adds, (Value("main", row.name, row.metrics["auc"]),)) for row in report.ladder]
    if report.oracle is not None:
        oracle = Value("oracle", "oracle", report.oracle.overall.auc)
        lines.append(Line("oracle", "the true probabilities of the simulated world", (oracle,)))
    return strips(lines)


def _ladder_gain(ladder: Sequence[LadderRow]) -> Strips | None:
    """Every rung's step, and its ingredient alone; None where the ladder has one rung."""
    lines = [
        Line(row.name, "", (Value("main", "on the rung below", row.to_previous), Value("alone", "alone", row.alone)))
        for row in ladder
        if row.to_previous is not None
    ]
    return strips(lines, differences=True) if lines else None


def _by_slice(report: ReportData, group: str, names: Sequence[str]) -> Strips:
    """AUC of the featured model by scenario or objective, beside the first model and the oracle; best first."""
    featured, first = report.model(report.featured), report.models[0]
    beside: list[tuple[Kind, str, Evaluation]] = []
    if first.name != report.featured:
        beside.append(("base", first.name, first.evaluation))
    if report.oracle is not None:
        beside.append(("oracle", "oracle", report.oracle))
    lines = []
    for name in names:
        scores: Scores = getattr(featured, group)[name]
        values = [Value("main", report.featured, scores.auc)]
        # Without their intervals: three bars in a row would hide each other, and the models are paired anyway.
        values += [Value(kind, model, Estimate(getattr(one, group)[name].auc.value)) for kind, model, one in beside]
        lines.append(Line(name, f"{scores.positives:,} positives", tuple(values)))
    lines.sort(key=lambda line: _sorting(line.values[0]), reverse=True)
    return strips(lines)


def _sorting(value: Value) -> float:
    """The AUC, with what is undefined at the end."""
    estimate = value.estimate
    return estimate.value if isinstance(estimate, Estimate) and estimate.defined else -1.0


def _as_text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, default=str)
