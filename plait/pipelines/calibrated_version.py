"""The calibrated version of a registered model, without calibrating twice."""

from typing import Final

from plait.pipelines.calibrate import calibrate_model
from plait.pipelines.models import model_registry
from plait.pipelines.project import Project

_METHOD: Final = "field"


def calibrated_version(project: Project, source: str) -> str:
    """The newest version that holds `source` with curves per scenario and objective; made now unless there is one."""
    registry = model_registry(project)
    name = registry.resolve(source).name
    for version in sorted(registry.versions(name), reverse=True):
        found = registry.resolve(f"{name}@{version}")
        calibration = found.manifest.details.get("calibration", {})
        if (calibration.get("of"), calibration.get("method")) == (source, _METHOD):
            return found.reference
    return calibrate_model(project, source, method=_METHOD).registered.reference
