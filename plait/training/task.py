"""What the training loop asks of whatever is trained: batches, a loss, and a verdict on the weights."""

from collections.abc import Iterator, Mapping
from typing import Protocol, TypeVar

import numpy as np
from torch import Tensor, nn

BatchT = TypeVar("BatchT")


class Task(Protocol[BatchT]):
    """A model and what it learns from.

    Everything random in it follows from its seed and the epoch, or from PyTorch's generator, which the loop seeds by
    the step: so a run can go on from any batch.
    """

    @property
    def model(self) -> nn.Module:
        """What is trained."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches of the first epoch; others may have a few more or fewer."""

    def prepare(self) -> None:
        """Whatever untrained weights need before the first step."""

    def batches(self, epoch: int, first: int) -> Iterator[tuple[BatchT, int]]:
        """The batches of an epoch from number `first` on, each with how many examples it holds."""

    def loss(self, batch: BatchT) -> Tensor:
        """The loss of one batch, to make small."""

    def validate(self) -> dict[str, float]:
        """What the validation window says about the weights, by metric; NaN where it says nothing."""


def to_minimise(metrics: Mapping[str, float], metric: str) -> float:
    """The metric as a number to make small; infinite where it is undefined. Of all metrics only log-loss is one."""
    value = metrics[metric] if metric == "logloss" else -metrics[metric]
    return value if np.isfinite(value) else float("inf")
