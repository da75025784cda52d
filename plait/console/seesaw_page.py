"""The page of `plait evaluate --page`: gains and losses by scenario and objective, and who uses which expert."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from plait.console.formatting import fixed, signed
from plait.data.artifacts import write_atomically
from plait.evaluation import Comparison, Difference
from plait.evaluation.scores import MetricName
from plait.pipelines.evaluate import Measured
from plait.pipelines.expert_use import ExpertUse, Floats

METRICS: Mapping[MetricName, tuple[str, int]] = {
    "auc": ("AUC", 1),
    "gauc": ("GAUC", 1),
    "normalised_entropy": ("NE", -1),
}
"""What is compared, its name, and whether more of it is better."""


@dataclass(frozen=True, slots=True)
class HeatCell:
    """One cell of a heat map."""

    text: str
    shade: float
    """-1 (against) to 1 (in favour)."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Rows of cells under a title."""

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[HeatCell]]]


def verdict(difference: Difference, better: int) -> int:
    """1 for a gain, -1 for a loss, 0 where the interval leaves it open."""
    return int(math.copysign(1, difference.difference * better)) if difference.excludes_zero else 0


def mark(difference: Difference, better: int) -> str:
    """The verdict as a sign."""
    return {1: "▲", -1: "▼", 0: "·"}[verdict(difference, better)]


def seesaw_map(comparison: Comparison, metric: MetricName) -> HeatMap:
    """Differences by scenario and objective; those with an interval on one side of 0 are shaded."""
    name, better = METRICS[metric]
    objectives = list(comparison.by_objective)
    rows = [("all scenarios", comparison.by_objective), *comparison.cells.items()]
    shown = [(label, [_compared(row[objective][metric], better) for objective in objectives]) for label, row in rows]
    return HeatMap(name, objectives, shown)


def expert_maps(uses: Sequence[ExpertUse], objectives: Sequence[str], scenarios: Sequence[str]) -> list[HeatMap]:
    """Of every level: the weight of each expert by mixture and by scenario, and what objectives lose without it."""
    maps = []
    for number, use in enumerate(uses, 1):
        level = f"level {number}: " if len(uses) > 1 else ""
        columns = [f"expert {expert}" for expert in range(use.load_GE.shape[1])]
        maps.append(_weights(f"{level}mean weight by mixture", columns, use.groups, use.load_GE))
        maps.append(_weights(f"{level}mean weight by scenario", columns, scenarios, use.load_SE))
        maps.append(
            _losses(f"{level}rise of the loss (thousandths) without the expert", columns, objectives, use.loss_TE)
        )
    return maps


def write_page(path: Path, model: str, against: str | None, measured: Measured) -> None:
    """Write the page; it needs no other file.

    Args:
        path: where.
        model: what was measured.
        against: what it is compared with, if anything.
        measured: what came out.
    """
    evaluation = measured.evaluation
    environment = Environment(loader=PackageLoader("plait.console"), autoescape=True, undefined=StrictUndefined)
    text = environment.get_template("seesaw.html").render(
        title=model if against is None else f"{model} against {against}",
        evaluation=evaluation,
        maps=[] if measured.comparison is None else [seesaw_map(measured.comparison, metric) for metric in METRICS],
        experts=expert_maps(measured.experts, evaluation.objectives, evaluation.scenarios),
        against=against,
    )
    write_atomically(path, text)


def _compared(one: Difference, better: int) -> HeatCell:
    if math.isnan(one.difference):
        return HeatCell("", 0.0, "undefined")
    interval = f" ({signed(one.low)} to {signed(one.high)})" if one.low is not None else ""
    sign = mark(one, better)
    return HeatCell(
        f"{signed(one.difference)}{sign}",
        float(verdict(one, better)) * min(1.0, 0.35 + abs(one.difference) * 20),
        f"{fixed(one.a)} to {fixed(one.b)}{interval}",
    )


def _weights(title: str, columns: Sequence[str], labels: Sequence[str], weight_RE: Floats) -> HeatMap:
    rows = [
        (label, [HeatCell("" if math.isnan(w) else f"{w:.2f}", 0.0 if math.isnan(w) else float(w)) for w in row])
        for label, row in zip(labels, weight_RE, strict=True)
    ]
    return HeatMap(title, columns, rows)


def _losses(title: str, columns: Sequence[str], labels: Sequence[str], loss_RE: Floats) -> HeatMap:
    """Shaded by row: what matters most to an objective is dark, however small its loss is."""
    rows = []
    for label, row in zip(labels, loss_RE, strict=True):
        most = max(float(abs(row).max()), 1e-12)
        cells = [HeatCell(f"{1000 * rise:+.2f}", float(rise) / most, f"{rise:+.6f}") for rise in row]
        rows.append((label, cells))
    return HeatMap(title, columns, rows)
