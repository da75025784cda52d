"""HSTU attention: one operator, the fastest version that fits."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

import torch
from torch import Tensor

from plait.nn.hstu.clock import EventClock
from plait.nn.hstu.plain import plain_attention
from plait.nn.hstu.sizes import AttentionKind

Version = Literal["fast", "plain"]
"""The fused kernel of the device where there is one; or plain PyTorch operators, for comparison."""

_version: ContextVar[Version] = ContextVar("hstu_attention_version", default="fast")


@contextmanager
def attention_version(version: Version) -> Iterator[None]:
    """Use one version of `hstu_attention` within the block."""
    token = _version.set(version)
    try:
        yield
    finally:
        _version.reset(token)


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

    Raises:
        ValueError: a sequence is longer than the bias by distance.
    """
    if distance_bias_P is not None and len(distance_bias_P) < clock.longest:
        raise ValueError(
            f"a sequence has {clock.longest} events, expected at most the {len(distance_bias_P)} of the distance bias"
        )
    if (
        _version.get() == "fast"
        and kind == "silu"
        and query_NHK.device.type == "cpu"
        and query_NHK.dtype == torch.float32
    ):
        from plait.nn.hstu.cpu import cpu_attention  # noqa: PLC0415 - compiles kernels

        return cpu_attention(query_NHK, key_NHK, value_NHV, clock, distance_bias_P, time_bias_Z, max_events)
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
