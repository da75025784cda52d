"""A registered model's user tower and light head as two artefacts."""

from pathlib import Path

from plait.errors import ArtifactError
from plait.models.calibrated import CalibratedSplitRanker
from plait.models.config import HstuConfig
from plait.models.hstu import HstuRanker
from plait.models.loading import load_config, load_model, load_spec
from plait.models.split import save_split
from plait.pipelines.models import model_registry
from plait.pipelines.project import open_project
from plait.registry import RegisteredModel


def export_model(root: Path, reference: str, out: Path) -> RegisteredModel:
    """Write the user tower and the light head of a model as `out`/tower and `out`/head.

    Raises:
        ArtifactError: there is no such model, a file of it is damaged, it has no tower, or `out` exists.
    """
    registered = model_registry(open_project(root)).resolve(reference)
    model, config = load_model(registered), load_config(registered)
    if not isinstance(model, HstuRanker | CalibratedSplitRanker) or not isinstance(config, HstuConfig):
        raise ArtifactError(f"{registered.reference} is of family {config.family}, expected hstu: no other has a tower")
    save_split(model, config, load_spec(registered), out, registered.reference)
    return registered
