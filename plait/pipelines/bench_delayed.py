"""Delayed feedback measured: waiting, naive and corrected training against a simulated world's true probabilities."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray

from plait import seeding
from plait.calibration import logit
from plait.data.attribution import maturity_window
from plait.errors import ArtifactError, ConfigError
from plait.evaluation.comparison import student_quantile
from plait.features.dataset import EncodedDataset
from plait.models.builder import build_model
from plait.models.config import AlignedConfig, NextItemConfig
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.feedback import training_shares
from plait.pipelines.oracle import has_oracle, oracle_probabilities
from plait.pipelines.project import Project
from plait.pipelines.results import Metric, write_result
from plait.pipelines.train import workspace_recipe
from plait.schema import Split
from plait.telemetry import console
from plait.training import predict, train
from plait.training.delayed import DelayedFeedback

_DAY_MS = 86_400_000
_MOST_WAYS: tuple[DelayedFeedback, ...] = get_args(DelayedFeedback)


@dataclass(frozen=True, slots=True)
class DelayedOptions:
    """What is measured."""

    recipe: str = "dnn-small"
    seeds: tuple[int, ...] = (1, 2, 3)
    days: int = 10
    """Length of the training window: its last days, as of a model that is trained on the recent past."""
    window_ms: int = 2 * _DAY_MS
    """Objectives whose maturity takes at least this long are the delayed ones."""
    epochs: int = 2
    write: bool = True


class RecentDataset(EncodedDataset):
    """Encoded samples whose training window is the last part of what it was."""

    keep_ms: int | None = None
    """How long it is; None for all."""

    def rows(self, split: Split) -> NDArray[np.int64]:
        """See `EncodedDataset`."""
        rows_B = super().rows(split)
        if split is not Split.TRAIN or self.keep_ms is None or not len(rows_B):
            return rows_B
        time_B = self.times(rows_B)
        return np.asarray(rows_B[time_B > time_B.max() - self.keep_ms])


@dataclass(frozen=True, slots=True)
class _Truth:
    """True probabilities of the test window for the delayed objectives, D of them."""

    places: list[int]
    names: list[str]
    probability_BD: NDArray[np.float64]

    def nll(self, given_BD: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expected loss in nats of outcomes that happen as they truly do, by objective."""
        score_BD = logit(given_BD)
        losses_BD = np.logaddexp(0.0, score_BD) - self.probability_BD * score_BD
        return np.asarray(losses_BD.mean(axis=0))

    def pcoc(self, given_BD: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean prediction over mean true probability, by objective."""
        return np.asarray(given_BD.mean(axis=0) / self.probability_BD.mean(axis=0))


def measure_delayed(project: Project, options: DelayedOptions) -> tuple[dict[str, Metric], Path | None]:
    """Train a recipe on the recent past in every way, with every seed, and score it with the true probabilities.

    Raises:
        ArtifactError: the workspace holds no true probabilities.
        ConfigError: no objective is delayed.
    """
    if not has_oracle(project.root):
        raise ArtifactError(f"{project.root} has no truth/: this measurement needs a simulated world (plait simulate)")
    dataset = RecentDataset.open(encoded_dataset(project))
    if not isinstance(dataset, RecentDataset):
        raise TypeError("open gives the class that it is called on")
    dataset.keep_ms = options.days * _DAY_MS
    truth = _truth(project, dataset, options)
    nll: dict[str, list[NDArray[np.float64]]] = {way: [] for way in _MOST_WAYS}
    pcoc: dict[str, list[NDArray[np.float64]]] = {way: [] for way in _MOST_WAYS}
    for seed in options.seeds:
        for way in _MOST_WAYS:
            console.print(f"seed {seed}: {way} ...")
            given_BD = _trained(project, dataset, options, way, seed)[:, truth.places]
            nll[way].append(truth.nll(given_BD))
            pcoc[way].append(truth.pcoc(given_BD))
    metrics = _metrics(truth, nll, pcoc) | _immature(dataset, truth)
    return metrics, _write(project, options, truth, metrics) if options.write else None


def _truth(project: Project, dataset: EncodedDataset, options: DelayedOptions) -> _Truth:
    objectives = project.workspace.objectives
    slow = {one.name for one in objectives if maturity_window(one, objectives) >= options.window_ms}
    places = [place for place, name in enumerate(dataset.spec.objectives) if name in slow]
    if not places:
        raise ConfigError(f"no objective takes {options.window_ms / _DAY_MS:g} days to mature; nothing is delayed")
    names = [dataset.spec.objectives[place] for place in places]
    rows_B = dataset.rows(Split.TEST)
    return _Truth(places, names, oracle_probabilities(project.root, dataset.exposure_ids(rows_B), names))


def _trained(
    project: Project, dataset: EncodedDataset, options: DelayedOptions, way: DelayedFeedback, seed: int
) -> NDArray[np.float64]:
    """Probabilities of the test window by a model that was trained one way."""
    overrides = {"training": {"seed": seed, "delayed_feedback": way, "epochs": options.epochs, "tensorboard": False}}
    recipe = workspace_recipe(project, options.recipe, overrides)
    if isinstance(recipe.model, NextItemConfig | AlignedConfig):
        raise ConfigError(f"recipe '{options.recipe}' is of family '{recipe.model.family}', expected a ranker")
    torch.manual_seed(seeding.derive_seed(seed, "weights"))
    model = build_model(recipe.model, dataset.spec, dataset.item_fields_VI)
    shares = training_shares(project, dataset, way)
    with tempfile.TemporaryDirectory() as run:
        train(dataset, model, recipe.training, Path(run), shares=shares)
    return predict(dataset, model, Split.TEST).probabilities_BT.astype(np.float64)


def _metrics(
    truth: _Truth, nll: dict[str, list[NDArray[np.float64]]], pcoc: dict[str, list[NDArray[np.float64]]]
) -> dict[str, Metric]:
    """Means over seeds, with the spread over seeds: over the delayed objectives, and of each."""
    found: dict[str, Metric] = {}
    for way, losses in nll.items():
        found[f"{way}.nll"] = _over_seeds([float(one.mean()) for one in losses], "nats")
        found[f"{way}.pcoc"] = _over_seeds([float(one.mean()) for one in pcoc[way]])
    for way in _MOST_WAYS[1:]:
        for other in [other for other in ("waiting", "naive") if other != way]:
            gains = [float((one - two).mean()) for one, two in zip(nll[other], nll[way], strict=True)]
            found[f"{way}.gain_over_{other}"] = _paired(gains)
    found["oracle.nll"] = Metric(float(truth.nll(truth.probability_BD).mean()), unit="nats")
    for place, name in enumerate(truth.names):
        for way, losses in nll.items():
            found[f"{way}.nll.{name}"] = _over_seeds([float(one[place]) for one in losses], "nats")
            found[f"{way}.pcoc.{name}"] = _over_seeds([float(one[place]) for one in pcoc[way]])
        found[f"oracle.nll.{name}"] = Metric(float(truth.nll(truth.probability_BD)[place]), unit="nats")
    return found


def _immature(dataset: EncodedDataset, truth: _Truth) -> dict[str, Metric]:
    mask_BT = dataset.mask(dataset.rows(Split.TRAIN))
    return {
        f"immature.{name}": Metric(float(1 - mask_BT[:, place].mean()), unit="share")
        for place, name in zip(truth.places, truth.names, strict=True)
    }


def _over_seeds(values: Sequence[float], unit: str = "") -> Metric:
    return Metric(float(np.mean(values)), min(values), max(values), unit)


def _paired(differences: Sequence[float]) -> Metric:
    """The mean of differences with the same seed, and its 95 % interval by Student's t."""
    mean, seeds = float(np.mean(differences)), len(differences)
    if seeds == 1:
        return Metric(mean, unit="nats")
    reach = student_quantile(seeds - 1) * float(np.std(differences, ddof=1)) / seeds**0.5
    return Metric(mean, mean - reach, mean + reach, "nats")


def _write(project: Project, options: DelayedOptions, truth: _Truth, metrics: dict[str, Metric]) -> Path:
    seeds = "".join(f" --seeds {seed}" for seed in options.seeds)
    return write_result(
        "delayed_feedback",
        command=(
            f"plait bench delayed-feedback -w {project.workspace.name} --recipe {options.recipe} "
            f"--days {options.days} --epochs {options.epochs}{seeds}"
        ),
        data=f"{project.workspace.name} (simulated): trained on the last {options.days} days of the training window",
        seeds=options.seeds,
        metrics=metrics,
        notes=(
            f"Objectives whose maturity takes at least {options.window_ms / _DAY_MS:g} days: {', '.join(truth.names)}. "
            "nll: expected loss of the test window's exposures under the true probabilities, mean over these "
            "objectives; the oracle's is the entropy of the truth. gain_over_*: how much less, paired by seed, with a "
            "95 % interval over seeds (Student's t); all other low and high: the least and the most of the seeds. "
            "pcoc: mean prediction over mean true probability. waiting: labels that are not mature at the end of "
            "training are left out; naive: they count as they stand; dfm: as they stand, with the share of positives "
            "known after that long in the likelihood; es-dfm: with importance weights from that share. immature: share "
            "of training exposures without a mature label."
        ),
    )
