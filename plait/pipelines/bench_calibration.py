"""Calibration measured: before, after, with curves fitted anew every day, and the true probabilities beside them."""

from dataclasses import dataclass, field
from pathlib import Path

from plait.calibration import Method
from plait.errors import ArtifactError
from plait.features.dataset import EncodedDataset
from plait.pipelines.calibrate import calibrate_model
from plait.pipelines.calibration_check import Calibration, calibration_of, check_calibration
from plait.pipelines.calibration_refits import Schedule, refitted
from plait.pipelines.oracle import has_oracle, oracle_probabilities
from plait.pipelines.project import Project
from plait.pipelines.results import Metric, write_result
from plait.schema import Split


@dataclass(frozen=True, slots=True)
class CalibrationOptions:
    """What is measured."""

    model: str
    method: Method = "field"
    last: str | None = "4d"
    last_ms: int | None = 4 * 86_400_000
    schedule: Schedule = field(default_factory=Schedule)
    large: int = 6_000
    """Positives on the test window from which a cell is held to 1 itself, not to its interval."""
    bootstrap: int = 200
    name: str = "calibration_bench_world"
    write: bool = True


def measure_calibration(project: Project, options: CalibrationOptions) -> tuple[dict[str, Metric], Path | None]:
    """Calibrate a registered ranker and measure it on the test window.

    Raises:
        ArtifactError: there is no such ranker, or the workspace holds no true probabilities.
    """
    if not has_oracle(project.root):
        raise ArtifactError(f"{project.root} has no truth/: this measurement needs a simulated world (plait simulate)")
    done = calibrate_model(project, options.model, method=options.method, last_ms=options.last_ms)
    compared = check_calibration(done, bootstrap=options.bootstrap)
    rows_B, refitted_BT = refitted(project, done.dataset, done.ranker, options.schedule)
    again = calibration_of(done.dataset, rows_B, refitted_BT, bootstrap=options.bootstrap)
    truth = _oracle(project, done.dataset, options.bootstrap)
    metrics: dict[str, Metric] = {}
    for name, one in (("before", compared.before), ("after", compared.after), ("refitted", again), ("oracle", truth)):
        metrics |= {f"{key}_{name}": metric for key, metric in _metrics(one, options.large).items()}
    path = _write(project, options, done.source.reference, metrics) if options.write else None
    return metrics, path


def _oracle(project: Project, dataset: EncodedDataset, bootstrap: int) -> Calibration:
    rows_B = dataset.rows(Split.TEST)
    truth_BT = oracle_probabilities(project.root, dataset.exposure_ids(rows_B), dataset.spec.objectives)
    return calibration_of(dataset, rows_B, truth_BT, bootstrap=bootstrap)


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
    last = f" --last {options.last}" if options.last else ""
    simulated = " (simulated)" if project.workspace.simulated else ""
    return write_result(
        options.name,
        command=f"plait bench calibration -w {project.workspace.name} --model {model} --method {options.method}{last}",
        data=f"{project.workspace.name}{simulated}: fitted on the validation window, measured on the test window",
        seeds=[project.workspace.seed],
        metrics=metrics,
        notes=(
            "before: the model as trained. after: curves fitted once, on the last part of the validation window. "
            f"refitted: curves fitted anew every {options.schedule.every_ms / 3_600_000:g} hours, each on the "
            f"{options.schedule.trail_ms / 86_400_000:g} days before the last mature label, with labels as known at "
            "that moment and only for exposures after it. oracle: the true probabilities, scored alike. "
            "pcoc: all mature labels of all objectives together; pcoc_mean: mean over objectives. worst_*: the largest "
            f"|PCOC - 1|, over objectives or over cells (scenario x objective) with at least {options.large:,} "
            "positives. small_cells_off: cells with fewer whose 95 % interval over resampled users excludes 1. "
            "field_rce: over scenarios, mean over objectives."
        ),
    )
