"""The HSTU layer and its attention against a float64 reference: forward, gradients, jagged batches, padding."""

from itertools import pairwise

import hstu_reference as reference
import pytest
import torch

from plait.nn.hstu import EventClock, HstuEncoder, HstuLayer, HstuSizes, attention_version, hstu_attention
from plait.nn.hstu.clock import next_times, running_maximum
from plait.nn.hstu.cpu import cut, plan_of

MAX_EVENTS = 40
LENGTHS = [0, 1, 40, 3, 0, 17, 33]
HOUR = 3_600_000


def offsets(lengths):
    return torch.tensor([0, *lengths]).cumsum(0)


def times(lengths, seed=0):
    """Seconds to years between events, and some equal times."""
    generator = torch.Generator().manual_seed(seed)
    gaps = 10 ** (torch.rand(sum(lengths), generator=generator) * 10)
    gaps[torch.rand(sum(lengths), generator=generator) < 0.2] = 0
    return torch.cat([part.cumsum(0) for part in gaps.split(lengths)]).long() + 1_600_000_000_000


def inputs(lengths, heads, query_width, value_width, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    n = sum(lengths)
    return [
        normal(n, heads, query_width) / query_width**0.25,
        normal(n, heads, query_width) / query_width**0.25,
        normal(n, heads, value_width),
        normal(MAX_EVENTS),
        normal(129),
    ]


def by_reference(leaves, lengths, row_N, column_N, *, distance=True, time=True, softmax=False):
    query, key, value, distance_P, time_Z = leaves
    bias = (distance_P if distance else None, time_Z if time else None)
    parts = [
        reference.attention(
            query[a:b], key[a:b], value[a:b], row_N[a:b], column_N[a:b], *bias, MAX_EVENTS, softmax=softmax
        )
        for a, b in pairwise(offsets(lengths).tolist())
    ]
    return torch.cat(parts)


@pytest.mark.parametrize(("heads", "query_width", "value_width"), [(1, 50, 50), (2, 25, 25), (3, 4, 7)])
@pytest.mark.parametrize("options", [{}, {"time": False}, {"distance": False}, {"distance": False, "time": False}])
@pytest.mark.parametrize("softmax", [False, True])
def test_attention_and_gradients(heads, query_width, value_width, options, softmax):
    leaves = inputs(LENGTHS, heads, query_width, value_width)
    time_N = times(LENGTHS)
    ours = [leaf.clone().requires_grad_() for leaf in leaves]
    clock = EventClock(offsets(LENGTHS), time_N)
    out = hstu_attention(
        *ours[:3],
        clock,
        distance_bias_P=ours[3] if options.get("distance", True) else None,
        time_bias_Z=ours[4] if options.get("time", True) else None,
        max_events=MAX_EVENTS,
        kind="softmax" if softmax else "silu",
    )
    exact = [leaf.double().requires_grad_() for leaf in leaves]
    expected = by_reference(exact, LENGTHS, time_N, time_N, softmax=softmax, **options)
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=2e-6)

    upstream = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    out.backward(upstream)
    expected.backward(upstream.double())
    for found, wanted in zip(ours, exact, strict=True):
        if wanted.grad is None:
            assert found.grad is None
        else:
            torch.testing.assert_close(found.grad.double(), wanted.grad, rtol=1e-4, atol=2e-5)


def test_rows_may_look_back_from_the_next_events_time():
    """The published next-item bias: row i takes the time of event i + 1, the last row that of the request."""
    lengths = [3, 0, 2]
    time_N = torch.tensor([0, HOUR, 2 * HOUR, 5 * HOUR, 9 * HOUR])
    row_N = next_times(offsets(lengths), time_N, torch.tensor([7 * HOUR, 0, 9 * HOUR]))
    assert row_N.tolist() == [HOUR, 2 * HOUR, 7 * HOUR, 9 * HOUR, 9 * HOUR]
    leaves = inputs(lengths, 2, 4, 4)
    out = hstu_attention(
        *leaves[:3],
        EventClock(offsets(lengths), time_N, row_N),
        distance_bias_P=leaves[3],
        time_bias_Z=leaves[4],
        max_events=MAX_EVENTS,
    )
    expected = by_reference([leaf.double() for leaf in leaves], lengths, row_N, time_N)
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-6)


def test_late_events_count_from_the_latest_before_them():
    time_N = torch.tensor([5, 3, 9, 8, 1, 0, 2])
    assert running_maximum(time_N, offsets([4, 0, 3])).tolist() == [5, 5, 9, 9, 1, 1, 2]


@pytest.mark.parametrize(
    "changes", [{}, {"gate": False}, {"attention": "softmax"}, {"time_bias": False, "distance_bias": False}]
)
def test_layer_is_the_published_one(changes):
    torch.manual_seed(0)
    sizes = HstuSizes(width=6, heads=2, query_width=3, value_width=5, blocks=1, max_events=9, **changes)
    layer = HstuLayer(sizes).eval()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    lengths = [5, 1, 9]
    state_ND, time_N = torch.randn(15, 6), times(lengths)
    out = layer(state_ND, EventClock(offsets(lengths), time_N))
    for a, b in pairwise(offsets(lengths).tolist()):
        expected = reference.layer(layer, state_ND[a:b].double(), time_N[a:b])
        torch.testing.assert_close(out[a:b].double(), expected, rtol=1e-4, atol=1e-5)


