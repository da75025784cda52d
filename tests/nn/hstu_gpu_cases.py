"""The kernels of `plait.nn.hstu.gpu` in Triton's interpreter; `test_hstu_gpu.py` runs this file in its own process.

Blocks have 32 rows here: lengths are chosen around that.
"""

import hstu_reference as reference
import pytest
import torch
import triton.language as tl
from test_hstu import HOUR, MAX_EVENTS, by_reference, inputs, offsets, times
from triton.runtime.interpreter import InterpreterBuilder

from plait.nn.hstu import EventClock, attention_version, gpu, hstu_attention
from plait.nn.hstu.clock import next_times
from plait.nn.hstu.gpu import gpu_attention, plan_of
from plait.nn.time_buckets import FIRST_MS

LENGTHS = [0, 31, 1, 32, 33, 0]


def run(attention, leaves, clock, upstream, *, distance=True, time=True):
    """Output and gradients; a copy of the leaves, so that none is shared."""
    leaves = [leaf.detach().clone().requires_grad_() for leaf in leaves]
    biases = (leaves[3] if distance else None, leaves[4] if time else None)
    out = attention(*leaves[:3], clock, *biases, MAX_EVENTS)
    out.backward(upstream.to(out.dtype))
    return [out.detach(), *(leaf.grad for leaf in leaves)]


def plain(query, key, value, clock, distance_P, time_Z, n):
    with attention_version("plain"):
        return hstu_attention(query, key, value, clock, distance_bias_P=distance_P, time_bias_Z=time_Z, max_events=n)


def assert_same(found, wanted, **tolerance):
    for a, b in zip(found, wanted, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a.double(), b.double(), **tolerance)


def normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize(
    ("heads", "widths", "options"),
    [
        (1, (50, 50), {}),
        (2, (25, 25), {"time": False}),
        (3, (4, 7), {"distance": False}),
        (2, (5, 3), {"distance": False, "time": False}),
    ],
)
def test_output_and_gradients(heads, widths, options):
    """Against the float64 reference, event by event."""
    leaves, time_N = inputs(LENGTHS, heads, *widths), times(LENGTHS)
    upstream = normal(sum(LENGTHS), heads, widths[1])
    found = run(gpu_attention, leaves, EventClock(offsets(LENGTHS), time_N), upstream, **options)

    def exact(query, key, value, clock, distance_P, time_Z, _):
        return by_reference([query, key, value, distance_P, time_Z], LENGTHS, clock.row_time_N, clock.column_time_N)

    wanted = run(exact, [leaf.double() for leaf in leaves], EventClock(offsets(LENGTHS), time_N), upstream, **options)
    assert_same(found, wanted, rtol=1e-5, atol=5e-6)


@pytest.mark.parametrize("distances", [70, 200])
def test_many_blocks(distances, monkeypatch):
    """Sequences of several blocks, more of these than programs for the biases, and tables that end within a block."""
    monkeypatch.setattr(gpu, "_SHARES", 2)
    lengths = [70, 2, 65]
    leaves = inputs(lengths, 1, 3, 2)
    leaves[3] = normal(distances)
    clock, upstream = EventClock(offsets(lengths), times(lengths)), normal(sum(lengths), 1, 2)
    wanted = run(plain, [leaf.double() for leaf in leaves], clock, upstream)
    assert_same(run(gpu_attention, leaves, clock, upstream), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype, monkeypatch):
    """Sums are float32: errors are those of rounding weights, slopes and results, towards zero in the interpreter."""
    plain_dot = InterpreterBuilder.create_dot

    def dot(self, a, b, *rest):  # the interpreter multiplies the bits of bfloat16 as integers
        a, b = (self.cast_impl(part, tl.float32) if part.dtype.scalar == tl.bfloat16 else part for part in (a, b))
        return plain_dot(self, a, b, *rest)

    monkeypatch.setattr(InterpreterBuilder, "create_dot", dot)
    leaves = inputs([33, 2], 2, 25, 16)
    leaves[:3] = [leaf.to(dtype) for leaf in leaves[:3]]
    clock, upstream = EventClock(offsets([33, 2]), times([33, 2])), normal(35, 2, 16).to(dtype)
    found = run(gpu_attention, leaves, clock, upstream)
    assert [part.dtype for part in found] == [dtype] * 4 + [torch.float32] * 2
    wanted = run(plain, [leaf.double() for leaf in leaves], clock, upstream)
    for a, b in zip(found, wanted, strict=True):
        assert (a.double() - b).abs().max() < 2 * torch.finfo(dtype).eps * b.abs().max()


def test_rows_of_the_next_events_time_and_strided_views():
    """Views into one projection, as a layer makes them, and time that a row looks back from later than its own."""
    lengths, heads, width = [3, 0, 34], 2, 5
    time_N = times(lengths, seed=3)
    row_N = next_times(offsets(lengths), time_N, torch.tensor([0, 0, int(time_N[-1]) + 7 * HOUR]))
    clock, upstream = EventClock(offsets(lengths), time_N, row_N), normal(37, heads, width)
    together = normal(37, 3 * heads * width)
    results = []
    for attention in (gpu_attention, plain):
        leaf = together.clone().requires_grad_()
        parts = (part.view(-1, heads, width) for part in leaf.split(heads * width, dim=1))
        out = attention(*parts, clock, None, inputs(lengths, 1, 1, 1)[4], MAX_EVENTS)
        out.backward(upstream)
        results.append([out.detach(), leaf.grad])
    assert_same(*results, rtol=1e-5, atol=5e-6)


def test_every_threshold_between_buckets():
    """Columns lie exactly on a threshold or 1 ms before it; with scores of nothing but bias, the bucket shows."""
    differences = sorted({0, *range(998, 1003), *(first - late for first in FIRST_MS[1:77] for late in (0, 1))})
    assert differences[-1] > 250 * 365 * 24 * HOUR
    events = len(differences)
    column_N = torch.tensor([10**15 - difference for difference in reversed(differences)])
    clock = EventClock(torch.tensor([0, events]), column_N, torch.full_like(column_N, 10**15))
    nothing, each = torch.zeros(events, 1, 1), torch.eye(events)[:, None]
    out = gpu_attention(nothing, nothing, each, clock, None, torch.arange(129.0), 1)
    bucket = torch.tensor([float(reference.bucket(difference)) for difference in reversed(differences)])
    torch.testing.assert_close(out[-1, 0], bucket / (1 + torch.exp(-bucket)))


def test_no_events():
    leaves = inputs([0, 0], 2, 4, 4)
    found = run(gpu_attention, leaves, EventClock(offsets([0, 0]), times([0, 0])), torch.zeros(0, 2, 4))
    assert [part.shape for part in found] == [(0, 2, 4)] * 4 + [(MAX_EVENTS,), (129,)]
    assert not found[4].any()
    assert not found[5].any()


def test_blocks_cover_every_row_once():
    lengths = [70, 0, 1, 32, 33]
    plan = plan_of(EventClock(offsets(lengths), times(lengths)), 32)
    blocks = plan.blocks
    found = sorted(zip(blocks.start_B.tolist(), blocks.length_B.tolist(), blocks.first_B.tolist(), strict=True))
    assert found == [(0, 70, 0), (0, 70, 32), (0, 70, 64), (70, 1, 0), (71, 32, 0), (103, 33, 0), (103, 33, 32)]
    assert blocks.first_B.tolist() == [64, 32, 32, 0, 0, 0, 0]
    assert plan.band_blocks.tolist() == [7, 3, 1]
