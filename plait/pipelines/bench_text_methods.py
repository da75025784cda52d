"""Ways to let a light ranker know what texts say, in one table: quality, what training costs, what serving costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plait.features.dataset import EncodedDataset
from plait.pipelines.embed import embedding_encoder
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.project import Project
from plait.pipelines.recipe_table import COLD, costs, exposure_slices, gains, quality, table_row
from plait.pipelines.results import Metric, write_result
from plait.training.recipe import parse_overrides

BACKBONE = "dcnv2"
METHODS = {
    "none": BACKBONE,
    "user_embedding": "dcnv2-text",
    "kar": "kar-dcnv2",
    "distillation": "distil-dcnv2",
    "ctrl": "ctrl-dcnv2",
    "text_alone": "text-ranker",
}
"""The recipe of each method; the first is without texts, the last without ids."""


@dataclass(frozen=True, slots=True)
class MethodOptions:
    """What `plait bench text-methods` can be asked for."""

    methods: Sequence[str] = tuple(METHODS)
    seeds: Sequence[int] = (1, 2, 3)
    settings: Sequence[str] = ()
    """Laid over every ranker's recipe, such as `training.share=0.1`."""
    bootstrap: int = 200
    requests: int = 200
    """How many are timed; 0 for none."""
    name: str = "text_methods"
    write: bool = True


def measure_methods(project: Project, options: MethodOptions) -> tuple[dict[str, Metric], Path | None]:
    """Train every method with every seed (what is trained already is used as it is), and measure the test window.

    Raises:
        ArtifactError: `plait embed` was not run, or something has changed since.
    """
    encoder = embedding_encoder(project)
    slices = exposure_slices(EncodedDataset.open(encoded_dataset(project)))
    cold = {name: slices[name] for name in ("cold_items", "cold_users")}
    overrides = parse_overrides(list(options.settings))
    rows = {
        method: table_row(
            project,
            METHODS[method],
            seeds=options.seeds,
            bootstrap=options.bootstrap,
            overrides=overrides,
            slices=cold,
        )
        for method in options.methods
    }
    metrics: dict[str, Metric] = {}
    for method, row in rows.items():
        metrics |= quality(method, row) | costs(project, method, row, options.requests)
        if method != "none" and "none" in rows:
            metrics |= gains(method, rows["none"], row)
    if not options.write:
        return metrics, None
    made_up = " (simulated)" if project.workspace.simulated else ""
    asked = [f"--methods {method}" for method in options.methods] + [f"--seeds {seed}" for seed in options.seeds]
    asked += [f"--set {setting}" for setting in options.settings]
    return metrics, write_result(
        options.name,
        command=f"plait bench text-methods -w {project.root.name} {' '.join(asked)} --name {options.name}",
        data=f"{project.workspace.name}{made_up}: {rows[options.methods[0]].whole[0].rows:,} test exposures",
        seeds=options.seeds,
        metrics=metrics,
        notes=_NOTES.format(encoder=encoder, backbone=BACKBONE, cold=COLD),
    )


_NOTES = (
    "Backbone {backbone}, texts by the encoder {encoder}. none: without texts; user_embedding: the user's vector as "
    "one more field; kar: vectors of user and item through hybrid experts as two; distillation: half of every training "
    "label is the probability of text_alone, a ranker of text vectors only; ctrl: aligned with texts first. gain: "
    "paired difference of AUC to none, 95 % over resampled users and, with several seeds, over seeds. cold: at most "
    "{cold} training exposures. train_s: teacher and alignment included, without encoding texts, which all but none "
    "need. p99_ms: one request in one process; bytes: of the weights that are served."
)
