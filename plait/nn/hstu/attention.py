"""HSTU attention: one operator, the fastest version that fits."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.util import find_spec
from typing import Literal

import torch
from torch import Tensor

from plait.nn.hstu.clock import EventClock
from plait.nn.hstu.plain import plain_attention
from plait.nn.hstu.sizes import AttentionKind

Version = Literal["fast", "plain"]
"""The fused kernel of the device where there is one; or plain PyTorch operators, for comparison."""

Fused = Callable[[Tensor, Tensor, Tensor, EventClock, Tensor | None, Tensor | None, int], Tensor]
"""Query, key, value, clock, distance bias, time bias, max_events: attention with SiLU."""

_GPU_TYPES = (torch.float32, torch.bfloat16, torch.float16)
_GPU_WIDTH = 128
"""The widest head whose tiles fit a GPU's registers."""

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
    if _version.get() == "fast" and kind == "silu":
        widest = max(query_NHK.shape[2], value_NHV.shape[2])
        fused = fused_attention(query_NHK.device.type, query_NHK.dtype, widest)
        if fused is not None:
            return fused(query_NHK, key_NHK, value_NHV, clock, distance_bias_P, time_bias_Z, max_events)
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


def fused_attention(device: str, dtype: torch.dtype, width: int) -> Fused | None:
    """The fused kernel for tensors of one type on one type of device; None where there is none.

    Args:
        device: "cpu", "cuda", ...
        dtype: of queries, keys and values.
        width: numbers of a head, the larger of K and V.
    """
    if device == "cpu" and dtype == torch.float32:
        from plait.nn.hstu.cpu import cpu_attention  # noqa: PLC0415 - compiles kernels

        return cpu_attention
    if device == "cuda" and dtype in _GPU_TYPES and width <= _GPU_WIDTH and _has_triton():
        from plait.nn.hstu.gpu import gpu_attention  # noqa: PLC0415 - an extra

        return gpu_attention
    return None


def whole_layer_fits(state_ND: Tensor, clock: EventClock, kind: AttentionKind) -> bool:
    """Is there one operator for a whole layer (`plait.nn.hstu.layer_cpu`), and may it be used?"""
    on_cpu = state_ND.device.type == "cpu" and state_ND.dtype == torch.float32
    if _version.get() != "fast" or kind != "silu" or not on_cpu or torch.is_autocast_enabled("cpu"):
        return False
    from plait.nn.hstu.layer_cpu import divides_sequences  # noqa: PLC0415 - compiles kernels

    return not divides_sequences(clock)


@cache
def _has_triton() -> bool:
    found = find_spec("triton") is not None
    if not found:
        warnings.warn(
            "HSTU attention on the GPU is slow and takes memory by the square of the length: "
            "Triton is missing; pip install 'plait[gpu]'",
            stacklevel=4,
        )
    return found
