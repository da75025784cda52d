"""The HSTU layer as one operator on the CPU against a float64 reference: forward, gradients, dropout, repetition."""

from itertools import pairwise

import hstu_reference as reference
import pytest
import torch
from test_hstu import offsets, times

from plait.nn.hstu import EventClock, HstuLayer, HstuSizes, attention_version, encoder
from plait.nn.hstu.cpu import plan_of
from plait.nn.hstu.layer_cpu import divides_sequences
from plait.nn.hstu.layer_rows import CHUNK

LENGTHS = [0, 1, 30, 3, 0, 17, 0]
KEPT = 1 / (1 - 0.2)


@pytest.fixture(autouse=True)
def threads():
    """Two threads, and back."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def make_layer(max_events=30, width=20, heads=2, query_width=5, value_width=10, **changes):
    torch.manual_seed(0)
    sizes = HstuSizes(width, heads, query_width, value_width, blocks=1, max_events=max_events, **changes)
    layer = HstuLayer(sizes)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return layer


def run(layer, state_ND, clock, upstream_ND):
    """The output, and the gradients of the state and of every weight."""
    layer.zero_grad()
    state_ND = state_ND.clone().requires_grad_()
    out_ND = layer(state_ND, clock)
    out_ND.backward(upstream_ND)
    return [out_ND.detach(), state_ND.grad, *(parameter.grad for parameter in layer.parameters())]


def run_reference(layer, state_ND, time_N, lengths, upstream_ND, kept_NM=None):
    state_ND, weights = state_ND.double().requires_grad_(), reference.double_weights(layer)
    out_ND = torch.cat(
        [
            reference.layer(
                layer,
                state_ND[a:b],
                time_N[a:b],
                weights=weights,
                kept_LM=None if kept_NM is None else kept_NM[a:b],
            )
            for a, b in pairwise(offsets(lengths).tolist())
        ]
    )
    out_ND.backward(upstream_ND.double())
    return [out_ND.detach(), state_ND.grad, *(weight.grad for weight in weights.values())]


def assert_close(found, wanted):
    for ours, exact in zip(found, wanted, strict=True):
        scale = float(exact.abs().max()) or 1.0
        torch.testing.assert_close(ours.double(), exact.double(), rtol=1e-4, atol=2e-6 * scale)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gate": False},
        {"time_bias": False},
        {"distance_bias": False},
        {"time_bias": False, "distance_bias": False},
        {"heads": 1, "query_width": 33, "value_width": 16, "width": 32},
        {"heads": 3, "query_width": 7, "value_width": 1, "width": 5},
    ],
)
def test_layer_and_gradients(changes):
    layer, time_N = make_layer(**changes).eval(), times(LENGTHS)
    state_ND, upstream_ND = torch.randn(2, sum(LENGTHS), layer.sizes.width).unbind()
    clock = EventClock(offsets(LENGTHS), time_N)
    assert not divides_sequences(clock)
    found = run(layer, state_ND, clock, upstream_ND)
    assert type(layer(state_ND, clock).grad_fn).__name__ == "_LayerBackward"
    assert_close(found, run_reference(layer, state_ND, time_N, LENGTHS, upstream_ND))


def test_chunks_of_many_and_of_long_sequences(monkeypatch):
    """Chunks hold whole sequences: many short ones, or one that is longer than a chunk and than a tile.

    Compared with the layer's parts one by one, which have tests of their own.
    """
    lengths = [CHUNK - 1, 1, 1, 0, 520, *[9] * 40, CHUNK, *[255] * 40]
    layer = make_layer(max_events=520).eval()
    state_ND, upstream_ND = torch.randn(2, sum(lengths), 20).unbind()
    clock = EventClock(offsets(lengths), times(lengths))
    assert not divides_sequences(clock)
    found = run(layer, state_ND, clock, upstream_ND)
    with monkeypatch.context() as patch:
        patch.setattr(encoder, "whole_layer_fits", lambda *_: False)
        wanted = run(layer, state_ND, clock, upstream_ND)
    for ours, apart in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, apart, rtol=1e-4, atol=5e-6 * float(apart.abs().max()))
    again = run(layer, state_ND, clock, upstream_ND)
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))


def test_sequences_divided_among_threads_take_the_layer_apart():
    lengths = [300, 3]
    layer = make_layer(max_events=300).eval()
    state_ND, upstream_ND, time_N = *torch.randn(2, 303, 20).unbind(), times(lengths)
    clock = EventClock(offsets(lengths), time_N)
    assert plan_of(clock).divides_sequences
    assert type(layer(state_ND, clock).grad_fn).__name__ == "AddBackward0"
    found = run(layer, state_ND, clock, upstream_ND)
    with attention_version("plain"):
        wanted = run(layer, state_ND, clock, upstream_ND)
    assert_close(found, wanted)


def kept_by(layer, clock, seed):
    """What dropout multiplies by, seen through an output that is the identity: 0 where it drops."""
    events = clock.events
    identity = make_layer(query_width=5).train()
    with torch.no_grad():
        identity.output.weight.copy_(torch.eye(20))
        identity.output.bias.zero_()
    state_ND = torch.randn(events, 20, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(seed)
    dropped_ND = identity(state_ND, clock) - state_ND
    whole_ND = identity.eval()(state_ND, clock) - state_ND
    assert layer.sizes == identity.sizes
    torch.testing.assert_close(dropped_ND[dropped_ND != 0], KEPT * whole_ND[dropped_ND != 0], rtol=1e-3, atol=1e-5)
    return torch.where(dropped_ND == 0, 0.0, KEPT).detach()


def test_dropout_and_its_gradients():
    layer, time_N = make_layer().train(), times(LENGTHS)
    clock = EventClock(offsets(LENGTHS), time_N)
    state_ND, upstream_ND = torch.randn(2, sum(LENGTHS), 20).unbind()
    kept_NM = kept_by(layer, clock, seed=5)
    torch.manual_seed(5)
    found = run(layer, state_ND, clock, upstream_ND)
    assert_close(found, run_reference(layer, state_ND, time_N, LENGTHS, upstream_ND, kept_NM))


def test_dropout_drops_its_share_anew_each_time():
    lengths = [30] * 100
    clock = EventClock(offsets(lengths), times(lengths))
    layer = make_layer()
    one_NM, same_NM, other_NM = (kept_by(layer, clock, seed) > 0 for seed in (1, 1, 2))
    assert torch.equal(one_NM, same_NM)
    # 60,000 draws: a standard deviation of the share is .0016.
    assert float(one_NM.double().mean()) == pytest.approx(0.8, abs=0.007)
    # Two independent masks agree with probability .8^2 + .2^2.
    assert float((one_NM == other_NM).double().mean()) == pytest.approx(0.68, abs=0.008)
    for neighbour_NM in (one_NM.roll(1, 0), one_NM.roll(1, 1)):
        assert float((one_NM == neighbour_NM).double().mean()) == pytest.approx(0.68, abs=0.01)
    assert float((one_NM.double().mean(0) - 0.8).abs().max()) < 0.04
    layer.train()
    state_ND = torch.randn(3000, 20)
    assert not torch.equal(layer(state_ND, clock), layer(state_ND, clock))


def test_an_empty_batch_has_gradients():
    layer = make_layer().eval()
    clock = EventClock(torch.tensor([0, 0]), torch.zeros(0, dtype=torch.long))
    found = run(layer, torch.zeros(0, 20), clock, torch.zeros(0, 20))
    assert found[0].shape == (0, 20)
    assert all(not gradient.any() for gradient in found[1:])
