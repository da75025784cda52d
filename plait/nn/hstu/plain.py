"""HSTU attention in plain PyTorch operators: every device, every option, memory by the square of the length."""

import torch
from torch import Tensor
from torch.nn import functional

from plait.nn.hstu.clock import EventClock
from plait.nn.hstu.sizes import AttentionKind


def plain_attention(
    query_NHK: Tensor,
    key_NHK: Tensor,
    value_NHV: Tensor,
    clock: EventClock,
    *,
    distance_bias_P: Tensor | None,
    time_bias_Z: Tensor | None,
    max_events: int,
    kind: AttentionKind,
) -> Tensor:
    """As `plait.nn.hstu.hstu_attention`, over sequences padded to the longest."""
    query_UHLK, key_UHLK, value_UHLV = (clock.pad(part).transpose(1, 2) for part in (query_NHK, key_NHK, value_NHV))
    score_UHLL = query_UHLK @ key_UHLK.transpose(2, 3)
    bias_ULL = pair_bias(clock, distance_bias_P, time_bias_Z)
    if bias_ULL is not None:
        score_UHLL = score_UHLL + bias_ULL[:, None]
    step_L = torch.arange(clock.longest, device=query_NHK.device)
    seen_LL = step_L[:, None] >= step_L[None, :]
    if kind == "softmax":
        weight_UHLL = torch.softmax(score_UHLL.masked_fill(~seen_LL, -torch.inf), dim=3)
    else:
        weight_UHLL = functional.silu(score_UHLL) * (seen_LL / max_events)
    return clock.unpad((weight_UHLL @ value_UHLV).transpose(1, 2))


def pair_bias(clock: EventClock, distance_bias_P: Tensor | None, time_bias_Z: Tensor | None) -> Tensor | None:
    """The bias of every pair of events, `[U, L, L]` or `[1, L, L]`; None without any."""
    bias_ULL = None
    if distance_bias_P is not None:
        step_L = torch.arange(clock.longest, device=distance_bias_P.device)
        distance_LL = (step_L[:, None] - step_L[None, :]).clamp(min=0)
        bias_ULL = functional.embedding(distance_LL, distance_bias_P[:, None]).squeeze(2)[None]
    if time_bias_Z is not None:
        time_ULL = functional.embedding(clock.bucket_ULL, time_bias_Z[:, None]).squeeze(3)
        bias_ULL = time_ULL if bias_ULL is None else bias_ULL + time_ULL
    return bias_ULL
