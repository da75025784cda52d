"""An HSTU layer on the CPU as one operator with its gradients, over jagged batches, on every core.

Of a layer nothing is kept for the backward pass but its input and what attention mixed: U, V, Q and K are computed
anew, which costs less than passing them through memory.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from plait.nn.hstu.clock import EventClock
from plait.nn.hstu.cpu import BatchPlan, BiasSums, Piece, bias_of, flat, on_all, plan_of, working_memory
from plait.nn.hstu.layer_rows import CHUNK, Shape, Sums, Weights, layer_backward, layer_forward, layer_space_needed
from plait.nn.hstu.sizes import HstuSizes
from plait.nn.hstu.tiles import wide


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """What a layer learns."""

    project_CD: Tensor
    output_DM: Tensor
    output_bias_D: Tensor
    distance_bias_P: Tensor | None
    time_bias_Z: Tensor | None

    def tensors(self) -> tuple[Tensor | None, ...]:
        """In the order of the fields."""
        return self.project_CD, self.output_DM, self.output_bias_D, self.distance_bias_P, self.time_bias_Z


def cpu_layer(state_ND: Tensor, weights: LayerWeights, clock: EventClock, sizes: HstuSizes, dropout: float) -> Tensor:
    """States `[N, D]` of the next layer, as `plait.nn.hstu.HstuLayer` defines them; float32 on the CPU, with SiLU.

    Args:
        state_ND: of this one.
        weights: the layer's.
        clock: sequences that are short enough not to be divided among threads (`divides_sequences`).
        sizes: the layer's.
        dropout: share of the gated attention output that is dropped now. What is dropped follows from one number of
            PyTorch's generator.
    """
    out_ND: Tensor = _Layer.apply(state_ND.contiguous(), *weights.tensors(), clock, sizes, dropout)  # type: ignore[no-untyped-call]
    return out_ND


def divides_sequences(clock: EventClock) -> bool:
    """Are there sequences so long that threads share them?"""
    return plan_of(clock).divides_sequences


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, state_ND: Tensor, *arguments: Any) -> Tensor:
        *weights, clock, sizes, dropout = arguments
        job = ctx.job = _LayerJob(clock, sizes, LayerWeights(*weights), dropout)
        mixed_NM, out_ND = job.forward(state_ND)
        ctx.save_for_backward(state_ND, mixed_NM, *weights)
        return out_ND

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> tuple[Tensor | None, ...]:
        state_ND, mixed_NM, *_ = ctx.saved_tensors
        return (*ctx.job.backward(state_ND, mixed_NM, upstream[0].contiguous()), None, None, None)


class _LayerJob:
    """One layer over one batch: every thread takes whole sequences through all of it."""

    def __init__(self, clock: EventClock, sizes: HstuSizes, weights: LayerWeights, dropout: float) -> None:
        self._plan: BatchPlan = plan_of(clock)
        self._bias = bias_of(self._plan, sizes.max_events, (weights.distance_bias_P, weights.time_bias_Z))
        self._shape = Shape(
            width=sizes.width,
            heads=sizes.heads,
            query_width=sizes.query_width,
            value_width=sizes.value_width,
            gate=sizes.gate,
            dropped=round(dropout * 2**32),
            kept=np.float32(1 / (1 - dropout)) if dropout < 1 else np.float32(0),
            seed=int(torch.randint(2**62, ())) if dropout else 0,
            chunk=max(CHUNK, clock.longest),
        )
        self._weights = Weights(
            _wide_rows(weights.project_CD.T),
            _wide_rows(weights.project_CD),
            _wide_rows(weights.output_DM.T),
            _wide_rows(weights.output_DM),
            _wide_rows(weights.output_bias_D[None]),
        )

    def forward(self, state_ND: Tensor) -> tuple[Tensor, Tensor]:
        """What attention mixed, `[N, M]`, and the layer's output `[N, D]`."""
        mixed_NM = state_ND.new_empty(len(state_ND), self._shape.heads * self._shape.value_width)
        out_ND = torch.empty_like(state_ND)
        arrays = (flat(state_ND), flat(mixed_NM), flat(out_ND))

        def work(piece: Piece) -> None:
            rows = self._plan.rows(piece)
            layer_forward(rows, self._bias, self._shape, self._weights, *arrays, self._memory())

        on_all(work, self._plan.pieces)
        return mixed_NM, out_ND

    def backward(self, state_ND: Tensor, mixed_NM: Tensor, upstream_ND: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the state and of the weights."""
        state_gradient_ND = torch.empty_like(state_ND)
        arrays = (flat(upstream_ND), flat(state_ND), flat(mixed_NM), flat(state_gradient_ND))
        shape, biases = self._shape, BiasSums(self._plan, self._bias)
        columns, mixed = self._weights.project_CD.size // wide(shape.width), mixed_NM.shape[1]
        project, output, output_bias = (
            np.zeros((len(self._plan.pieces), numbers), np.float32)
            for numbers in (wide(shape.width) * wide(columns), wide(shape.width) * wide(mixed), wide(shape.width))
        )

        def work(piece: Piece) -> None:
            of = piece.number
            sums = Sums(project[of], output[of], output_bias[of], *biases.of(piece))
            rows = self._plan.rows(piece)
            layer_backward(rows, self._bias, shape, self._weights, *arrays, sums, self._memory())

        on_all(work, self._plan.pieces)
        return (
            state_gradient_ND,
            _gathered(project, shape.width, columns).T,
            _gathered(output, shape.width, mixed),
            _gathered(output_bias, 1, shape.width)[0],
            *biases.gathered(),
        )

    def _memory(self) -> NDArray[np.float32]:
        return working_memory(layer_space_needed(self._shape))


def _wide_rows(rows: Tensor) -> NDArray[np.float32]:
    """A matrix row behind row, each of whole vectors with zeros behind its last number."""
    width = rows.shape[1]
    padded: NDArray[np.float32] = functional.pad(rows.detach(), (0, wide(width) - width)).contiguous().numpy().ravel()
    return padded


def _gathered(sums: NDArray[np.float32], rows: int, width: int) -> Tensor:
    """A gradient from what the pieces summed up, in their order."""
    return torch.from_numpy(sums.sum(0).reshape(-1, wide(width))[:rows, :width])