def test_company_and_padding_change_nothing():
    """A sequence's states are the same alone and beside longer ones, and a later event moves none before it."""
    torch.manual_seed(0)
    encoder = HstuEncoder(HstuSizes(8, 2, 4, 4, blocks=3, max_events=MAX_EVENTS)).eval()
    token_ND, time_N = torch.randn(sum(LENGTHS), 8), times(LENGTHS)
    together = encoder(token_ND, EventClock(offsets(LENGTHS), time_N))
    for a, b in pairwise(offsets(LENGTHS).tolist()):
        alone = encoder(token_ND[a:b], EventClock(torch.tensor([0, b - a]), time_N[a:b]))
        torch.testing.assert_close(alone, together[a:b], rtol=1e-5, atol=1e-6)
        if b - a > 2:
            shorter = encoder(token_ND[a : b - 2], EventClock(torch.tensor([0, b - a - 2]), time_N[a : b - 2]))
            torch.testing.assert_close(shorter, together[a : b - 2], rtol=1e-5, atol=1e-6)


def test_what_does_not_fit_is_refused():
    encoder = HstuEncoder(HstuSizes(4, 1, 4, 4, blocks=1, max_events=2))
    with pytest.raises(ValueError, match="3 events, expected at most max_events = 2"):
        encoder(torch.zeros(3, 4), EventClock(torch.tensor([0, 3]), torch.zeros(3, dtype=torch.long)))
    with pytest.raises(ValueError, match="expected 0 to 4 events"):
        EventClock(torch.tensor([0, 3]), torch.zeros(4, dtype=torch.long))
    with pytest.raises(ValueError, match="blocks is 0"):
        HstuSizes(4, 1, 4, 4, blocks=0, max_events=2)


@pytest.fixture
def threads():
    """Sets PyTorch's number of threads, and puts it back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def run_version(version, leaves, lengths, time_N, upstream):
    leaves = [leaf.clone().requires_grad_() for leaf in leaves]
    with attention_version(version):
        out = hstu_attention(
            *leaves[:3],
            EventClock(offsets(lengths), time_N),
            distance_bias_P=leaves[3],
            time_bias_Z=leaves[4],
            max_events=max(lengths),
        )
    out.backward(upstream)
    return [out.detach(), *(leaf.grad for leaf in leaves)]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("lengths", [[700], [3, 520, 0, 300, 9], [256, 257, 1]])
def test_long_sequences_over_tiles_and_threads(threads, count, lengths):
    """Sequences longer than a tile, divided among threads: the same as plain PyTorch."""
    threads(count)
    leaves = inputs(lengths, 2, 7, 5)
    leaves[3] = torch.randn(max(lengths), generator=torch.Generator().manual_seed(2))
    time_N, upstream = times(lengths), torch.randn(sum(lengths), 2, 5, generator=torch.Generator().manual_seed(3))
    fast, plain = (run_version(version, leaves, lengths, time_N, upstream) for version in ("fast", "plain"))
    for found, wanted in zip(fast, plain, strict=True):
        torch.testing.assert_close(found, wanted, rtol=2e-4, atol=1e-4)
    again = run_version("fast", leaves, lengths, time_N, upstream)
    assert all(torch.equal(a, b) for a, b in zip(fast, again, strict=True))


def test_pieces_cover_every_row_once():
    for lengths in ([700], [0, 0], [1] * 50, [3, 520, 0, 300, 9]):
        pieces = list(cut(offsets(lengths).numpy(), 4))
        rows = [row for piece in pieces for row in range(piece.first, piece.last)]
        assert rows == list(range(sum(lengths)))
        for piece in pieces:
            start = int(offsets(lengths)[piece.user])
            assert start <= piece.first < start + lengths[piece.user]
            assert piece.shared == (piece.first > start)
    assert len(list(cut(offsets([700]).numpy(), 4))) == 4


def test_time_runs_are_the_buckets_of_all_pairs():
    lengths = [0, 30, 1, 17]
    clock = EventClock(offsets(lengths), times(lengths), times(lengths) + 5_000)
    runs = plan_of(clock).runs
    for row, place in enumerate(clock.place_N.tolist()):
        here, buckets = int(runs.first_N[row]), []
        while len(buckets) <= place:
            buckets += [int(runs.bucket_R[here])] * (int(runs.end_R[here]) - len(buckets))
            here += 1
        first = row - place
        times_of = clock.column_time_N[first : row + 1].tolist()
        assert buckets == [reference.bucket(int(clock.row_time_N[row]) - time) for time in times_of]


def test_a_bias_shorter_than_a_sequence_is_refused():
    query, key, value, distance_P, _ = inputs([5], 1, 2, 2)
    with pytest.raises(ValueError, match="5 events, expected at most the 4"):
        hstu_attention(
            query,
            key,
            value,
            EventClock(torch.tensor([0, 5]), torch.arange(5)),
            distance_bias_P=distance_P[:4],
            time_bias_Z=None,
            max_events=5,
        )
