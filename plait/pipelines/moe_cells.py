"""One cell of the grid of mixtures: a variant trained with one seed on a share of users, measured, and kept."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from plait.config import merge, nearest
from plait.data.artifacts import fingerprint, write_atomically
from plait.errors import ConfigError
from plait.evaluation import Evaluation
from plait.features.dataset import EncodedDataset
from plait.models.expert_head import ExpertHead
from plait.models.head import MlpHead
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.measure import measure
from plait.pipelines.project import Project
from plait.pipelines.train import TrainedModel, train_model
from plait.schema import Split
from plait.training import predict
from plait.training.data import draw_users

SINGLE = "single."
"""Begins the names of variants that learn one objective only."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A recipe and what is laid over it."""

    recipe: str
    overrides: Mapping[str, Any] = field(default_factory=dict)


VARIANTS: Mapping[str, Variant] = {
    "dnn": Variant("dnn"),
    "shared_bottom": Variant("moe-shared-bottom"),
    "dense": Variant("moe-dense"),
    "mmoe": Variant("moe-mmoe"),
    "global": Variant("moe-global"),
    "cgc": Variant("moe-cgc"),
    "ple": Variant("moe-ple"),
    "topk": Variant("moe-topk"),
    "star": Variant("moe-star"),
    "pepnet": Variant("moe-pepnet"),
    "home": Variant("moe-home"),
    "esmm": Variant("moe-esmm"),
    "dense_uncertainty": Variant("moe-dense", {"training": {"balancing": "uncertainty"}}),
    "dense_pcgrad": Variant("moe-dense", {"training": {"balancing": "pcgrad"}}),
}
"""Variants by the name that results call them by."""
USUAL = tuple(name for name in VARIANTS if name != "dense_pcgrad")
"""Those of a grid unless it says otherwise: PCGrad costs a backward pass per objective."""


@dataclass(frozen=True, slots=True)
class CellPlan:
    """What all cells of a grid share."""

    overrides: Mapping[str, Any]
    """Laid over every recipe, by section."""
    train_exposures: int | None
    """About how many a cell is trained on; None: all there are."""
    test_exposures: int
    bootstrap: int


@dataclass(frozen=True, slots=True)
class Cell:
    """A variant and a seed, measured on the test window."""

    evaluation: Evaluation
    valid: Mapping[str, float]
    """What the validation window said of the weights that were kept."""
    flops: int
    """Of the head, for one exposure."""
    seconds: float
    """Training."""
    probabilities: Path


class Cells:
    """Trains and measures cells; those that are done are read.

    Args:
        project: the opened workspace.
        plan: what all cells share.
    """

    def __init__(self, project: Project, plan: CellPlan) -> None:
        self.project, self.plan = project, plan

    @cached_property
    def dataset(self) -> EncodedDataset:
        """The workspace's samples."""
        return EncodedDataset.open(encoded_dataset(self.project))

    @cached_property
    def users_share(self) -> float:
        """Share of the training exposures, of whole users, that a cell is trained on."""
        wanted, there = self.plan.train_exposures, len(self.dataset.rows(Split.TRAIN))
        return 1.0 if wanted is None else min(1.0, wanted / there)

    def of(self, name: str, seed: int) -> Cell:
        """The cell of this variant and seed."""
        variant = variant_named(name, self.dataset.spec.objectives)
        training = {"seed": seed, "share": self.users_share, "share_of": "users"}
        overrides = merge(merge(dict(self.plan.overrides), dict(variant.overrides)), {"training": training})
        trained = train_model(
            self.project, variant.recipe, name=f"grid-{name}-{seed}", overrides=overrides, register=False
        )
        measured = trained.run / "measured.json"
        probabilities = measured.with_suffix(".npy")
        asked = fingerprint({"exposures": self.plan.test_exposures, "bootstrap": self.plan.bootstrap})
        if trained.reused and measured.exists():
            content = json.loads(measured.read_text(encoding="utf-8"))
            if content["asked"] == asked:
                return _cell(trained, Evaluation.from_json(content["evaluation"]), probabilities)
        found = predict(self.dataset, trained.model, Split.TEST, exposures=self.plan.test_exposures)
        np.save(probabilities, found.probabilities_BT)
        evaluation = measure(self.dataset, found.rows, found.probabilities_BT, bootstrap=self.plan.bootstrap)
        write_atomically(measured, json.dumps({"asked": asked, "evaluation": evaluation.to_json()}))
        return _cell(trained, evaluation, probabilities)

    def of_each_alone(self, seed: int) -> list[Cell]:
        """A model per objective that learns nothing else."""
        return [self.of(SINGLE + name, seed) for name in self.dataset.spec.objectives]

    def evaluate(self, probabilities_BT: NDArray[np.float32]) -> Evaluation:
        """Measure probabilities of the test exposures of all cells, each scenario x objective with its resamples."""
        rows_B = self.dataset.rows(Split.TEST)
        users_U = draw_users(self.dataset, Split.TEST, self.plan.test_exposures, 0)
        if users_U is not None:
            rows_B = rows_B[np.isin(self.dataset.user_rows(rows_B), users_U)]
        return measure(self.dataset, rows_B, probabilities_BT, bootstrap=self.plan.bootstrap, cell_replicates=True)

    def positives(self) -> NDArray[np.float64]:
        """`[T]`: about how many positive labels of each objective a cell trains on."""
        rows_B = self.dataset.rows(Split.TRAIN)
        positive_T: NDArray[np.float64] = (self.dataset.labels(rows_B) * self.dataset.mask(rows_B)).sum(0, np.float64)
        return positive_T * self.users_share


def variant_named(name: str, objectives: Sequence[str]) -> Variant:
    """A variant by name: one of `VARIANTS`, `dense_8`, `softmax_8` or `topk_8` for 8 experts, or `single.<objective>`.

    Raises:
        ConfigError: there is no such variant.
    """
    if name in VARIANTS:
        return VARIANTS[name]
    if name.startswith(SINGLE) and name.removeprefix(SINGLE) in objectives:
        return Variant("dnn", {"training": {"objectives": [name.removeprefix(SINGLE)]}})
    kind, _, count = name.rpartition("_")
    if kind in ("dense", "softmax", "topk") and count.isdecimal():
        experts: dict[str, Any] = {"shared": int(count)}
        if kind == "topk":
            experts |= {"routing": "topk", "top_k": 2}
        return Variant("moe-dense" if kind == "dense" else "moe-global", {"model": {"experts": experts}})
    raise ConfigError(f"no variant '{name}'{nearest(name, list(VARIANTS))}; or dense_8, softmax_8, topk_8, single.NAME")


def swept(experts: Sequence[int]) -> list[str]:
    """Names of the variants with so many experts, those left out that `VARIANTS` has or that gates make alike."""
    dense = [f"dense_{count}" for count in experts if count not in (1, 4)]
    gated = [f"softmax_{count}" for count in experts if count not in (1, 4)]
    return dense + gated + [f"topk_{count}" for count in experts if count > 2]


def head_flops(model: nn.Module) -> int:
    """Multiplications and additions of the model's head for one exposure; 0 where it has none of the kind."""
    heads = [part for part in model.modules() if isinstance(part, MlpHead | ExpertHead)]
    return sum(head.flops for head in heads)


def _cell(trained: TrainedModel, evaluation: Evaluation, probabilities: Path) -> Cell:
    best = next(point for point in reversed(trained.result.curve) if point.step == trained.result.best_step)
    return Cell(evaluation, best.metrics, head_flops(trained.model), trained.seconds, probabilities)
