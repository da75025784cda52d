"""HSTU attention on the CPU: one operator with its gradients, over jagged batches, on every core.

Memory grows with the events; the pairs of a batch are never held. Numba compiles the kernels at first use and keeps
them beside this file.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from plait.nn.hstu.clock import EventClock
from plait.nn.hstu.tiles import BLOCK, Bias, Heads, Rows, backward_rows, forward_rows, space_needed
from plait.nn.hstu.time_runs import TimeRuns, find_runs
from plait.nn.hstu.vectors import LANES

_PIECES_PER_THREAD = 4
"""Pieces that a thread's share of a batch is cut into, so that no thread waits long for another."""
_ROW_COST = 64
"""What a row costs besides its columns, in columns."""
_DIVIDED_FROM = 256
"""Shorter sequences are computed before threads could have shared them."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows that one thread computes in one go."""

    number: int
    user: int
    """The sequence of its first row."""
    first: int
    last: int
    shared: bool
    """An earlier piece has rows of the same sequence."""


@dataclass(frozen=True)
class BatchPlan:
    """A batch cut into pieces, and its time runs: the same for every layer."""

    offsets_U1: NDArray[np.int64]
    pieces: tuple[Piece, ...]
    runs: TimeRuns

    @property
    def divides_sequences(self) -> bool:
        """Do pieces share a sequence?"""
        return any(piece.shared for piece in self.pieces)

    def rows(self, piece: Piece) -> Rows:
        """The rows of a piece as the kernels take them."""
        return Rows(self.offsets_U1, piece.user, piece.first, piece.last)


def plan_of(clock: EventClock) -> BatchPlan:
    """The plan of a batch for the present number of threads; made once per clock."""
    threads = torch.get_num_threads()
    plans: dict[int, BatchPlan] = clock.__dict__.setdefault("cpu_plans", {})
    if threads not in plans:
        offsets_U1 = clock.offsets_U1.numpy()
        pieces = tuple(cut(offsets_U1, threads * _PIECES_PER_THREAD))
        plans[threads] = BatchPlan(offsets_U1, pieces, _find_runs(clock, offsets_U1, pieces))
    return plans[threads]


def _find_runs(clock: EventClock, offsets_U1: NDArray[np.int64], pieces: Sequence[Piece]) -> TimeRuns:
    runs = TimeRuns.empty(clock.events)
    row_N, column_N = clock.row_time_N.numpy(), clock.column_time_N.numpy()

    def find(piece: Piece) -> None:
        rows = (offsets_U1, piece.user, piece.first, piece.last)
        find_runs(row_N, column_N, *rows, runs.first_N, runs.end_R, runs.bucket_R)

    on_all(find, pieces)
    return runs


