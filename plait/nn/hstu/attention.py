"""HSTU attention: one operator, the fastest version that fits."""

from torch import Tensor

from plait.nn.hstu.clock import EventClock
from plait.nn.hstu.plain import plain_attention
from plait.nn.hstu.sizes import AttentionKind


def hstu_attention(
    query_NHK: Tensor,
    key_NHK: Tensor,
    value_NHV: Tensor,
    clock: EventClock,
    *,
    distance_bias_P: Tensor | None,
    time_bias_Z: Tensor | None,
    max_events: int,
    kind: AttentionKind = "silu",
) -> Tensor:
    """What every event takes from the events up to itself, `[N, H, V]`.

        out[i] = sum over j <= i of  SiLU(q[i] . k[j] + distance[i - j] + time[bucket(i, j)]) / n * v[j]

    over the events of one sequence; with `kind` "softmax", a softmax of the same scores over j.

    Args:
        query_NHK: queries of N events and H heads.
        key_NHK: keys.
        value_NHV: values.
        clock: the sequences and their times.
        distance_bias_P: weight by distance, shared by heads; None for none. P is at least the longest sequence.
        time_bias_Z: weight by time bucket, shared by heads; None for none.
        max_events: n.
        kind: what becomes of a score.
    """
    return plain_attention(
        query_NHK,
        key_NHK,
        value_NHV,
        clock,
        distance_bias_P=distance_bias_P,
        time_bias_Z=time_bias_Z,
        max_events=max_events,
        kind=kind,
    )
