"""Rankers as a task: logits per exposure and objective, judged by the validation window."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from plait.config import nearest
from plait.errors import ConfigError, TrainingError
from plait.models.batch import Batch
from plait.models.expert_head import ExpertHead
from plait.models.ranker import OnePass, StartsFromRates
from plait.nn.feature_inputs import FeatureInputs
from plait.schema import Split
from plait.telemetry import console, progress
from plait.training.checkpoint import save_tensors
from plait.training.config import TrainingConfig
from plait.training.conflict import conflicts, cosines, objective_gradients, shared_weights, surgery
from plait.training.data import Loader, TrainingData, training_rows
from plait.training.delayed import KnownShares, delayed_losses, importance_losses
from plait.training.log import RunLog
from plait.training.loop import BEST_FILE, CurvePoint, TrainingResult, torch_switches, train_task
from plait.training.objective import ObjectiveLosses, combined, objective_losses
from plait.training.predict import as_ranker, predict
from plait.training.routing import RoutingWatch, alarms
from plait.training.validation import validation_metrics
from plait.training.warm_start import set_training_mode

_RATE_SAMPLE = 100_000
"""Exposures that the objectives' rates are taken from, about."""


def train(
    dataset: TrainingData,
    model: nn.Module,
    config: TrainingConfig,
    run: Path,
    *,
    resume: bool = True,
    shares: KnownShares | None = None,
) -> TrainingResult:
    """Train a ranker and leave the best weights in it; see `train_task`.

    Args:
        dataset: encoded samples.
        model: a ranker.
        config: how to train.
        run: folder of this run: log, checkpoints, best weights.
        resume: go on from the checkpoint in `run`, if there is one.
        shares: how much of each exposure's feedback is in; None to wait for maturity.

    Raises:
        TrainingError: the training window is empty, the loss is not a number, or the run was interrupted (after a
            checkpoint).
    """
    if not isinstance(model, OnePass):
        return train_task(RankingTask(dataset, model, config, shares), config, run, resume=resume)
    run.mkdir(parents=True, exist_ok=True)
    with torch_switches(config):
        return _count(dataset, model, model, config, run)


class RankingTask:
    """A ranker and encoded samples.

    Args:
        dataset: encoded samples.
        model: a ranker.
        config: how to train.
        shares: how much of each exposure's feedback is in; None to wait for maturity.

    Raises:
        TrainingError: the training window is empty.
    """

    def __init__(
        self, dataset: TrainingData, model: nn.Module, config: TrainingConfig, shares: KnownShares | None = None
    ) -> None:
        self.model = model
        self._shares = shares
        self._dataset, self._config = dataset, config
        self._ranker = as_ranker(model)
        self._loader = _loader(dataset, model, config)
        self._weight_T, self._positive_T = objective_weights(config, dataset.spec.objectives)
        self._watch, self._alarmed = RoutingWatch(model), list[str]()
        self._balance = balance_weight(model)
        self.steps_per_epoch = len(self._loader.shuffled(config.seed, 0))

    def prepare(self) -> None:
        """Begin at the objectives' rates, where the model can."""
        if isinstance(self.model, StartsFromRates):
            self.model.start_from(base_logits(self._dataset, self._config))

    def batches(self, epoch: int, first: int) -> Iterator[tuple[Batch, int]]:
        """Shuffled batches, made ahead in a thread."""
        plan = self._loader.shuffled(self._config.seed, epoch)
        for features, rows_B in self._loader.batches(plan[first:]):
            yield Batch.from_features(features), len(rows_B)

    def loss(self, batch: Batch) -> Tensor:
        """Cross-entropy over mature labels, and what keeps sparse gates in balance."""
        logits_BT, balancing = self._ranker(batch), self._config.balancing
        with torch.autocast("cpu", enabled=False):
            losses = self._losses(logits_BT.float(), batch)
            loss = combined(losses, self._weight_T, balancing)
            if balancing == "pcgrad":
                loss = loss + surgery(losses, self._weight_T, shared_weights(self.model))
            balance = self._watch.balance()
            loss = loss if balance is None else loss + self._balance * balance
            return loss + gate_price(self.model)

    def _losses(self, logits_BT: Tensor, batch: Batch) -> ObjectiveLosses:
        """Of mature labels, or of all as they stand."""
        if self._shares is None:
            return objective_losses(logits_BT, batch.labels_BT, batch.mask_BT, self._positive_T)
        losses = importance_losses if self._config.delayed_feedback == "es-dfm" else delayed_losses
        return losses(logits_BT, batch.labels_BT, self._shares.at(batch.time_B))

    def validate(self) -> dict[str, float]:
        """Log-loss and AUC on the validation window, how experts were used there, and whether gradients conflict."""
        with self._watch.watching():
            metrics = validate(self._dataset, self.model, self._config)
        numbers, words = alarms(self._watch.loads())
        if self._config.conflict_batches:
            found, said = conflicts(self._cosines(), self._dataset.spec.objectives)
            numbers, words = numbers | found, words + said
        if words and words != self._alarmed:
            console.print(f"[yellow]{'; '.join(words)}[/]")
        self._alarmed = words
        return metrics | numbers

    def _cosines(self) -> Tensor:
        """Between the gradients of the objectives, over the first batches of the training window's order."""
        plan = self._loader.shuffled(self._config.seed, 0)[: self._config.conflict_batches]
        weights = shared_weights(self.model)
        was_training = self.model.training
        self.model.eval()
        found = []
        for features, _ in self._loader.batches(plan):
            batch = Batch.from_features(features)
            losses = self._losses(self._ranker(batch), batch)
            found.append(cosines(objective_gradients(losses.mean_T, weights)))
        if was_training:
            set_training_mode(self.model)
        return torch.stack(found).nanmean(0)


