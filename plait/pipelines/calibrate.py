"""The calibration stage: curves fitted on a window that training did not see, and a version that holds them."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from plait.calibration import Curves, Method, fit_curves
from plait.data.samples import read_summary
from plait.errors import ArtifactError
from plait.features.dataset import EncodedDataset
from plait.models.calibrated import calibrated, curve_layer, uncalibrated
from plait.models.loading import CURVES_FILE, load_model
from plait.pipelines.calibration_log import Evidence, calibration_log
from plait.pipelines.evaluate import registered_dataset
from plait.pipelines.project import Project
from plait.pipelines.results import git_commit
from plait.pipelines.samples import built_samples
from plait.registry import RegisteredModel, Registry
from plait.schema import Split


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
    project: Project, reference: str, *, method: Method = "field", evidence: Evidence | None = None
) -> Calibrated:
    """Fit calibration curves of a registered ranker on the validation window and register it with them.

    The window is later than all that the weights were fitted to, and earlier than the test window, which no curve sees.
    A model that has curves already gets new ones instead of them.

    Args:
        project: the workspace.
        reference: `name`, `name@version` or `name@alias`.
        method: which curves.
        evidence: which exposures and labels of the window count, as known at its end.

    Raises:
        ArtifactError: there is no such ranker, it is of other data, or the window holds no label that says anything.
    """
    source = Registry(project.hidden / "registry").resolve(reference)
    dataset = registered_dataset(project, source)
    ranker = uncalibrated(load_model(source))
    moment = int(read_summary(built_samples(project))["as_of"][1])
    log = calibration_log(project, dataset, ranker, [Split.VALID])
    rows, time_B = log.known_at(moment, evidence or Evidence())
    if not len(time_B):
        raise ArtifactError("the validation window holds no label yet; look at [split] in plait.toml")
    curves = fit_curves(rows, method)
    noted: dict[str, int | str] = {
        "method": method,
        "of": source.reference,
        "window": Split.VALID.value,
        "rows": len(time_B),
        "from": int(time_B.min()),
        "to": int(time_B.max()),
    }
    registered = _register(project, source, curves, noted)
    return Calibrated(source, registered, dataset, ranker, calibrated(ranker, curve_layer(curves)), len(time_B))


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
