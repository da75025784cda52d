"""Hierarchical Sequential Transduction Units: the user tower over a sequence of events."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from plait.nn.time_buckets import TIME_BUCKETS, time_bucket


class HstuEncoder(nn.Module):
    """A stack of HSTU blocks over event tokens in order of arrival.

    The state after event i depends on events 0..i and their own times only: the time bias of row i and column j is that
    of `|t[i] - t[j]|`, never of the next event's time, which a ranker must not know.

    Args:
        width: width of tokens and states.
        heads: attention heads; each has width `width / heads`.
        blocks: number of blocks.
        dropout: share dropped from the gated attention output in training.
        max_events: the longest sequence; also the constant that attention is divided by.
    """

    def __init__(self, width: int, heads: int, blocks: int, dropout: float, max_events: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(HstuBlock(width, heads, dropout, max_events) for _ in range(blocks))

    def forward(self, token_ULD: Tensor, time_UL: Tensor) -> Tensor:
        """States `[U, L, D]`; rows after a sequence's last event mean nothing and reach no row before them.

        Args:
            token_ULD: event tokens, a sequence's first event first, padded behind its last.
            time_UL: event times in milliseconds.
        """
        length = token_ULD.shape[1]
        bucket_ULL = time_bucket(time_UL[:, :, None] - time_UL[:, None, :])
        step_L = torch.arange(length, device=token_ULD.device)
        distance_LL = (step_L[:, None] - step_L[None, :]).clamp(min=0)
        causal_LL = torch.ones(length, length, device=token_ULD.device).tril_()
        state_ULD = token_ULD
        for block in self.blocks:
            state_ULD = block(state_ULD, bucket_ULL, distance_LL, causal_LL)
        return state_ULD


class HstuBlock(nn.Module):
    """One HSTU layer.

    With `LN` a layer norm without affine part and `rab` a relative bias by distance and by time bucket, shared by the
    heads:

        U, V, Q, K = split(SiLU(LN(x) W))
        A = SiLU(Q K^T + rab) / n, causal
        y = Linear(dropout(U * LN(A V))) + x

    Zhai et al. 2024, "Actions Speak Louder than Words", section 3. Here n is the constant `max_events` and not the
    padded length of a batch, so that padding never changes a result. Arguments as in `HstuEncoder`.
    """

    def __init__(self, width: int, heads: int, dropout: float, max_events: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width is {width}, expected a multiple of the {heads} heads")
        self.heads = heads
        self.max_events = max_events
        self.dropout = dropout
        self.project = nn.Linear(width, 4 * width, bias=False)
        nn.init.normal_(self.project.weight, std=0.02)
        self.output = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.output.weight)
        self.distance_bias = nn.Parameter(torch.randn(max_events) * 0.02)
        self.time_bias = nn.Parameter(torch.randn(TIME_BUCKETS) * 0.02)

    def forward(self, state_ULD: Tensor, bucket_ULL: Tensor, distance_LL: Tensor, causal_LL: Tensor) -> Tensor:
        """States `[U, L, D]` of the next layer.

        Args:
            state_ULD: states of this layer.
            bucket_ULL: time bucket of each pair of events.
            distance_LL: how many places the second event of a pair lies before the first.
            causal_LL: 1 where an event may look, 0 elsewhere.
        """
        width = state_ULD.shape[2]
        projected = functional.silu(self.project(functional.layer_norm(state_ULD, (width,))))
        gate_ULD, value_ULD, query_ULD, key_ULD = projected.chunk(4, dim=2)
        bias_ULL = pick(self.time_bias, bucket_ULL) + pick(self.distance_bias, distance_LL)
        query_UHLD, key_UHLD, value_UHLD = (self._by_head(part) for part in (query_ULD, key_ULD, value_ULD))
        score_UHLL = query_UHLD @ key_UHLD.transpose(2, 3) + bias_ULL[:, None]
        weight_UHLL = functional.silu(score_UHLL) * (causal_LL / self.max_events)
        mixed_ULD = (weight_UHLL @ value_UHLD).transpose(1, 2).flatten(2)
        gated_ULD = gate_ULD * functional.layer_norm(mixed_ULD, (width,))
        update_ULD: Tensor = self.output(functional.dropout(gated_ULD, self.dropout, self.training))
        return update_ULD + state_ULD

    def _by_head(self, part_ULD: Tensor) -> Tensor:
        users, length, width = part_ULD.shape
        return part_ULD.view(users, length, self.heads, width // self.heads).transpose(1, 2)


def pick(table_V: Tensor, index: Tensor) -> Tensor:
    """`table_V[index]`, with a gradient that is one weighted count: pairs are millions, buckets are few."""
    picked: Tensor = _Pick.apply(table_V, index)  # type: ignore[no-untyped-call]
    return picked


class _Pick(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table_V: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.size = len(table_V)
        return table_V.index_select(0, index.flatten()).view(index.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        total_V = torch.bincount(index.flatten(), weights=gradients[0].flatten(), minlength=ctx.size)
        return total_V.to(gradients[0].dtype), None
