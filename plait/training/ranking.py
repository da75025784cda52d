"""Rankers as a task: logits per exposure and objective, judged by the validation window."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plait.errors import TrainingError
from plait.models.batch import Batch
from plait.models.ranker import OnePass, StartsFromRates
from plait.schema import Split
from plait.telemetry import progress
from plait.training.checkpoint import save_tensors
from plait.training.config import TrainingConfig
from plait.training.data import Loader, TrainingData
from plait.training.log import RunLog
from plait.training.loop import BEST_FILE, CurvePoint, TrainingResult, torch_switches, train_task
from plait.training.objective import masked_loss
from plait.training.predict import as_ranker, predict
from plait.training.validation import validation_metrics

_RATE_SAMPLE = 100_000
"""Exposures that the objectives' rates are taken from, about."""


def train(
    dataset: TrainingData, model: nn.Module, config: TrainingConfig, run: Path, *, resume: bool = True
) -> TrainingResult:
    """Train a ranker and leave the best weights in it; see `train_task`.

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
    if not isinstance(model, OnePass):
        return train_task(RankingTask(dataset, model, config), config, run, resume=resume)
    run.mkdir(parents=True, exist_ok=True)
    with torch_switches(config):
        return _count(dataset, model, model, config, run)


class RankingTask:
    """A ranker and encoded samples.

    Args:
        dataset: encoded samples.
        model: a ranker.
        config: how to train.
        users_U: learn from the exposures of these users only; None for all.

    Raises:
        TrainingError: the training window is empty.
    """

    def __init__(
        self,
        dataset: TrainingData,
        model: nn.Module,
        config: TrainingConfig,
        users_U: NDArray[np.int64] | None = None,
    ) -> None:
        self.model = model
        self._dataset, self._config = dataset, config
        self._ranker = as_ranker(model)
        self._loader = _loader(dataset, model, config, users_U)
        weights = [config.objective_weights.get(name, 1.0) for name in dataset.spec.objectives]
        self._weight_T = torch.tensor(weights)
        self.steps_per_epoch = len(self._loader.shuffled(config.seed, 0))

    def prepare(self) -> None:
        """Begin at the objectives' rates, where the model can."""
        if isinstance(self.model, StartsFromRates):
            self.model.start_from(base_logits(self._dataset))

    def batches(self, epoch: int, first: int) -> Iterator[tuple[Batch, int]]:
        """Shuffled batches, made ahead in a thread."""
        plan = self._loader.shuffled(self._config.seed, epoch)
        for features, rows_B in self._loader.batches(plan[first:]):
            yield Batch.from_features(features), len(rows_B)

    def loss(self, batch: Batch) -> Tensor:
        """Cross-entropy over mature labels."""
        logits_BT = self._ranker(batch)
        with torch.autocast("cpu", enabled=False):
            return masked_loss(logits_BT.float(), batch.labels_BT, batch.mask_BT, self._weight_T)

    def validate(self) -> dict[str, float]:
        """Log-loss and AUC on the validation window."""
        return validate(self._dataset, self.model, self._config)


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
    with closing(RunLog(run, step=0, tensorboard=False)) as log:
        log.write("evaluation", 1, **metrics)
    save_tensors(run / BEST_FILE, model.state_dict())
    return TrainingResult(1, 1, seconds, len(loader) / max(seconds, 1e-9), [CurvePoint(1, len(loader), metrics)])


def _loader(
    dataset: TrainingData, model: nn.Module, config: TrainingConfig, users_U: NDArray[np.int64] | None = None
) -> Loader:
    ranker = as_ranker(model)
    loader = Loader(
        dataset,
        Split.TRAIN,
        ranker,
        batch_size=config.batch_size,
        batch_events=config.batch_events,
        layout=config.layout,
        users_U=users_U,
    )
    if len(loader) == 0:
        raise TrainingError(
            "the training window holds no exposures; look at [split] in plait.toml and at `plait check`"
        )
    return loader
