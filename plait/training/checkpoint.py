"""A run's state on disk: safetensors for tensors, JSON for the rest; written aside, then renamed."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from plait.errors import TrainingError

_WEIGHTS = "weights.safetensors"
_OPTIMISER = "optimiser.safetensors"
_PROGRESS = "progress.json"


@dataclass(slots=True)
class Progress:
    """Where a run stands, beside its tensors."""

    epoch: int = 0
    batch: int = 0
    """Batches of this epoch that are done."""
    step: int = 0
    """Optimiser steps since the beginning."""
    examples: int = 0
    seconds: float = 0.0
    """Time spent training (evaluation apart)."""
    best_value: float | None = None
    """The validation metric of the best evaluation so far, as a number to make small."""
    best_step: int = 0
    worse: int = 0
    """Evaluations since the best one."""
    interval_loss: float = 0.0
    """Sum of the losses since the last line of the log."""
    interval_steps: int = 0
    curve: list[dict[str, Any]] = field(default_factory=list)


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors to one safetensors file, aside and then renamed into place."""
    aside = path.with_name(path.name + ".partial")
    save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, aside)
    aside.rename(path)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors in one safetensors file.

    Raises:
        TrainingError: it is missing or damaged.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"{path}: missing or damaged weights ({error}); start anew with --no-resume") from error


class Checkpoints:
    """The checkpoints of one run: the last one is kept.

    Args:
        folder: where they lie; one sub-folder each, named by its step.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, progress: Progress, weights: Mapping[str, Tensor], optimiser: Mapping[str, Tensor]) -> None:
        """Write a checkpoint; once it lies in place, older ones go."""
        final = self._folder / f"step-{progress.step:09d}"
        aside = self._folder / "unfinished"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        save_tensors(aside / _WEIGHTS, weights)
        save_tensors(aside / _OPTIMISER, optimiser)
        with (aside / _PROGRESS).open("w", encoding="utf-8") as file:
            json.dump(asdict(progress), file)
            file.flush()
            os.fsync(file.fileno())
        older = self._all()
        if final in older:  # the same step says the same
            shutil.rmtree(aside)
            return
        aside.rename(final)
        for folder in older:
            shutil.rmtree(folder)

    def load(self) -> tuple[Progress, dict[str, Tensor], dict[str, Tensor]] | None:
        """The last checkpoint's progress, weights and optimiser state; None if there is none.

        Raises:
            TrainingError: it is damaged.
        """
        folders = self._all()
        if not folders:
            return None
        folder = folders[-1]
        try:
            content: dict[str, Any] = json.loads((folder / _PROGRESS).read_text(encoding="utf-8"))
            return Progress(**content), load_file(folder / _WEIGHTS), load_file(folder / _OPTIMISER)
        except (OSError, ValueError, TypeError, SafetensorError) as error:
            raise TrainingError(f"{folder}: damaged checkpoint ({error}); start anew with --no-resume") from error

    def _all(self) -> list[Path]:
        return sorted(self._folder.glob("step-*"))
