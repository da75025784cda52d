"""Calibration measured: before, after, with curves fitted anew every day, and the true probabilities beside them."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from plait.calibration import Method, sigmoid
from plait.errors import ArtifactError
from plait.models.calibrated import uncalibrated
from plait.models.loading import load_model
from plait.pipelines.calibration_check import Calibration, calibration_of
from plait.pipelines.calibration_log import Evidence, calibration_log
from plait.pipelines.calibration_refits import Schedule, refitted
from plait.pipelines.evaluate import registered_dataset
from plait.pipelines.oracle import has_oracle, oracle_probabilities
from plait.pipelines.project import Project
from plait.pipelines.results import Metric, write_result
from plait.registry import Registry
from plait.schema import Split

_ONCE_MS = 100 * 365 * 86_400_000
"""Longer than any window: curves are fitted where it begins and never again."""


@dataclass(frozen=True, slots=True)
class CalibrationOptions:
    """What is measured."""

    model: str
    method: Method = "field"
    once: Evidence = field(default_factory=Evidence)
    """What curves are fitted on that are fitted once, where the test window begins."""
    daily: Evidence = field(default_factory=Evidence)
    """And curves that are fitted anew every day."""
    every_ms: int = 86_400_000
    large: int = 6_000
    """Positives on the test window from which a cell is held to 1 itself, not to its interval."""
    bootstrap: int = 200
    name: str = "calibration_bench_world"
    write: bool = True
    settings: str = ""
    """Options of the command as they were typed."""


def measure_calibration(project: Project, options: CalibrationOptions) -> tuple[dict[str, Metric], Path | None]:
    """Calibrate a registered ranker and measure it on the test window.

    Raises:
        ArtifactError: there is no such ranker, or the workspace holds no true probabilities.
    """
    if not has_oracle(project.root):
        raise ArtifactError(f"{project.root} has no truth/: this measurement needs a simulated world (plait simulate)")
    source = Registry(project.hidden / "registry").resolve(options.model)
    dataset = registered_dataset(project, source)
    log = calibration_log(project, dataset, uncalibrated(load_model(source)), (Split.VALID, Split.TEST))
    rows_B = dataset.rows(Split.TEST)
    given = {"before": sigmoid(log.logits_BT[np.isin(log.rows_B, rows_B)])}
    for name, every_ms, evidence in (
        ("after", _ONCE_MS, options.once),
        ("refitted", options.every_ms, options.daily),
    ):
        given[name] = refitted(log, dataset, Schedule(every_ms, evidence, options.method))[1]
    given["oracle"] = oracle_probabilities(project.root, dataset.exposure_ids(rows_B), dataset.spec.objectives)
    metrics: dict[str, Metric] = {}
    for name, probabilities_BT in given.items():
        one = calibration_of(dataset, rows_B, probabilities_BT, bootstrap=options.bootstrap)
        metrics |= {f"{key}_{name}": metric for key, metric in _metrics(one, options.large).items()}
    path = _write(project, options, source.reference, metrics) if options.write else None
    return metrics, path


def _metrics(one: Calibration, large: int) -> dict[str, Metric]:
    """The numbers of one set of probabilities; names without what they are of."""
    cells = one.cells()
    apart = [abs(pcoc.value - 1) for _, _, positives, pcoc in cells if positives >= large]
    small = [pcoc for _, _, positives, pcoc in cells if positives < large]
    overall = one.evaluation.overall
    objectives = [scores.pcoc.value for scores in one.evaluation.by_objective.values() if scores.pcoc.defined]
    errors = [error for error in one.field_rce.values() if error == error]  # noqa: PLR0124 (a NaN differs from itself)
    return {
        "pcoc": Metric(one.pcoc),
        "pcoc_mean": Metric(overall.pcoc.value, overall.pcoc.low, overall.pcoc.high),
        "worst_objective": Metric(max(abs(value - 1) for value in objectives)),
        "worst_large_cell": Metric(max(apart, default=float("nan"))),
        "large_cells": Metric(len(apart), unit="cells"),
        "small_cells": Metric(len(small), unit="cells"),
        "small_cells_off": Metric(sum(pcoc.excludes(1.0) for pcoc in small), unit="cells"),
        "ece": Metric(overall.ece.value),
        "field_rce": Metric(sum(errors) / len(errors)),
        "logloss": Metric(overall.logloss.value, overall.logloss.low, overall.logloss.high, "nats"),
    }


def _write(project: Project, options: CalibrationOptions, model: str, metrics: dict[str, Metric]) -> Path:
    simulated = " (simulated)" if project.workspace.simulated else ""
    return write_result(
        options.name,
        command=f"plait bench calibration -w {project.workspace.name} --model {model} --method {options.method}"
        f"{options.settings}",
        data=f"{project.workspace.name}{simulated}: fitted on what was known before, measured on the test window",
        seeds=[project.workspace.seed],
        metrics=metrics,
        notes=(
            "before: the model as trained. after: curves fitted once, on the validation window as known at its end. "
            f"refitted: curves fitted anew every {options.every_ms / 3_600_000:g} hours, each on labels as known at "
            "that moment and only for exposures after it. oracle: the true probabilities, scored alike. "
            "pcoc: all mature labels of all objectives together; pcoc_mean: mean over objectives. worst_*: the largest "
            f"|PCOC - 1|, over objectives or over cells (scenario x objective) with at least {options.large:,} "
            "positives. small_cells_off: cells with fewer whose 95 % interval over resampled users excludes 1. "
            "field_rce: over scenarios, mean over objectives."
        ),
    )
