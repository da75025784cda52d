"""Alignment as a task: rows of the training window and their texts, in large batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plait.models.batch import Batch
from plait.models.ctrl import AlignedTower
from plait.models.ranker import StartsFromRates
from plait.models.text_tower import Texts
from plait.nn.alignment import Similarities, alignment_loss, similarities
from plait.schema import Split
from plait.training.config import TrainingConfig
from plait.training.data import Loader, TrainingData, training_rows
from plait.training.gradient_cache import cached_loss
from plait.training.predict import as_ranker
from plait.training.ranking import base_logits

_JUDGED_TOGETHER = 1024
"""Rows of the validation window among which each looks for its partner: the same whatever a batch of training is."""


class SampleTexts(Protocol):
    """The texts of a dataset's exposures."""

    @property
    def width(self) -> int: ...

    def batch(self, rows_B: NDArray[np.int64]) -> Texts:
        """By part: vectors, or the states that the tower's learning layers read."""

    def keys(self, rows_B: NDArray[np.int64]) -> NDArray[np.int64]:
        """Equal where texts are."""


@dataclass(frozen=True, slots=True)
class AlignmentBatch:
    """Rows and their texts, in chunks."""

    chunks: Sequence[tuple[Batch, Texts]]
    """Exposures and their texts, C at a time."""
    keys_B: Tensor
    """Equal where texts are."""


class AlignmentTask:
    """Rows that learn to find their texts, and texts their rows; labels are not looked at.

    Args:
        dataset: encoded samples.
        texts: of the dataset's exposures.
        model: ranker and projections.
        config: how to train; `batch_size` is the number of rows among which each looks for its partner.
    """

    def __init__(self, dataset: TrainingData, texts: SampleTexts, model: AlignedTower, config: TrainingConfig) -> None:
        self.model = model
        self._dataset, self._texts = dataset, texts
        self._align, self._config = model.align, config
        self._loader = Loader(
            dataset,
            Split.TRAIN,
            as_ranker(model.ranker),
            batch_size=config.batch_size,
            batch_events=config.batch_events,
            rows_B=training_rows(dataset, config),
        )
        self.steps_per_epoch = len(self._loader.shuffled(config.seed, 0))

    def prepare(self) -> None:
        """Let the ranker begin at the objectives' rates: that is where fine-tuning finds it."""
        if isinstance(self.model.ranker, StartsFromRates):
            self.model.ranker.start_from(base_logits(self._dataset, self._config))

    def batches(self, epoch: int, first: int) -> Iterator[tuple[AlignmentBatch, int]]:
        """Shuffled batches."""
        for rows_B in self._loader.shuffled(self._config.seed, epoch)[first:]:
            yield self._batch(np.sort(rows_B)), len(rows_B)

    def loss(self, batch: AlignmentBatch) -> Tensor:
        """The symmetric loss over the whole batch, through a gradient cache where it has several chunks."""

        def of(text_BMK: Tensor, tabular_BMK: Tensor) -> Tensor:
            return self._loss(similarities(text_BMK.float(), tabular_BMK.float()), batch.keys_B)

        return cached_loss(lambda chunk: self.model(*chunk), batch.chunks, of)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """`alignment`: how often a row or a text of the validation window finds its partner; and the loss.

        The window's rows are looked at in a seeded order, at most `validation_exposures` of them.
        """
        order = np.random.default_rng(self._config.seed).permutation(self._dataset.rows(Split.VALID))
        kept_B = order[: self._config.validation_exposures]
        parts = [kept_B[at : at + _JUDGED_TOGETHER] for at in range(0, len(kept_B), _JUDGED_TOGETHER)]
        if not parts:
            return {"alignment": float("nan"), "alignment_loss": float("nan")}
        was_training = self.model.training
        self.model.eval()
        judged = [self._judge(np.sort(rows_B)) for rows_B in parts]
        self.model.train(was_training)
        found, loss = np.average(judged, axis=0, weights=[len(rows_B) for rows_B in parts])
        return {"alignment": float(found), "alignment_loss": float(loss)}

    def _judge(self, rows_B: NDArray[np.int64]) -> tuple[float, float]:
        """Share of rows and texts whose best match has their own text, and the loss."""
        batch = self._batch(rows_B)
        parts = zip(*(self.model(*chunk) for chunk in batch.chunks), strict=True)
        both = similarities(*(torch.cat(chunks) for chunks in parts))
        found = [
            (batch.keys_B[side_BB.argmax(1)] == batch.keys_B).float().mean()
            for side_BB in (both.of_text_BB, both.of_tabular_BB)
        ]
        return float(sum(found)) / 2, float(self._loss(both, batch.keys_B))

    def _loss(self, both: Similarities, keys_B: Tensor) -> Tensor:
        align = self._align
        return alignment_loss(
            both, keys_B, temperature=align.temperature, to_tabular=align.to_tabular, to_text=align.to_text
        )

    def _batch(self, rows_B: NDArray[np.int64]) -> AlignmentBatch:
        size = self._align.chunk
        parts = [rows_B[start : start + size] for start in range(0, len(rows_B), size)]
        chunks = [
            (
                Batch.from_features(self._dataset.impression_batch(part, self.model.rows.history)),
                self._texts.batch(part),
            )
            for part in parts
        ]
        return AlignmentBatch(chunks, torch.from_numpy(self._texts.keys(rows_B)))
