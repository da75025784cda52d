"""An HSTU layer on the CPU as one operator with its gradients: attention, and all that surrounds it, row by row.

Of a layer nothing is kept for the backward pass but its input and what attention mixed: U, V, Q and K are computed
anew, which costs less than passing them through memory. They lie in buffers that all layers of a batch share.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from plait.nn.hstu.clock import EventClock
from plait.nn.hstu.cpu import AttentionJob, BatchPlan, Piece, flat, on_all, plan_of
from plait.nn.hstu.layer_rows import (
    Shape,
    Weights,
    finish_backward_rows,
    finish_rows,
    prepare_backward_rows,
    prepare_rows,
    wide,
)
from plait.nn.hstu.sizes import HstuSizes

_NOTHING = np.zeros(0, np.float32)


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
        clock: the sequences and their times.
        sizes: the layer's.
        dropout: share of the gated attention output that is dropped now. What is dropped follows from one number of
            PyTorch's generator.
    """
    out_ND: Tensor = _Layer.apply(state_ND.contiguous(), *weights.tensors(), clock, sizes, dropout)  # type: ignore[no-untyped-call]
    return out_ND


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, state_ND: Tensor, *arguments: Any) -> Tensor:
        *weights, clock, sizes, dropout = arguments
        job = _LayerJob(plan_of(clock), sizes, LayerWeights(*weights), dropout)
        ctx.job = job
        mixed_NM, out_ND = job.forward(state_ND)
        ctx.save_for_backward(state_ND, mixed_NM, *weights)
        return out_ND

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> tuple[Tensor | None, ...]:
        state_ND, mixed_NM, *_ = ctx.saved_tensors
        return (*ctx.job.backward(state_ND, mixed_NM, upstream[0].contiguous()), None, None, None)


class _LayerJob:
    """One layer over one batch: rows, then pairs, then rows."""

    def __init__(self, plan: BatchPlan, sizes: HstuSizes, weights: LayerWeights, dropout: float) -> None:
        self._plan, self._sizes, self._weights = plan, sizes, weights
        columns, width = weights.project_CD.shape
        seed = int(torch.randint(2**62, ())) if dropout else 0
        self._shape = Shape(
            width=width,
            mixed=weights.output_DM.shape[1],
            columns=columns,
            gate=sizes.gate,
            dropped=round(dropout * 2**32),
            kept=np.float32(1 / (1 - dropout)) if dropout < 1 else np.float32(0),
            seed=seed,
        )
        self._wide = Weights(
            _wide_rows(weights.project_CD.T),
            _wide_rows(weights.project_CD),
            _wide_rows(weights.output_DM.T),
            _wide_rows(weights.output_DM),
            _wide_rows(weights.output_bias_D[None]),
        )

    def forward(self, state_ND: Tensor) -> tuple[Tensor, Tensor]:
        """What attention mixed, `[N, M]`, and the layer's output `[N, D]`."""
        parts_NC, out_ND = self._buffer("parts"), torch.empty_like(state_ND)
        state, parts, out = flat(state_ND), flat(parts_NC), flat(out_ND)
        self._on_rows(prepare_rows, state, parts, _NOTHING)
        mixed_NM = self._attention(parts_NC).forward().flatten(1)
        self._on_rows(finish_rows, state, parts, flat(mixed_NM), out)
        return mixed_NM, out_ND

    def backward(self, state_ND: Tensor, mixed_NM: Tensor, upstream_ND: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the state and of the weights."""
        shape, pieces = self._shape, self._plan.pieces
        parts_NC, slope_NC, slope_of_parts_NC = (self._buffer(name) for name in ("parts", "slopes", "gradients"))
        mixed_gradient_NM, state_gradient_ND = torch.empty_like(mixed_NM), torch.empty_like(state_ND)
        state, mixed, upstream = flat(state_ND), flat(mixed_NM), flat(upstream_ND)
        parts, slopes, parts_gradient = flat(parts_NC), flat(slope_NC), flat(slope_of_parts_NC)
        project = np.zeros((len(pieces), wide(shape.width) * wide(shape.columns)), np.float32)
        output = np.zeros((len(pieces), wide(shape.width) * wide(shape.mixed)), np.float32)
        output_bias = np.zeros((len(pieces), wide(shape.width)), np.float32)

        def before_attention(piece: Piece) -> None:
            rows = (piece.first, piece.last, shape, self._wide)
            prepare_rows(*rows, state, parts, slopes)
            sums = (output[piece.number], output_bias[piece.number])
            finish_backward_rows(*rows, upstream, parts, mixed, parts_gradient, flat(mixed_gradient_NM), *sums)

        def after_attention(piece: Piece) -> None:
            rows = (piece.first, piece.last, shape, self._wide)
            sums = project[piece.number]
            prepare_backward_rows(*rows, upstream, state, slopes, parts_gradient, flat(state_gradient_ND), sums)

        on_all(before_attention, pieces)
        mixed_gradient_NHV = mixed_gradient_NM.unflatten(1, (self._sizes.heads, -1))
        biases = self._attention(parts_NC).backward(mixed_gradient_NHV, self._heads(slope_of_parts_NC))
        on_all(after_attention, pieces)
        return (
            state_gradient_ND,
            _gathered(project, shape.width, shape.columns).T,
            _gathered(output, shape.width, shape.mixed),
            _gathered(output_bias, 1, shape.width)[0],
            *biases,
        )

    def _on_rows(self, kernel: Callable[..., None], *arrays: NDArray[np.float32]) -> None:
        shape, weights = self._shape, self._wide
        on_all(lambda piece: kernel(piece.first, piece.last, shape, weights, *arrays), self._plan.pieces)

    def _attention(self, parts_NC: Tensor) -> AttentionJob:
        biases = (self._weights.distance_bias_P, self._weights.time_bias_Z)
        return AttentionJob(self._plan, self._sizes.max_events, self._heads(parts_NC), biases)

    def _heads(self, parts_NC: Tensor) -> Sequence[Tensor]:
        """Queries, keys and values where they lie in the rows of U, V, Q and K."""
        sizes = self._sizes
        _, value_NM, query_NM, key_NM = parts_NC.split_with_sizes(sizes.parts, dim=1)
        return [part.unflatten(1, (sizes.heads, -1)) for part in (query_NM, key_NM, value_NM)]

    def _buffer(self, name: str) -> Tensor:
        return self._plan.buffer(name, self._shape.columns)


def _wide_rows(rows: Tensor) -> NDArray[np.float32]:
    """A matrix row behind row, each of whole vectors with zeros behind its last number."""
    width = rows.shape[1]
    padded: NDArray[np.float32] = functional.pad(rows.detach(), (0, wide(width) - width)).contiguous().numpy().ravel()
    return padded


def _gathered(sums: NDArray[np.float32], rows: int, width: int) -> Tensor:
    """A gradient from what the pieces summed up, in their order."""
    return torch.from_numpy(sums.sum(0).reshape(-1, wide(width))[:rows, :width])
