"""What the versions of a training step share: the batch they all get, and a stopwatch."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plait.telemetry import peak_memory_gb


@dataclass(frozen=True, slots=True)
class Batch:
    """Item codes (1 and up) and times in seconds of some users, one behind the other."""

    offsets_U1: Tensor
    item_N: Tensor
    second_N: Tensor
    items: int
    """Of the catalogue."""

    @classmethod
    def load(cls, path: Path) -> "Batch":
        """What `plait bench hstu` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            tensors = {name: torch.from_numpy(arrays[name]) for name in ("offsets_U1", "item_N", "second_N")}
            return cls(**tensors, items=int(arrays["items"]))

    @property
    def users(self) -> int:
        return len(self.offsets_U1) - 1

    def sequences(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Items and seconds of one user after the other."""
        lengths = torch.diff(self.offsets_U1).tolist()
        yield from zip(self.item_N.split(lengths), self.second_N.split(lengths), strict=True)


def main(training: Callable[[int], Any]) -> None:
    """`python step_<version>.py BATCH STEPS THREADS`: train, print seconds of each step and peak memory as JSON.

    The first step is a warm-up, compilation included, and is not counted.
    """
    path, steps, threads = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    batch = Batch.load(path)
    run = training(batch.items)
    run.step(batch)
    seconds, losses = [], []
    for _ in range(steps):
        started = time.perf_counter()
        losses.append(run.step(batch))
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"seconds": seconds, "losses": losses, "peak_rss_gb": peak_memory_gb()}))
