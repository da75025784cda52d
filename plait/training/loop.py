"""The training loop: it knows no model by name."""

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from plait import seeding
from plait.errors import TrainingError
from plait.models.batch import Batch
from plait.models.ranker import OnePass, StartsFromRates
from plait.schema import Split
from plait.telemetry import Advance, progress
from plait.training.checkpoint import Checkpoints, Progress, load_tensors, save_tensors
from plait.training.config import TrainingConfig
from plait.training.data import Loader, Plan, TrainingData
from plait.training.log import RunLog
from plait.training.objective import masked_loss
from plait.training.optimiser import Optimiser
from plait.training.predict import as_ranker, predict
from plait.training.validation import to_minimise, validation_metrics
from plait.training.warm_start import set_training_mode

BEST_FILE = "best.safetensors"
_RATE_SAMPLE = 100_000
"""Exposures that the objectives' rates are taken from, about."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One evaluation on the validation window."""

    step: int
    exposures: int
    """Exposures trained on so far."""
    logloss: float
    auc: float


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a run came to; the model holds the best weights."""

    best_step: int
    epochs: int
    """Passes over the training window that were begun."""
    seconds: float
    """Time spent training, evaluation apart."""
    exposures_per_s: float
    curve: list[CurvePoint]


def train(
    dataset: TrainingData, model: nn.Module, config: TrainingConfig, run: Path, *, resume: bool = True
) -> TrainingResult:
    """Train a ranker and leave the best weights in it.

    The order of the exposures, dropout and everything else follow from `config.seed` and the step alone, so a run that
    is killed and started again with the same arguments ends in the same weights, to the bit.

    Args:
        dataset: encoded samples.
        model: a ranker.
        config: how to train.
        run: folder of this run: log, checkpoints, best weights.
        resume: go on from the checkpoint in `run`, if there is one.

    Raises:
        TrainingError: the training window is empty, the loss is not a number, or the run was interrupted (after a
            checkpoint).
    """
    run.mkdir(parents=True, exist_ok=True)
    with _settings(config):
        if isinstance(model, OnePass):
            return _count(dataset, model, model, config, run)
        return _Run(dataset, model, config, run, resume=resume).go()


class _Run:
    """One run of descent: model, optimiser, progress and where they are kept."""

    def __init__(
        self, dataset: TrainingData, model: nn.Module, config: TrainingConfig, run: Path, *, resume: bool
    ) -> None:
        self.dataset, self.model, self.config, self.run = dataset, model, config, run
        self.ranker = as_ranker(model)
        self.loader = _loader(dataset, model, config)
        weights = [config.objective_weights.get(name, 1.0) for name in dataset.spec.objectives]
        self.weight_T = torch.tensor(weights)
        self.steps_per_epoch = len(self.loader.shuffled(config.seed, 0))
        self.optimiser = Optimiser(model, config, self.steps_per_epoch * config.epochs)
        self.checkpoints = Checkpoints(run / "checkpoints")
        self.progress = Progress()
        if config.start_from is None and isinstance(model, StartsFromRates):
            model.start_from(base_logits(dataset))
        if resume:
            self._restore()
        self.log = RunLog(run, step=self.progress.step, tensorboard=config.tensorboard)
        self.saved_at = time.monotonic()
        self.interrupted = False

    def go(self) -> TrainingResult:
        at = self.progress
        total = self.steps_per_epoch * self.config.epochs
        set_training_mode(self.model)
        try:
            with _interruptible(self), progress("train", total) as advance:
                advance(at.step)
                if self.config.start_from is not None and at.best_value is None:
                    self._evaluate()  # what the run starts from is the first candidate for the best weights
                while at.epoch < self.config.epochs and at.worse < self.config.patience:
                    self._epoch(advance)
                    if at.worse < self.config.patience:
                        at.epoch, at.batch = at.epoch + 1, 0
        finally:
            self.log.close()
        self.model.load_state_dict(load_tensors(self.run / BEST_FILE))
        self.model.eval()
        epochs = min(at.epoch + 1, self.config.epochs)
        curve = [CurvePoint(int(p["step"]), int(p["exposures"]), p["logloss"], p["auc"]) for p in at.curve]
        return TrainingResult(at.best_step, epochs, at.seconds, at.exposures / max(at.seconds, 1e-9), curve)

    def _epoch(self, advance: Advance) -> None:
        """The rest of the epoch that `progress` stands in."""
        at, config = self.progress, self.config
        plan: Plan = self.loader.shuffled(config.seed, at.epoch)
        evaluate_after = {
            round(len(plan) * (part + 1) / config.evaluations_per_epoch) for part in range(config.evaluations_per_epoch)
        }
        started = time.monotonic()
        for features, rows_B in self.loader.batches(plan[at.batch :]):
            loss = self._step(Batch.from_features(features))
            at.seconds += time.monotonic() - started
            at.exposures += len(rows_B)
            at.batch += 1
            advance(1, note=f"loss {loss:.4f}")
            if at.batch in evaluate_after:
                self._evaluate()
            self._save_if_due(evaluated=at.batch in evaluate_after)
            if at.worse >= config.patience:
                return
            started = time.monotonic()

    def _step(self, batch: Batch) -> float:
        """One optimiser step; all its randomness is seeded by its number, so that no state needs to be kept."""
        at = self.progress
        torch.manual_seed(seeding.derive_seed(self.config.seed, "step", at.step))
        with torch.autocast("cpu", torch.bfloat16) if self.config.bf16 else nullcontext():
            logits_BT = self.ranker(batch)
        loss = masked_loss(logits_BT.float(), batch.labels_BT, batch.mask_BT, self.weight_T)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(f"the loss is {value} at step {at.step}; try a smaller learning_rate")
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        norm = self.optimiser.step(at.step)
        at.step += 1
        at.interval_loss += value
        at.interval_steps += 1
        if at.step % self.config.log_steps == 0:
            mean = at.interval_loss / at.interval_steps
            self.log.write("step", at.step, loss=mean, gradient_norm=norm, epoch=at.epoch)
            at.interval_loss, at.interval_steps = 0.0, 0
        return value

    def _evaluate(self) -> None:
        """Judge the weights by the validation window; keep them if they are the best so far."""
        at = self.progress
        metrics = validate(self.dataset, self.model, self.config)
        at.curve.append({"step": at.step, "exposures": at.exposures, **metrics})
        self.log.write("evaluation", at.step, **metrics)
        value = to_minimise(metrics, self.config.metric)
        unjudged = math.isinf(value)  # no validation window: the last weights are the best there are
        if at.best_value is None or unjudged or value < at.best_value:
            at.best_value, at.best_step, at.worse = value, at.step, 0
            save_tensors(self.run / BEST_FILE, self.model.state_dict())
        else:
            at.worse += 1

    def _save_if_due(self, *, evaluated: bool) -> None:
        every = self.config.checkpoint_steps
        due = time.monotonic() - self.saved_at > 60.0 * self.config.checkpoint_minutes
        if evaluated or due or self.interrupted or (every is not None and self.progress.step % every == 0):
            self.checkpoints.save(self.progress, self.model.state_dict(), self.optimiser.state())
            self.saved_at = time.monotonic()
        if self.interrupted:
            raise TrainingError(
                f"interrupted at step {self.progress.step}; the checkpoint is in {self.run}: the same command goes on"
            )

    def _restore(self) -> None:
        found = self.checkpoints.load()
        if found is not None:
            self.progress, weights, state = found
            self.model.load_state_dict(weights)
            self.optimiser.load(state)


def base_logits(dataset: TrainingData) -> Tensor:
    """Log-odds of each objective among the mature labels of the training window, `[T]` (of a sample, where it is long).

    One positive and one negative are added, so that an objective without either has log-odds too.
    """
    rows_B = dataset.rows(Split.TRAIN)
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
    return validation_metrics(predictions)


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
    log = RunLog(run, step=0, tensorboard=False)
    log.write("evaluation", 1, **metrics)
    log.close()
    save_tensors(run / BEST_FILE, model.state_dict())
    point = CurvePoint(1, len(loader), metrics["logloss"], metrics["auc"])
    return TrainingResult(1, 1, seconds, len(loader) / max(seconds, 1e-9), [point])


def _loader(dataset: TrainingData, model: nn.Module, config: TrainingConfig) -> Loader:
    ranker = as_ranker(model)
    loader = Loader(dataset, Split.TRAIN, ranker, batch_size=config.batch_size, batch_events=config.batch_events)
    if len(loader) == 0:
        raise TrainingError(
            "the training window holds no exposures; look at [split] in plait.toml and at `plait check`"
        )
    return loader


@contextmanager
def _settings(config: TrainingConfig) -> Iterator[None]:
    """PyTorch's global switches as a run needs them; put back afterwards."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]


@contextmanager
def _interruptible(run: _Run) -> Iterator[None]:
    """Ctrl-C lets the step end and a checkpoint be written; a second one stops at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def stop(*_: object) -> None:
        run.interrupted = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