def cut(offsets_U1: NDArray[np.int64], count: int) -> Iterator[Piece]:
    """A batch as at most `count` pieces of about equal cost; a sequence is divided only if it is much of a piece.

    Args:
        offsets_U1: where each sequence begins.
        count: how many pieces, at most.
    """
    length_U = np.diff(offsets_U1)
    user_N = np.repeat(np.arange(len(length_U)), length_U)
    cost_N = np.arange(len(user_N)) - offsets_U1[user_N] + _ROW_COST
    done_N = np.cumsum(cost_N)
    if not len(done_N):
        return
    piece = done_N[-1] / count
    row_E = np.searchsorted(done_N, piece * np.arange(1, count))
    user_E = user_N[row_E]
    start_E, end_E = offsets_U1[user_E], offsets_U1[user_E + 1]
    within_E = np.minimum(start_E + -(-(row_E - start_E) // BLOCK) * BLOCK, end_E)
    length_E = end_E - start_E
    is_long_E = (length_E >= _DIVIDED_FROM) & (length_E * (length_E / 2 + _ROW_COST) > piece / 2)
    first = number = 0
    for last in np.unique(np.append(np.where(is_long_E, within_E, end_E), offsets_U1[-1])).tolist():
        if last > first:
            user = int(user_N[first])
            yield Piece(number, user, first, last, shared=first > int(offsets_U1[user]))
            first, number = last, number + 1


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="hstu")


def on_all(work: Callable[[Piece], None], pieces: Sequence[Piece]) -> None:
    """Do the work of every piece, on as many threads as PyTorch uses."""
    threads = torch.get_num_threads()
    if threads == 1 or len(pieces) == 1:
        for piece in pieces:
            work(piece)
    else:
        list(_pool(threads).map(work, pieces))


def cpu_attention(
    query_NHK: Tensor,
    key_NHK: Tensor,
    value_NHV: Tensor,
    clock: EventClock,
    distance_bias_P: Tensor | None,
    time_bias_Z: Tensor | None,
    max_events: int,
) -> Tensor:
    """As `plait.nn.hstu.hstu_attention` with SiLU; float32 tensors on the CPU, the numbers of a row side by side."""
    heads = [part if _rows_are_whole(part) else part.contiguous() for part in (query_NHK, key_NHK, value_NHV)]
    mixed_NHV: Tensor = _Attention.apply(*heads, distance_bias_P, time_bias_Z, clock, max_events)  # type: ignore[no-untyped-call]
    return mixed_NHV


def _rows_are_whole(part_NHK: Tensor) -> bool:
    return part_NHK.stride(2) == 1 and part_NHK.stride(1) == part_NHK.shape[2]


class _Attention(torch.autograd.Function):
    """`plait.nn.hstu.hstu_attention` with SiLU, in float32 on the CPU."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        """Arguments: query, key, value, distance bias, time bias, clock, max_events."""
        *tensors, clock, max_events = arguments
        ctx.save_for_backward(*tensors)
        ctx.plan, ctx.max_events = plan_of(clock), max_events
        return AttentionJob(ctx.plan, max_events, tensors[:3], tensors[3:]).forward()

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> tuple[Tensor | None, ...]:
        """Gradients of the first five arguments."""
        heads, biases = ctx.saved_tensors[:3], ctx.saved_tensors[3:]
        gradients = [torch.zeros(part.shape) for part in heads]
        job = AttentionJob(ctx.plan, ctx.max_events, heads, biases)
        return (*gradients, *job.backward(upstream[0].contiguous(), gradients), None, None)


class AttentionJob:
    """Attention of one layer over one batch, and its gradients.

    Args:
        plan: of the batch.
        max_events: n.
        heads: queries, keys and values, `[N, H, width]`; the numbers of a row side by side.
        biases: by distance and by time bucket; None for none.
    """

    def __init__(
        self, plan: BatchPlan, max_events: int, heads: Sequence[Tensor], biases: Sequence[Tensor | None]
    ) -> None:
        self.plan = plan
        self._shape = heads[2].shape
        self.heads = _heads(heads)
        self.bias = bias_of(plan, max_events, biases)

    def forward(self) -> Tensor:
        """`[N, H, V]`."""
        out_NHV = torch.zeros(self._shape)
        out = flat(out_NHV)

        def work(piece: Piece) -> None:
            forward_rows(self.plan.rows(piece), self.bias, self.heads, out, self.memory())

        on_all(work, self.plan.pieces)
        return out_NHV

    def backward(self, upstream_NHV: Tensor, gradients: Sequence[Tensor]) -> list[Tensor | None]:
        """Gradients of the biases; those of queries, keys and values are added to `gradients`."""
        sums, upstream = _Gradients(gradients, self), flat(upstream_NHV)
        on_all(lambda piece: sums.add(piece, upstream), self.plan.pieces)
        return sums.gathered()

    def memory(self) -> NDArray[np.float32]:
        """What a kernel works in: the same memory for all that a thread does."""
        return working_memory(space_needed(self.heads.heads, self.heads.query_width, self.heads.value_width))


def bias_of(plan: BatchPlan, max_events: int, biases: Sequence[Tensor | None]) -> Bias:
    """The biases by distance and by time bucket (None for none) as the kernels take them."""
    distance_P, time_Z = biases
    nothing, runs = np.zeros(LANES, np.float32), plan.runs
    return Bias(
        np.float32(1 / max_events),
        nothing if distance_P is None else functional.pad(distance_P.detach().flip(0), (0, LANES)).numpy(),
        0 if distance_P is None else len(distance_P),
        nothing if time_Z is None else time_Z.detach().numpy(),
        0 if time_Z is None else len(time_Z),
        runs.first_N,
        runs.end_R,
        runs.bucket_R,
    )


_of_thread = threading.local()


def working_memory(numbers: int) -> NDArray[np.float32]:
    """Memory that this thread may use until it asks for some again; new memory costs as much as computing."""
    memory: NDArray[np.float32] | None = getattr(_of_thread, "memory", None)
    if memory is None or len(memory) < numbers:
        memory = _of_thread.memory = np.zeros(numbers, np.float32)
    return memory


class BiasSums:
    """Gradients of the biases while they are summed up: per piece, so that runs repeat to the bit."""

    def __init__(self, plan: BatchPlan, bias: Bias) -> None:
        self._distances = np.zeros((len(plan.pieces), bias.distances + LANES), np.float32)
        self._times = np.zeros((len(plan.pieces), bias.times * LANES), np.float32)

    def of(self, piece: Piece) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What a piece adds to."""
        return self._distances[piece.number], self._times[piece.number]

    def gathered(self) -> list[Tensor | None]:
        """The two gradients; None where there is no such bias."""
        distance_P = torch.from_numpy(self._distances.sum(0)[:-LANES]).flip(0)
        time_Z = torch.from_numpy(self._times.sum(0).reshape(-1, LANES).sum(1))
        return [gradient if len(gradient) else None for gradient in (distance_P, time_Z)]


class _Gradients:
    """Gradients while they are summed up.

    A piece writes to rows of its own. Keys and values of a sequence that an earlier piece has begun are summed per
    piece, as the biases are, and put together at the end, in the order of the pieces.
    """

    def __init__(self, tensors: Sequence[Tensor], job: AttentionJob) -> None:
        self.job, self.sums = job, BiasSums(job.plan, job.bias)
        self.tensors, self.heads = tensors, _heads(tensors)
        self.apart: dict[Piece, list[Tensor]] = {}

    def add(self, piece: Piece, upstream: NDArray[np.float32]) -> None:
        """What the rows of one piece add."""
        rest = piece
        if piece.shared:
            end = min(piece.last, int(self.job.plan.offsets_U1[piece.user + 1]))
            start = self._start(piece)
            apart = [torch.zeros(end - start, *part.shape[1:]) for part in self.tensors[1:]]
            self.apart[piece] = apart
            self._run(replace(piece, last=end), upstream, _heads([self.tensors[0], *apart]), start)
            rest = replace(piece, user=piece.user + 1, first=end)
        if rest.first < rest.last:
            self._run(rest, upstream, self.heads, 0)

    def gathered(self) -> list[Tensor | None]:
        """Gradients of the two biases; those of keys and values are whole from here on."""
        for piece in sorted(self.apart, key=lambda piece: piece.number):
            for whole, part in zip(self.tensors[1:], self.apart[piece], strict=True):
                whole[self._start(piece) :][: len(part)] += part
        return self.sums.gathered()

    def _start(self, piece: Piece) -> int:
        return int(self.job.plan.offsets_U1[piece.user])

    def _run(self, piece: Piece, upstream: NDArray[np.float32], gradients: Heads, shift: int) -> None:
        job, rows = self.job, self.job.plan.rows(piece)
        backward_rows(rows, job.bias, job.heads, upstream, gradients, shift, *self.sums.of(piece), job.memory())


def _heads(parts: Sequence[Tensor]) -> Heads:
    query_NHK, key_NHK, value_NHV = parts
    return Heads(
        *(flat(query_NHK), query_NHK.stride(0)),
        *(flat(key_NHK), key_NHK.stride(0)),
        *(flat(value_NHV), value_NHV.stride(0)),
        heads=query_NHK.shape[1],
        query_width=query_NHK.shape[2],
        value_width=value_NHV.shape[2],
    )


def flat(tensor: Tensor) -> NDArray[np.float32]:
    """The memory from a tensor's first number to its last; rows may lie apart, the numbers of a row may not."""
    size = (tensor.shape[0] - 1) * tensor.stride(0) + tensor[0].numel() if len(tensor) else 0
    memory: NDArray[np.float32] = tensor.detach().as_strided((size,), (1,)).numpy()
    return memory
