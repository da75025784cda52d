"""HSTU attention on a GPU: one operator with its gradients, over jagged batches, in float32, bfloat16 or float16.

Memory grows with the events; the pairs of a batch are never held, and the biases of a pair are worked out where its
score is. Every sum is taken in one order, so runs repeat to the bit: no atomics, each kernel alone writes what it sums
up, and the shares of the bias gradients are added at the end.

Floor, for E = sum of L (L + 1) / 2 pairs, N events, H heads of K and V numbers of b bytes: forward 2 (K + V) H E
operations and (2 K + 2 V) H N b bytes; backward 2 (3 K + 2 V) H E operations and (4 K + 3 V) H N b bytes. What is done:
widths are padded to powers of two from 16 on, tiles on the diagonal are computed whole, and three kernels (gradients of
queries; of keys and values; of the biases) each work scores out anew: backward 2 (5 K + 4 V) H E operations. Keys and
values are read once per block of rows.

Products of float32 are three of TF32 (about float32's accuracy), or one if `torch.set_float32_matmul_precision` allows.
Tiles stay in registers, as the compiler reports for capability 8.0, but for at most about a kilobyte per thread in the
kernel of the biases.

The kernels were held to the float64 reference in Triton's interpreter, and compile for capabilities 8.0 and 9.0. They
have never run on a device: neither their speed nor their rounding there has been measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from plait.nn.hstu.clock import EventClock
from plait.nn.hstu.gpu_kernels import Biases, Blocks, Part, bias_kernel, forward_kernel, key_value_kernel, query_kernel
from plait.nn.time_buckets import FIRST_MS, TIME_BUCKETS

_SHARES = 64
"""Programs that divide a band of tiles among themselves for the gradients of the biases."""


@dataclass(frozen=True)
class BatchPlan:
    """A batch cut into blocks of rows: the same for every layer."""

    blocks: Blocks
    band_blocks: Tensor
    """How many of the blocks lie at least 0, 1, ... blocks behind the beginning of their sequence; they come first."""


def plan_of(clock: EventClock, block: int) -> BatchPlan:
    """The plan of a batch for blocks of `block` rows; made once per clock."""
    plans: dict[int, BatchPlan] = clock.__dict__.setdefault("gpu_plans", {})
    if block not in plans:
        plans[block] = _plan(clock, block)
    return plans[block]


def _plan(clock: EventClock, block: int) -> BatchPlan:
    blocks_U = (clock.lengths_U + block - 1) // block
    user_B = torch.repeat_interleave(blocks_U)
    nth_B = torch.arange(len(user_B), device=user_B.device) - (blocks_U.cumsum(0) - blocks_U)[user_B]
    nth_B, order_B = torch.sort(nth_B, descending=True, stable=True)
    user_B = user_B[order_B]
    band = torch.arange(-(-clock.longest // block), device=user_B.device)
    return BatchPlan(
        Blocks(
            clock.offsets_U1[user_B],
            clock.lengths_U[user_B].int(),
            (nth_B * block).int(),
            clock.row_time_N,
            clock.column_time_N,
        ),
        torch.searchsorted(-nth_B, -band, right=True),
    )


def gpu_attention(
    query_NHK: Tensor,
    key_NHK: Tensor,
    value_NHV: Tensor,
    clock: EventClock,
    distance_bias_P: Tensor | None,
    time_bias_Z: Tensor | None,
    max_events: int,
) -> Tensor:
    """As `plait.nn.hstu.hstu_attention` with SiLU; float32, bfloat16 or float16, heads of at most 128 numbers."""
    heads = [part if part.stride(2) == 1 else part.contiguous() for part in (query_NHK, key_NHK, value_NHV)]
    tables = [table if table is None else table.contiguous() for table in (distance_bias_P, time_bias_Z)]
    mixed_NHV: Tensor = _Attention.apply(*heads, *tables, clock, max_events)  # type: ignore[no-untyped-call]
    return mixed_NHV


class _Attention(torch.autograd.Function):
    """`plait.nn.hstu.hstu_attention` with SiLU, on a GPU."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        """Arguments: query, key, value, distance bias, time bias, clock, max_events."""
        *tensors, clock, max_events = arguments
        ctx.save_for_backward(*tensors)
        ctx.clock, ctx.max_events = clock, max_events
        return _Job(tensors, clock, max_events).forward()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """Gradients of the first five arguments."""
        upstream_NHV = gradients[0].contiguous()
        job = _Job(ctx.saved_tensors, ctx.clock, ctx.max_events)
        return (*job.backward(upstream_NHV), *job.bias_gradients(upstream_NHV), None, None)


class _Job:
    """One call: what the kernels are given, and their launches."""

    def __init__(self, tensors: Sequence[Any], clock: EventClock, max_events: int) -> None:
        query_NHK, key_NHK, value_NHV, distance_bias_P, time_bias_Z = tensors
        self.inputs = (query_NHK, key_NHK, value_NHV)
        self.tables = (distance_bias_P, time_bias_Z)
        self.heads, self.scale = query_NHK.shape[1], 1 / max_events
        k_wide, v_wide = (max(16, triton.next_power_of_2(part.shape[2])) for part in (key_NHK, value_NHV))
        widest = max(k_wide, v_wide)
        self.block = 32 if widest * query_NHK.element_size() <= 256 else 16
        self.plan = plan_of(clock, self.block)
        self.biases = Biases(*self.tables, first_ms_on(query_NHK.device))
        self.options = {
            "BLOCK": self.block,
            "K_WIDE": k_wide,
            "V_WIDE": v_wide,
            "PRECISION": "tf32x3" if torch.get_float32_matmul_precision() == "highest" else "tf32",
            "num_warps": 4 if widest <= 64 else 8,
            "num_stages": 2,
            "enable_fp_fusion": True,
        }

    def forward(self) -> Tensor:
        """The output, `[N, H, V]`."""
        (out_NHV,) = self._by_blocks(forward_kernel, self.inputs, self.inputs[2:])
        return out_NHV

    def backward(self, upstream_NHV: Tensor) -> tuple[Tensor, ...]:
        """Gradients of query, key and value."""
        given = (*self.inputs, upstream_NHV)
        return (
            *self._by_blocks(query_kernel, given, self.inputs[:1]),
            *self._by_blocks(key_value_kernel, given, self.inputs[1:]),
        )

    def bias_gradients(self, upstream_NHV: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Gradients of the biases by distance and by time."""
        distance_P, time_Z = self.tables
        if distance_P is None and time_Z is None:
            return None, None
        bands = len(self.plan.band_blocks)
        grid = (min(_SHARES, len(self.plan.blocks.first_B)), bands)
        z_wide = triton.next_power_of_2(TIME_BUCKETS)
        distance_sum = upstream_NHV.new_empty((*grid, 2, self.block), dtype=torch.float32)
        time_sum = upstream_NHV.new_empty((*grid, z_wide), dtype=torch.float32)
        given = [_part(part) for part in (*self.inputs, upstream_NHV)]
        sums = (distance_sum, time_sum, self.plan.band_blocks, self.heads)
        self._launch(bias_kernel, grid, *given, *sums, Z_WIDE=z_wide)
        return (
            None if distance_P is None else _by_distance(distance_sum.sum(0), len(distance_P)).to(distance_P.dtype),
            None if time_Z is None else time_sum.sum((0, 1))[: len(time_Z)].to(time_Z.dtype),
        )

    def _by_blocks(self, kernel: Any, given: Sequence[Tensor], like: Sequence[Tensor]) -> list[Tensor]:
        """New tensors shaped as those of `like`, filled by a kernel with a program for each block of rows and head."""
        filled = [tensor.new_empty(tensor.shape) for tensor in like]
        parts = (_part(tensor) for tensor in (*given, *filled))
        self._launch(kernel, (len(self.plan.blocks.first_B), self.heads), *parts)
        return filled

    def _launch(self, kernel: Any, grid: tuple[int, int], *arguments: Any, **options: int) -> None:
        if grid[0]:
            with torch.cuda.device_of(self.inputs[0]):  # type: ignore[no-untyped-call]
                kernel[grid](*arguments, self.plan.blocks, self.biases, self.scale, **self.options, **options)


def _part(tensor_NHK: Tensor) -> Part:
    return Part(tensor_NHK, tensor_NHK.stride(0), tensor_NHK.stride(1), tensor_NHK.shape[2])


def _by_distance(sum_band_2R: Tensor, distances: int) -> Tensor:
    """`[P]` from the sums of bands by distance: first those below the band's own distances, then its own."""
    bands, _, block = sum_band_2R.shape
    padded = sum_band_2R.new_zeros(bands + 1, block)
    padded[:-1] += sum_band_2R[:, 0]
    padded[1:] += sum_band_2R[:, 1]
    sum_P = sum_band_2R.new_zeros(distances)
    found = padded.flatten()[block:][:distances]
    sum_P[: len(found)] = found
    return sum_P


@lru_cache
def first_ms_on(device: torch.device) -> Tensor:
    """`FIRST_MS` in a device's memory."""
    return torch.tensor(FIRST_MS, device=device)
