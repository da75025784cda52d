"""What each choice of CTRL's alignment is worth: one setting changed at a time, on one backbone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from plait.config import merge
from plait.config.workspace import ModelSettings
from plait.pipelines.bench_ctrl import ALIGNED
from plait.pipelines.project import Project
from plait.pipelines.recipe_table import costs, gains, quality, row_name, table_row
from plait.pipelines.results import Metric, write_result
from plait.pipelines.train import train_model
from plait.training.recipe import parse_overrides

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "as_shipped": {},
    "m_4": {"model": {"align": {"subspaces": 4}}},
    "temperature_low": {"model": {"align": {"temperature": 0.05}}},
    "temperature_high": {"model": {"align": {"temperature": 0.3}}},
    "batch_512": {"training": {"batch_size": 512}},
    "batch_4096": {"training": {"batch_size": 4096}},
    "to_tabular_only": {"model": {"align": {"to_text": 0.0}}},
    "to_text_only": {"model": {"align": {"to_tabular": 0.0}}},
}
"""What is laid over stage one's recipe."""


@dataclass(frozen=True, slots=True)
class AblationOptions:
    """What `plait bench ctrl-ablation` can be asked for."""

    recipe: str = "ctrl-dcnv2"
    variants: Sequence[str] = tuple(VARIANTS)
    seeds: Sequence[int] = (1,)
    settings: Sequence[str] = ()
    """Laid over the rankers' recipes, such as `training.share=0.1`."""
    align: Sequence[str] = ()
    """Laid over every stage one, such as `training.share=0.3`; a variant's own setting goes before it."""
    bootstrap: int = 200
    name: str = "ctrl_ablation"
    write: bool = True


def measure_ablation(project: Project, options: AblationOptions) -> tuple[dict[str, Metric], Path | None]:
    """Train the backbone and every variant with every seed, and measure the test window.

    Raises:
        ArtifactError: `plait embed` was not run.
    """
    backbone = ALIGNED[options.recipe]
    project = _with_variants(project, options)
    overrides = parse_overrides(list(options.settings))
    before = table_row(project, backbone, seeds=options.seeds, bootstrap=options.bootstrap, overrides=overrides)
    metrics = quality(row_name(backbone), before)
    for variant in options.variants:
        found = _alignment(project, options, variant)
        row = table_row(
            project, _model(options, variant), seeds=options.seeds, bootstrap=options.bootstrap, overrides=overrides
        )
        metrics |= quality(variant, row) | gains(variant, before, row) | costs(project, variant, row, requests=0)
        metrics[f"{variant}.alignment"] = Metric(found, unit="fraction")
    if not options.write:
        return metrics, None
    made_up = " (simulated)" if project.workspace.simulated else ""
    return metrics, write_result(
        options.name,
        command=_command(project, options),
        data=f"{project.workspace.name}{made_up}: {before.whole[0].rows:,} test exposures",
        seeds=options.seeds,
        metrics=metrics,
        notes=_NOTES.format(backbone=backbone, recipe=options.recipe),
    )


def _with_variants(project: Project, options: AblationOptions) -> Project:
    """The workspace with a model per variant, and one for its stage one."""
    shared = parse_overrides(list(options.align))
    models = dict(project.workspace.models)
    for variant in options.variants:
        start = _start(options, variant)
        over = merge(shared, dict(VARIANTS[variant]))
        models[start] = _differing(project, f"{options.recipe}-align", over)
        models[_model(options, variant)] = _differing(project, options.recipe, {"training": {"start_from": start}})
    return replace(project, workspace=project.workspace.model_copy(update={"models": models}))


def _differing(project: Project, model: str, overrides: Mapping[str, Any]) -> ModelSettings:
    """A model of the workspace (or a recipe) with values laid over what the workspace says of it."""
    own = project.workspace.models.get(model, ModelSettings(recipe=model))
    return ModelSettings(recipe=own.recipe, overrides=merge(own.overrides, dict(overrides)))


def _alignment(project: Project, options: AblationOptions, variant: str) -> float:
    """How often rows and texts of the validation window find each other after stage one, mean over seeds."""
    start, found = _start(options, variant), []
    for seed in options.seeds:
        trained = train_model(
            project,
            start,
            name=f"{start}-start-{seed}",
            overrides={"training": {"seed": seed}},
            register=False,
        )
        found.append(-trained.best_value)
    return float(np.mean(found))


def _model(options: AblationOptions, variant: str) -> str:
    return f"{options.recipe}-{variant}"


def _start(options: AblationOptions, variant: str) -> str:
    return f"{options.recipe}-{variant}-align"


def _command(project: Project, options: AblationOptions) -> str:
    asked = [f"--recipe {options.recipe}", *(f"--variant {variant}" for variant in options.variants)]
    asked += [f"--seeds {seed}" for seed in options.seeds]
    asked += [f"--set {setting}" for setting in options.settings] + [f"--align {setting}" for setting in options.align]
    return f"plait bench ctrl-ablation -w {project.root.name} {' '.join(asked)} --name {options.name}"


_NOTES = (
    "Recipe {recipe} with one setting of its alignment changed at a time (docs/ctrl.md names them); gain: paired "
    "difference of AUC to {backbone} without alignment, 95 % over resampled users and, with several seeds, over seeds. "
    "alignment: how often rows and texts of the validation window find each other among 1,024 after stage one. "
    "train_s: with the alignment, without encoding texts."
)
