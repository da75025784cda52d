"""The training loop: it knows no model by name."""

import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

import torch

from plait import seeding
from plait.errors import TrainingError
from plait.telemetry import Advance, progress
from plait.training.averaging import WeightAverage
from plait.training.checkpoint import Checkpoints, Progress, load_tensors, save_tensors
from plait.training.config import TrainingConfig
from plait.training.log import RunLog
from plait.training.optimiser import Optimiser
from plait.training.task import BatchT, Task, to_minimise
from plait.training.warm_start import set_training_mode

BEST_FILE = "best.safetensors"
CHECKPOINTS_FOLDER = "checkpoints"


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One evaluation on the validation window."""

    step: int
    examples: int
    """Exposures (next-item models: predictions) trained on so far."""
    metrics: Mapping[str, float]

    @property
    def logloss(self) -> float:
        return self.metrics["logloss"]

    @property
    def auc(self) -> float:
        return self.metrics["auc"]


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a run came to; the model holds the best weights."""

    best_step: int
    epochs: int
    """Passes over the training window that were begun."""
    seconds: float
    """Time spent training, evaluation apart."""
    examples_per_s: float
    curve: list[CurvePoint]


def train_task(task: Task[BatchT], config: TrainingConfig, run: Path, *, resume: bool = True) -> TrainingResult:
    """Train a task's model and leave the best weights in it.

    The order of the examples, dropout and everything else follow from `config.seed` and the step alone, so a run that
    is killed and started again with the same arguments ends in the same weights, to the bit.

    Args:
        task: the model and what it learns from.
        config: how to train.
        run: folder of this run: log, checkpoints, best weights.
        resume: go on from the checkpoint in `run`, if there is one.

    Raises:
        TrainingError: the loss is not a number, or the run was interrupted (after a checkpoint).
    """
    run.mkdir(parents=True, exist_ok=True)
    with torch_switches(config):
        return _Run(task, config, run, resume=resume).go()


def result_of(at: Progress, config: TrainingConfig) -> TrainingResult:
    """What a run has come to that stands at `at`."""
    return TrainingResult(
        at.best_step,
        min(at.epoch + 1, config.epochs),
        at.seconds,
        at.examples / max(at.seconds, 1e-9),
        [CurvePoint(point["step"], point["examples"], point["metrics"]) for point in at.curve],
    )


class _Run(Generic[BatchT]):
    """One run of descent: model, optimiser, progress and where they are kept."""

    def __init__(self, task: Task[BatchT], config: TrainingConfig, run: Path, *, resume: bool) -> None:
        self.task, self.config, self.run = task, config, run
        self.model = task.model
        self.steps_per_epoch = task.steps_per_epoch
        self.optimiser = Optimiser(self.model, config, self.steps_per_epoch * config.epochs)
        self.checkpoints = Checkpoints(run / CHECKPOINTS_FOLDER)
        self.progress = Progress()
        if config.start_from is None:
            task.prepare()
        self.average = WeightAverage(self.model, config.weight_average) if config.weight_average else None
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
        return result_of(at, self.config)

    def _epoch(self, advance: Advance) -> None:
        """The rest of the epoch that `progress` stands in."""
        at = self.progress
        judged = self._is_judged(at.epoch)
        evaluate_after = self._evaluations() if judged else set()
        started = time.monotonic()
        for batch, examples in self.task.batches(at.epoch, at.batch):
            loss = self._step(batch)
            at.seconds += time.monotonic() - started
            at.examples += examples
            at.batch += 1
            advance(1, note=f"loss {loss:.4f}")
            if at.batch in evaluate_after:
                self._evaluate()
            self._save_if_due(evaluated=at.batch in evaluate_after)
            if at.worse >= self.config.patience:
                return
            started = time.monotonic()
        # Not by number: in the user layout epochs differ a little in how many batches they have.
        if judged and (not at.curve or at.curve[-1]["step"] != at.step):
            self._evaluate()
            self._save_if_due(evaluated=True)

    def _is_judged(self, epoch: int) -> bool:
        return (epoch + 1) % self.config.evaluation_epochs == 0 or epoch + 1 == self.config.epochs

    def _evaluations(self) -> set[int]:
        """After how many batches of an epoch, besides all, the weights are judged."""
        parts = self.config.evaluations_per_epoch
        return {round(self.steps_per_epoch * part / parts) for part in range(1, parts)}

    def _step(self, batch: BatchT) -> float:
        """One optimiser step; all its randomness is seeded by its number, so that no state needs to be kept."""
        at = self.progress
        torch.manual_seed(seeding.derive_seed(self.config.seed, "step", at.step))
        with torch.autocast("cpu", torch.bfloat16) if self.config.bf16 else nullcontext():
            loss = self.task.loss(batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(f"the loss is {value} at step {at.step}; try a smaller learning_rate")
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        norm = self.optimiser.step(at.step)
        at.step += 1
        if self.average is not None:
            self.average.update(at.step)
        at.interval_loss += value
        at.interval_steps += 1
        if at.step % self.config.log_steps == 0:
            mean = at.interval_loss / at.interval_steps
            self.log.write("step", at.step, loss=mean, gradient_norm=norm, epoch=at.epoch)
            at.interval_loss, at.interval_steps = 0.0, 0
        return value

    def _evaluate(self) -> None:
        """Judge the weights, or their mean, by the validation window; keep them if they are the best so far."""
        with self.average.in_place() if self.average is not None else nullcontext():
            self._judge()

    def _judge(self) -> None:
        at = self.progress
        metrics = self.task.validate()
        at.curve.append({"step": at.step, "examples": at.examples, "metrics": metrics})
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
            average = self.average.state() if self.average is not None else {}
            self.checkpoints.save(self.progress, self.model.state_dict(), {**self.optimiser.state(), **average})
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
            if self.average is not None:
                self.average.load(state)


@contextmanager
def torch_switches(config: TrainingConfig) -> Iterator[None]:
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
def _interruptible(run: _Run[BatchT]) -> Iterator[None]:
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
