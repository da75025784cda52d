"""HSTU + DNN: the DNN, and what the state of an HSTU over the whole sequence adds to it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from plait.features.spec import FeatureSpec
from plait.models.batch import Batch
from plait.models.config import HstuConfig, SequenceConfig
from plait.models.head import build_head, build_outcomes, start_heads
from plait.models.light_head import HstuHead, SequenceHead
from plait.models.memory import LongMemory
from plait.models.ranker import Layout
from plait.models.tower import UserSummary, UserTower
from plait.models.trunk import Trunk, TrunkOutput
from plait.nn.hstu import EventClock, HstuEncoder, HstuSizes
from plait.nn.jagged import pass_start, share_passes
from plait.nn.time_buckets import TIME_BUCKETS, time_bucket

_ITEMS_AT_A_TIME = 4096


class HstuRanker(nn.Module):
    """The DNN, plus what the state of an HSTU and the long memory say about the candidate.

        logits = dnn(x) + W mlp([s, s * c, c, when, m]),  W = 0 at first

    with s the user state, c the candidate, `when` the age of the last event and the context fields, and m the weight of
    what the user did before that concerns the candidate (`plait.models.memory.LongMemory`). One pass over a
    user's sequence serves every exposure of the user: s is the encoder's output after the last event before the
    exposure. The request's time reaches the head only, in `when` and m.

    As a sum that starts at the DNN it can begin from the trained DNN of these sizes (`training.start_from`), and
    without a signal in the sequence it stays there.

    Args:
        config: sizes.
        spec: what a batch consists of.
        item_fields_VI: codes of the item fields of every item code.
    """

    layout: Layout = "user"

    def __init__(self, config: HstuConfig, spec: FeatureSpec, item_fields_VI: Tensor) -> None:
        super().__init__()
        self._stride = max(1, config.sequence.max_events // 2)
        self.lookback = max(self._stride, config.attention.events, config.memory.events)
        self.history = self.lookback + self._stride
        self._spec = spec
        self.trunk = Trunk(config, spec, item_fields_VI)
        self.head = build_head(config, self.trunk.width, spec)
        self.outcomes = build_outcomes(config, spec)
        self.user_state = UserState(config.sequence, self.trunk.item_width, spec.action_size, len(spec.scenarios))
        self.memory = LongMemory(config.memory, spec, item_fields_VI)
        self.sequence_head = SequenceHead(config, spec, self.trunk.item_width, self.memory.width)

    def forward(self, batch: Batch) -> Tensor:
        """Logits `[B, T]`."""
        trunk = self.trunk(batch)
        state_BD = self.user_state(batch, trunk)
        added_BT = self.sequence_head(batch, state_BD, trunk.candidate_BE, self.memory(batch))
        logits_BT: Tensor = self.outcomes(self.head(trunk.inputs_BX, batch.scenario_B) + added_BT)
        return logits_BT

    def start_from(self, logit_T: Tensor) -> None:
        """Let the output biases be `logit_T`."""
        start_heads(self.head, self.outcomes, logit_T)

    def for_requests(self) -> Callable[[Batch], Callable[[Batch], Tensor]]:
        """See `plait.models.ranker.ServesRequests`."""
        score = self._light_head().for_requests()

        def begin(first: Batch) -> Callable[[Batch], Tensor]:
            none_0 = first.numeric_BG[:0]
            state_BD = self.user_state(first, TrunkOutput(none_0, none_0, *self.trunk.history_items(first)))
            return score(UserSummary(state_BD[:1], state_BD[:0]), first)

        return begin

    def split(self) -> tuple[UserTower, HstuHead]:
        """See `plait.models.ranker.SplitRanker`."""
        return self.user_state.tower(self.trunk), self._light_head()

    def window(self, before: int) -> int:
        """See `plait.models.ranker.SplitRanker`: whole strides, so that the pass begins where the tower's does."""
        needed = max(self.trunk.interest.events, self.memory.events)
        start = min(
            pass_start(before, self.user_state.max_events), max(0, before - needed) // self._stride * self._stride
        )
        return before - start

    def _light_head(self) -> HstuHead:
        parts = (self.trunk, self.head, self.memory, self.sequence_head)
        return HstuHead(*parts, outcomes=self.outcomes, spec=self._spec)


class UserState(nn.Module):
    """State of each exposure's user just before it: the HSTU's output after the last event it may see.

    An event's token is the sum of projections of its item, action, scenario and gap to the event before it. Without
    events the state is a learned vector.

    Args:
        config: sizes.
        item_width: width of item vectors.
        actions: number of action codes.
        scenarios: number of scenarios; the events' codes have one more for unknown.
    """

    def __init__(self, config: SequenceConfig, item_width: int, actions: int, scenarios: int) -> None:
        super().__init__()
        self.max_events = config.max_events
        self.item = nn.Linear(item_width, config.width)
        self.action = nn.Embedding(actions, config.width)
        self.scenario = nn.Embedding(scenarios + 1, config.width)
        self.gap = nn.Embedding(TIME_BUCKETS, config.width)
        for table in (self.action, self.scenario, self.gap):
            nn.init.normal_(table.weight, std=0.02)
        per_head = config.width // config.heads
        self.encoder = HstuEncoder(
            HstuSizes(
                width=config.width,
                heads=config.heads,
                query_width=per_head,
                value_width=per_head,
                blocks=config.blocks,
                max_events=config.max_events,
                dropout=config.dropout,
            )
        )
        self.nothing_D = nn.Parameter(torch.zeros(config.width))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, batch: Batch, trunk: TrunkOutput) -> Tensor:
        """States `[B, D]`."""
        passes = share_passes(batch.history_offsets_U1, batch.user_B, batch.before_B, self.max_events)
        if passes.windows.length == 0:
            return self.nothing_D.expand(len(batch), -1)
        row_N, offsets_P1 = passes.windows.flat()
        clock = EventClock(offsets_P1, batch.history_time_N[row_N])
        state_ND = self.encoder(self._tokens(batch, trunk, row_N, clock), clock)
        last_B = (offsets_P1[passes.pass_B] + passes.seen_B - 1).clamp(min=0)
        state_BD: Tensor = self.norm(state_ND[last_B])
        return torch.where((passes.seen_B == 0)[:, None], self.nothing_D, state_BD)

    def tower(self, trunk: Trunk) -> UserTower:
        """The tower on its own: it shares all weights but those of items, of which it has a table."""
        items = len(trunk.item_fields_VI)
        tower = UserTower(self.encoder.sizes, items, self.action.num_embeddings, self.scenario.num_embeddings)
        tower.action, tower.scenario, tower.gap = self.action, self.scenario, self.gap
        tower.encoder, tower.nothing_D, tower.norm = self.encoder, self.nothing_D, self.norm
        with torch.no_grad():
            for codes_M in torch.split(torch.arange(items), _ITEMS_AT_A_TIME):
                tower.item.weight[codes_M] = self.item(trunk.item_vectors(codes_M))
        return tower.train(self.training)

    def _tokens(self, batch: Batch, trunk: TrunkOutput, row_N: Tensor, clock: EventClock) -> Tensor:
        time_N = batch.history_time_N[row_N]
        gap_N = time_bucket(torch.diff(time_N, prepend=time_N[:1])).masked_fill_(clock.place_N == 0, 0)
        item_ND = nn.functional.embedding(trunk.slot_N[row_N], self.item(trunk.items_ME))
        action_ND = self.action(batch.history_action_N[row_N])
        token_ND: Tensor = item_ND + action_ND + self.scenario(batch.history_scenario_N[row_N]) + self.gap(gap_N)
        return token_ND
