"""The calibration stage: curves fitted on a window that training did not see, and a version that holds them."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from plait.calibration import CalibrationRows, Curves, Method, fit_curves, logit
from plait.errors import ArtifactError
from plait.features.dataset import EncodedDataset
from plait.models.calibrated import calibrated, curve_layer, uncalibrated
from plait.models.loading import CURVES_FILE, load_model
from plait.pipelines.evaluate import registered_dataset
from plait.pipelines.project import Project
from plait.pipelines.results import git_commit
from plait.registry import RegisteredModel, Registry
from plait.schema import Split
from plait.training import predict


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A new version whose probabilities are calibrated."""

    source: RegisteredModel
    """What was calibrated."""
    registered: RegisteredModel
    dataset: EncodedDataset
    ranker: nn.Module
    """The model without curves."""
    model: nn.Module
    """With them."""
    rows: int
    """Exposures that the curves were fitted on."""


def calibrate_model(
    project: Project, reference: str, *, method: Method = "field", last_ms: int | None = None
) -> Calibrated:
    """Fit calibration curves of a registered ranker on the validation window and register it with them.

    The window is later than all that the weights were fitted to, and earlier than the test window, which no curve sees.
    A model that has curves already gets new ones instead of them.

    Args:
        project: the workspace.
        reference: `name`, `name@version` or `name@alias`.
        method: which curves.
        last_ms: of each objective only the last exposures whose labels are mature, over this many milliseconds; None
            for all.

    Raises:
        ArtifactError: there is no such ranker, it is of other data, or the window holds no exposures.
    """
    source = Registry(project.hidden / "registry").resolve(reference)
    dataset = registered_dataset(project, source)
    ranker = uncalibrated(load_model(source))
    rows, time_B = _rows(dataset, ranker, last_ms)
    if not len(time_B):
        raise ArtifactError("the validation window holds no exposures; look at [split] in plait.toml")
    curves = fit_curves(rows, method)
    fitted_on = {"window": Split.VALID.value, "rows": len(time_B), "from": int(time_B.min()), "to": int(time_B.max())}
    registered = _register(project, source, curves, {"method": method, "of": source.reference, **fitted_on})
    return Calibrated(source, registered, dataset, ranker, calibrated(ranker, curve_layer(curves)), len(time_B))


def _rows(dataset: EncodedDataset, ranker: nn.Module, last_ms: int | None) -> tuple[CalibrationRows, NDArray[np.int64]]:
    """Labelled logits of the validation window, and the times of their exposures."""
    predictions = predict(dataset, ranker, Split.VALID, label="validation window")
    time_B, mask_BT = dataset.times(predictions.rows), predictions.mask_BT
    if last_ms is not None:
        mask_BT = mask_BT & (time_B[:, None] > last_mature(time_B, mask_BT) - last_ms)
    rows = CalibrationRows(
        logit(predictions.probabilities_BT),
        predictions.labels_BT > 0,
        mask_BT,
        dataset.scenarios(predictions.rows).astype(np.int64),
        len(dataset.spec.scenarios),
    )
    return rows, time_B


def last_mature(time_B: NDArray[np.int64], mask_BT: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Time of the last exposure whose label is mature, by objective; the first of all times where there is none."""
    return np.where(mask_BT, time_B[:, None], time_B.min(initial=0)).max(axis=0, initial=0)


def _register(
    project: Project, source: RegisteredModel, curves: Curves, calibration: dict[str, int | str]
) -> RegisteredModel:
    """The source's files and the curves as the next version of the same name."""
    registry, manifest = Registry(project.hidden / "registry"), source.manifest
    given = {
        "data_fingerprint": manifest.data_fingerprint,
        "config": manifest.config,
        "metrics": manifest.metrics,
        "commit": git_commit(),
        **manifest.details,
        "calibration": calibration,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / CURVES_FILE
        save_file(curve_layer(curves).state_dict(), path)
        files = {name: source.file(name) for name in manifest.files} | {CURVES_FILE: path}
        version = registry.register(source.name, files, given)
    return registry.resolve(f"{source.name}@{version}")
