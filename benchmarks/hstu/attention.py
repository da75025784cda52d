"""The attention operator alone: `python attention.py VERSION LENGTH TOKENS REPEATS THREADS`, JSON on standard output.

Versions: `fast` and `plain` are `plait.nn.hstu.hstu_attention`; `sdpa` is PyTorch's softmax attention with the same
biases as an additive mask, which is what there is to compare with.
"""

import json
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from plait.nn.hstu import EventClock, attention_version, hstu_attention
from plait.nn.hstu.plain import pair_bias
from plait.telemetry import peak_memory_gb

HEADS, HEAD_WIDTH = 2, 25
"""Those of the published HSTU-large."""


def leaves(length: int, users: int) -> list[Tensor]:
    """Queries, keys, values and the two bias tables."""
    shape = (users * length, HEADS, HEAD_WIDTH)
    tensors = [torch.randn(shape) * 0.3 for _ in range(3)] + [torch.randn(length) * 0.02, torch.randn(129) * 0.02]
    return [tensor.requires_grad_() for tensor in tensors]


def clock(length: int, users: int) -> EventClock:
    """Sequences of one length, with gaps between seconds and weeks."""
    gap_UL = 10 ** (torch.rand(users, length) * 6 + 3)
    offsets_U1 = torch.arange(users + 1) * length
    return EventClock(offsets_U1, gap_UL.cumsum(1).long().flatten())


def ours(tensors: list[Tensor], at: EventClock) -> Tensor:
    query, key, value, distance_P, time_Z = tensors
    return hstu_attention(
        query, key, value, at, distance_bias_P=distance_P, time_bias_Z=time_Z, max_events=len(distance_P)
    )


def sdpa(tensors: list[Tensor], at: EventClock) -> Tensor:
    query, key, value, distance_P, time_Z = tensors
    bias_ULL = pair_bias(at, distance_P, time_Z)
    seen_LL = torch.ones(bias_ULL.shape[1:], dtype=torch.bool).tril()
    mask = bias_ULL.masked_fill(~seen_LL, -torch.inf)[:, None]
    by_head = (at.pad(part).transpose(1, 2) for part in (query, key, value))
    return at.unpad(functional.scaled_dot_product_attention(*by_head, attn_mask=mask).transpose(1, 2))


def measure(attend: Callable[[list[Tensor], EventClock], Tensor], length: int, users: int, repeats: int) -> dict:
    """Fastest forward, and forward with backward, in seconds; the batch's time buckets are made anew in each."""
    tensors, template = leaves(length, users), clock(length, users)
    upstream = torch.randn(users * length, HEADS, HEAD_WIDTH)
    forward, both = [], []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        with torch.no_grad():
            attend(tensors, EventClock(template.offsets_U1, template.column_time_N))
        forward.append(time.perf_counter() - started)
        started = time.perf_counter()
        attend(tensors, EventClock(template.offsets_U1, template.column_time_N)).backward(upstream)
        both.append(time.perf_counter() - started)
    return {"forward_s": min(forward[1:]), "both_s": min(both[1:])}


def main() -> None:
    version, length, tokens, repeats, threads = sys.argv[1], *(int(argument) for argument in sys.argv[2:])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    users = max(1, tokens // length)
    before = peak_memory_gb()
    if version == "sdpa":
        measured = measure(sdpa, length, users, repeats)
    else:
        with attention_version(version):
            measured = measure(ours, length, users, repeats)
    print(json.dumps({**measured, "tokens": users * length, "memory_gb": peak_memory_gb() - before}))


if __name__ == "__main__":
    main()
