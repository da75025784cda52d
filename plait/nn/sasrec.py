"""SASRec: the causal transformer that next-item models are compared with, over jagged batches."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from plait.nn.dropout import dropout
from plait.nn.hstu import EventClock
from plait.nn.jagged import Windows, cut

_NORM_EPSILON = 1e-8
_TOGETHER = 16
"""How many sequences of about one length are padded to the longest of them and attend in one product."""


@dataclass(frozen=True, slots=True)
class SasrecSizes:
    """Sizes of a SASRec."""

    width: int
    """D: of tokens and states."""
    heads: int
    hidden: int
    """Width of the feed-forward layers."""
    blocks: int
    max_events: int
    """The longest sequence."""
    dropout: float = 0.2
    """Share of attention weights and of feed-forward activations that is dropped in training."""

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width is {self.width}, expected a multiple of heads = {self.heads}")


class SasrecEncoder(nn.Module):
    """A stack of SASRec layers over event tokens; places are the tokens' own business.

    The state after event i depends on events 0..i only; times play no part.
    """

    def __init__(self, sizes: SasrecSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.layers = nn.ModuleList(SasrecLayer(sizes) for _ in range(sizes.blocks))

    def forward(self, token_ND: Tensor, clock: EventClock) -> Tensor:
        """States `[N, D]`.

        Args:
            token_ND: event tokens of all sequences, one behind the other.
            clock: the sequences.
        """
        state_ND, groups = token_ND, AlikeSequences.of(clock)
        for layer in self.layers:
            state_ND = layer(state_ND, groups)
        return state_ND


@dataclass(frozen=True, slots=True)
class AlikeSequences:
    """The sequences of a batch in groups of about one length: attention pads within a group only."""

    windows: tuple[Windows, ...]
    """One per group, the shortest sequences first."""
    place_N: Tensor
    """Where each event stands when the groups' events lie one behind the other."""

    @classmethod
    def of(cls, clock: EventClock) -> "AlikeSequences":
        """The groups of a batch; sequences without events are in none."""
        order_U = clock.lengths_U.argsort(stable=True)
        order_U = order_U[clock.lengths_U[order_U] > 0]
        windows = tuple(
            cut(clock.offsets_U1[group_G], clock.lengths_U[group_G])
            for group_G in torch.split(order_U, _TOGETHER)
            if len(group_G)
        )
        rows_N = torch.cat([one.rows_WL[one.valid_WL] for one in windows]) if windows else clock.user_N
        return cls(windows, rows_N.argsort())


class SasrecLayer(nn.Module):
    """One SASRec layer.

        q = LN(x)
        z = q + MultiHead(q, x, x), causal
        y = z + dropout(W2 dropout(relu(W1 z)))

    Kang and McAuley 2018, "Self-Attentive Sequential Recommendation", section 3, in the arrangement of their code:
    queries are normed, keys and values are not.
    """

    def __init__(self, sizes: SasrecSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.norm = nn.LayerNorm(sizes.width, eps=_NORM_EPSILON)
        self.query = nn.Linear(sizes.width, sizes.width)
        self.key_value = nn.Linear(sizes.width, 2 * sizes.width)
        self.mix = nn.Linear(sizes.width, sizes.width)
        self.expand = nn.Linear(sizes.width, sizes.hidden)
        self.contract = nn.Linear(sizes.hidden, sizes.width)
        for linear in (self.query, self.key_value, self.mix, self.expand, self.contract):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, state_ND: Tensor, groups: AlikeSequences) -> Tensor:
        """States `[N, D]` of the next layer."""
        query_ND = self.norm(state_ND)
        mixed_ND = query_ND + self.attend(query_ND, state_ND, groups)
        hidden_NH = self._drop(functional.relu(self.expand(mixed_ND)))
        result_ND: Tensor = mixed_ND + self._drop(self.contract(hidden_NH))
        return result_ND

    def attend(self, query_ND: Tensor, state_ND: Tensor, groups: AlikeSequences) -> Tensor:
        """What each event takes from the events up to itself, `[N, D]`.

        Written out, since PyTorch's fused attention knows no dropout on a CPU and falls back to all of this and more.
        """
        heads, width = self.sizes.heads, self.sizes.width // self.sizes.heads
        parts = (self.query(query_ND) * width**-0.5, *self.key_value(state_ND).chunk(2, dim=1))
        mixed = [state_ND.new_zeros(0, self.sizes.width)]
        for window in groups.windows:
            query_GHLK, key_GHLK, value_GHLK = (_heads(part_ND, window, heads) for part_ND in parts)
            later_LL = state_ND.new_full((window.length, window.length), -torch.inf).triu(1)
            weight_GHLL = torch.softmax(query_GHLK @ key_GHLK.transpose(2, 3) + later_LL, dim=3)
            mixed_GLHK = (self._drop(weight_GHLL) @ value_GHLK).transpose(1, 2)
            mixed.append(mixed_GLHK[window.valid_WL].flatten(1))
        result_ND: Tensor = self.mix(torch.cat(mixed)[groups.place_N])
        return result_ND

    def _drop(self, values: Tensor) -> Tensor:
        return dropout(values, self.sizes.dropout, self.training)


def _heads(values_ND: Tensor, window: Windows, heads: int) -> Tensor:
    """`[G, H, L, K]`: the events of a group, each head's part. Behind a sequence's end stands event 0 of the batch."""
    picked_XD = values_ND.index_select(0, window.rows_WL.flatten())
    return picked_XD.view(*window.rows_WL.shape, heads, -1).transpose(1, 2)