def objective_weights(config: TrainingConfig, objectives: Sequence[str]) -> tuple[Tensor, Tensor | None]:
    """Weights `[T]` of the objectives in the loss, and of their positives (None where all are 1).

    Raises:
        ConfigError: a setting names an objective that there is not, or does not go with another.
    """
    settings = {
        "objectives": config.objectives,
        "objective_weights": config.objective_weights,
        "positive_weights": config.positive_weights,
    }
    for setting, names in settings.items():
        for name in names:
            if name not in objectives:
                raise ConfigError(f"[training] {setting}: no objective '{name}'{nearest(name, list(objectives))}")
    if config.positive_weights and config.delayed_feedback != "waiting":
        raise ConfigError(
            f"[training] positive_weights: found delayed_feedback = '{config.delayed_feedback}', which has no "
            "place for them; leave one of the two out"
        )
    learned = config.objectives or objectives
    weights = [config.objective_weights.get(name, 1.0) * (name in learned) for name in objectives]
    positives = [config.positive_weights.get(name, 1.0) for name in objectives]
    return torch.tensor(weights), torch.tensor(positives) if config.positive_weights else None


def balance_weight(model: nn.Module) -> float:
    """Weight of the balance loss of the model's experts; 0 without any."""
    return max((part.config.balance for part in model.modules() if isinstance(part, ExpertHead)), default=0.0)


def gate_price(model: nn.Module) -> Tensor:
    """What the open gates of the model's features cost; 0 without any."""
    weights = [part.gate_weight * part.price() for part in model.modules() if isinstance(part, FeatureInputs)]
    return torch.stack(weights).sum() if weights else torch.zeros(())


def base_logits(dataset: TrainingData, config: TrainingConfig) -> Tensor:
    """Log-odds of each objective among the mature labels that are trained on, `[T]` (of a sample, where they are many).

    One positive and one negative are added, so that an objective without either has log-odds too.
    """
    rows_B = training_rows(dataset, config)
    sample = dataset.impression_batch(rows_B[:: max(1, len(rows_B) // _RATE_SAMPLE)], 0)
    positive_T = (sample.labels_BT * sample.mask_BT).sum(0, dtype=np.float64) + 1.0
    negative_T = sample.mask_BT.sum(0) + 2.0 - positive_T
    return torch.from_numpy(np.log(positive_T / negative_T)).float()


def validate(dataset: TrainingData, model: nn.Module, config: TrainingConfig) -> dict[str, float]:
    """Log-loss and AUC on the validation window."""
    predictions = predict(
        dataset,
        model,
        Split.VALID,
        batch_size=max(config.batch_size, 2048),
        batch_events=config.batch_events,
        exposures=config.validation_exposures,
        seed=config.seed,
        label="validate",
    )
    return validation_metrics(predictions, objective_weights(config, dataset.spec.objectives)[0].numpy() > 0)


def _count(
    dataset: TrainingData, model: nn.Module, counter: OnePass, config: TrainingConfig, run: Path
) -> TrainingResult:
    """One pass over the training window for a model that only counts (`model` and `counter` are the same)."""
    loader = _loader(dataset, model, config)
    started = time.monotonic()
    with progress("count", len(loader)) as advance:
        for features, rows_B in loader.batches(loader.in_order()):
            counter.observe(Batch.from_features(features))
            advance(len(rows_B))
    counter.conclude()
    seconds = time.monotonic() - started
    metrics = validate(dataset, model, config)
    with closing(RunLog(run, step=0, tensorboard=False)) as log:
        log.write("evaluation", 1, **metrics)
    save_tensors(run / BEST_FILE, model.state_dict())
    return TrainingResult(1, 1, seconds, len(loader) / max(seconds, 1e-9), [CurvePoint(1, len(loader), metrics)])


def _loader(dataset: TrainingData, model: nn.Module, config: TrainingConfig) -> Loader:
    ranker = as_ranker(model)
    loader = Loader(
        dataset,
        Split.TRAIN,
        ranker,
        batch_size=config.batch_size,
        batch_events=config.batch_events,
        layout=config.layout,
        rows_B=training_rows(dataset, config),
    )
    if len(loader) == 0:
        raise TrainingError(
            "the training window holds no exposures; look at [split] in plait.toml and at `plait check`"
        )
    return loader
