"""The table of CTRL: backbones, and the same backbones aligned with texts first, on the same test exposures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plait.features.dataset import EncodedDataset
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.project import Project
from plait.pipelines.recipe_table import COLD, costs, exposure_slices, gains, quality, row_name, table_row
from plait.pipelines.results import Metric, write_result
from plait.training.recipe import parse_overrides

BACKBONES = ("wide-deep", "deepfm", "dcnv2", "autoint")
ALIGNED = {
    "ctrl-autoint": "autoint",
    "ctrl-dcnv2": "dcnv2",
    "ctrl-dcnv2-tuned": "dcnv2",
    "ctrl-dnn": "dnn",
}
"""What is compared with which backbone."""


@dataclass(frozen=True, slots=True)
class CtrlOptions:
    """What `plait bench ctrl` can be asked for."""

    recipes: Sequence[str] = (*BACKBONES, "ctrl-autoint", "ctrl-dcnv2")
    seeds: Sequence[int] = (1, 2, 3)
    settings: Sequence[str] = ()
    """Laid over every ranker's recipe, such as `training.share=0.1`."""
    bootstrap: int = 200
    requests: int = 200
    """How many are timed; 0 for none."""
    name: str = "ctrl_ml1m"
    write: bool = True


def measure_ctrl(project: Project, options: CtrlOptions) -> tuple[dict[str, Metric], Path | None]:
    """Train every recipe with every seed (what is trained already is used as it is), and measure the test window.

    Raises:
        ArtifactError: a recipe needs texts and `plait embed` was not run.
    """
    seeds, bootstrap = options.seeds, options.bootstrap
    slices = exposure_slices(EncodedDataset.open(encoded_dataset(project)))
    overrides = parse_overrides(list(options.settings))
    rows = {
        recipe: table_row(project, recipe, seeds=seeds, bootstrap=bootstrap, overrides=overrides, slices=slices)
        for recipe in options.recipes
    }
    metrics: dict[str, Metric] = {}
    for recipe, row in rows.items():
        metrics |= quality(row_name(recipe), row) | costs(project, row_name(recipe), row, options.requests)
        if (backbone := rows.get(ALIGNED.get(recipe, ""))) is not None:
            metrics |= gains(row_name(recipe), backbone, row)
    if not options.write:
        return metrics, None
    return metrics, write_result(
        options.name,
        command=_command(project, options),
        data=f"{project.workspace.name}: {rows[options.recipes[0]].whole[0].rows:,} test exposures",
        seeds=options.seeds,
        metrics=metrics,
        notes=_NOTES.format(kind=project.workspace.split.kind, cold=COLD),
    )


def _command(project: Project, options: CtrlOptions) -> str:
    asked = [f"--recipes {recipe}" for recipe in options.recipes]
    asked += [f"--seeds {seed}" for seed in options.seeds]
    asked += [f"--set {setting}" for setting in options.settings]
    return f"plait bench ctrl -w {project.root.name} {' '.join(asked)} --name {options.name}"


_NOTES = (
    "Split: {kind}. Epoch and settings were chosen on the validation window. gain: paired difference of AUC to the "
    "same backbone without alignment, 95 % over resampled users and, with several seeds, over seeds. Slices are by how "
    "often the training window shows the item or the user; cold: at most {cold} times. train_s: with the alignment, "
    "without encoding texts. bytes: of the weights that are served. p99_ms: one request in one process."
)
