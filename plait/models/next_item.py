"""Next-item models: states over a user's events, and the vectors of the catalogue that they are compared with."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from plait.models.config import NextItemConfig
from plait.nn.hstu import EventClock, HstuEncoder, HstuSizes
from plait.nn.hstu.clock import next_times
from plait.nn.sasrec import SasrecEncoder, SasrecSizes

_STD = 0.02


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events of U users, N in all, one user behind the other in order, and when each next item is asked for."""

    offsets_U1: Tensor
    item_N: Tensor
    action_N: Tensor
    time_N: Tensor
    """Epoch ms."""
    request_time_U: Tensor
    """When the item after each user's last event is asked for, ms."""


@dataclass(frozen=True, slots=True)
class ItemWords:
    """The words of the items' texts: item v has `word_M[offsets_V[v] : offsets_V[v + 1]]`, the last one the rest."""

    offsets_V: Tensor
    word_M: Tensor
    size: int
    """Number of distinct words."""


class NextItemModel(nn.Module):
    """Scores of the whole catalogue after every event.

        score[n, v] = cos(state n, item v) / T,  state = encoder(dropout(sqrt(D) item + place [+ action]))

    with the same item vectors on both sides and learned places, as published (Zhai et al. 2024, section 4.1). With
    `item_text` an item's vector is that of its id plus the mean of its words' vectors.

    Args:
        config: sizes.
        items: V, items of the catalogue.
        actions: number of action codes.
        words: the items' words; needed with `item_text`.
    """

    def __init__(self, config: NextItemConfig, items: int, actions: int, words: ItemWords | None = None) -> None:
        super().__init__()
        self.config = config
        self.item = nn.Embedding(items, config.width)
        self.place = nn.Embedding(config.max_events, config.width)
        self.action = nn.Embedding(actions, config.width) if config.actions else None
        nn.init.trunc_normal_(self.item.weight, std=_STD, a=-2 * _STD, b=2 * _STD)
        nn.init.normal_(self.place.weight, std=config.width**-0.5)
        if self.action is not None:
            nn.init.normal_(self.action.weight, std=config.width**-0.5)
        self.words = _WordVectors(words, config.width) if config.item_text and words is not None else None
        self.encoder = _encoder(config)

    def forward(self, batch: EventBatch) -> tuple[Tensor, Tensor]:
        """States `[N, D]` after each event and the catalogue's vectors `[V, D]`, all of length 1.

        `states @ items.T / temperature` are the scores of what comes next.
        """
        row_time_N = None
        if self.config.request_time:
            row_time_N = next_times(batch.offsets_U1, batch.time_N, batch.request_time_U)
        clock = EventClock(batch.offsets_U1, batch.time_N, row_time_N)
        item_VD = self.item.weight if self.words is None else self.item.weight + self.words()
        token_ND = functional.embedding(batch.item_N, item_VD) * self.config.width**0.5 + self.place(clock.place_N)
        if self.action is not None:
            token_ND = token_ND + self.action(batch.action_N)
        state_ND = self.encoder(functional.dropout(token_ND, self.config.dropout, self.training), clock)
        return functional.normalize(state_ND, dim=1), functional.normalize(item_VD, dim=1)


class _WordVectors(nn.Module):
    """The mean vector of each item's words, `[V, D]`; zero where it has none."""

    offsets_V: Tensor
    word_M: Tensor

    def __init__(self, words: ItemWords, width: int) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(words.size, width, mode="mean")
        nn.init.trunc_normal_(self.bag.weight, std=_STD, a=-2 * _STD, b=2 * _STD)
        self.register_buffer("offsets_V", words.offsets_V)
        self.register_buffer("word_M", words.word_M)

    def forward(self) -> Tensor:
        vectors_VD: Tensor = self.bag(self.word_M, self.offsets_V)
        return vectors_VD


def _encoder(config: NextItemConfig) -> HstuEncoder | SasrecEncoder:
    if config.encoder == "sasrec":
        return SasrecEncoder(
            SasrecSizes(
                config.width,
                config.heads,
                config.hidden,
                blocks=config.blocks,
                max_events=config.max_events,
                dropout=config.dropout,
            )
        )
    return HstuEncoder(hstu_sizes(config))


def hstu_sizes(config: NextItemConfig) -> HstuSizes:
    """Of a next-item model's encoder, where that is an HSTU."""
    return HstuSizes(
        width=config.width,
        heads=config.heads,
        query_width=config.head_width,
        value_width=config.head_width,
        blocks=config.blocks,
        max_events=config.max_events,
        dropout=config.dropout,
        time_bias=config.time_bias,
    )
