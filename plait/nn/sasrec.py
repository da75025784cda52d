"""SASRec: the causal transformer that next-item models are compared with, over jagged batches."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from plait.nn.hstu import EventClock

_NORM_EPSILON = 1e-8


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
        state_ND = token_ND
        for layer in self.layers:
            state_ND = layer(state_ND, clock)
        return state_ND


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

    def forward(self, state_ND: Tensor, clock: EventClock) -> Tensor:
        """States `[N, D]` of the next layer."""
        query_ND = self.norm(state_ND)
        mixed_ND = query_ND + self.attend(query_ND, state_ND, clock)
        hidden_NH = self._drop(functional.relu(self.expand(mixed_ND)))
        result_ND: Tensor = mixed_ND + self._drop(self.contract(hidden_NH))
        return result_ND

    def attend(self, query_ND: Tensor, state_ND: Tensor, clock: EventClock) -> Tensor:
        """What each event takes from the events up to itself, `[N, D]`."""
        heads = (self.sizes.heads, self.sizes.width // self.sizes.heads)
        parts_NHK = (self.query(query_ND), *self.key_value(state_ND).chunk(2, dim=1))
        query_UHLK, key_UHLK, value_UHLK = (
            clock.pad(part_ND.unflatten(1, heads)).transpose(1, 2) for part_ND in parts_NHK
        )
        dropped = self.sizes.dropout if self.training else 0.0
        mixed_UHLK = functional.scaled_dot_product_attention(
            query_UHLK, key_UHLK, value_UHLK, is_causal=True, dropout_p=dropped
        )
        result_ND: Tensor = self.mix(clock.unpad(mixed_UHLK.transpose(1, 2)).flatten(1))
        return result_ND

    def _drop(self, values: Tensor) -> Tensor:
        return functional.dropout(values, self.sizes.dropout, self.training)
