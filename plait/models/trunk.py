"""What the DNN and HSTU + DNN share: embedded inputs with target attention."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from plait.features.spec import FeatureSpec
from plait.models.batch import Batch
from plait.models.config import AttentionConfig, TrunkConfig
from plait.models.linear import NUMBER_LIMIT
from plait.nn.embedding import FieldTable, TokenTable, compact, hide_codes
from plait.nn.jagged import last_events
from plait.nn.target_attention import TargetAttention, weighted_sum
from plait.nn.time_buckets import TIME_BUCKETS, time_bucket


@dataclass(frozen=True, slots=True)
class TrunkOutput:
    """What the trunk made of a batch."""

    inputs_BX: Tensor
    """Input of the head."""
    candidate_BE: Tensor
    """The exposures' items as vectors."""
    items_ME: Tensor
    """The M distinct items of all histories as vectors of the same space."""
    slot_N: Tensor
    """Row in `items_ME` of each event's item."""


class Trunk(nn.Module):
    """Embeddings of all fields, standardised numbers, and what the recent sequence says about the candidate.

    A multi-valued field's embedding is the mean of its codes'. An item vector is its id's embedding beside the mean of
    its other fields' embeddings, from the same tables for candidates and histories.

    Args:
        config: sizes.
        spec: what a batch consists of.
        item_fields_VI: codes of the item fields of every item code, then of its multi-valued fields, with 0 behind.
    """

    item_fields_VI: Tensor

    def __init__(self, config: TrunkConfig, spec: FeatureSpec, item_fields_VI: Tensor) -> None:
        super().__init__()
        self.unknown_rate = config.unknown_rate
        self.item_columns = spec.item_columns
        self.register_buffer("item_fields_VI", item_fields_VI.to(torch.int32))
        self.fields = FieldTable([field.size for field in spec.fields], config.embedding_dim)
        self.tokens = TokenTable([field.size for field in spec.multi_fields], config.embedding_dim)
        self.item_lists = spec.multi_columns("item")
        self._most = [spec.multi_fields[column].most for column in self.item_lists]
        self.item_width = config.embedding_dim * min(2, len(spec.item_columns) + len(self.item_lists))
        self.interest = RecentInterest(config.attention, self.item_width, spec.action_size, config.embedding_dim)
        self.embedded = len(spec.fields) + len(spec.multi_fields)
        self.width = self.embedded * config.embedding_dim + len(spec.numbers) + self.interest.width

    def forward(self, batch: Batch) -> TrunkOutput:
        """The head's inputs and the item vectors they were made from."""
        codes_BF = hide_codes(batch.categorical_BF, self.unknown_rate, training=self.training)
        field_BFD = self.fields(codes_BF)
        tokens_N = self.tokens.hide(batch.token_codes_N, self.unknown_rate, training=self.training)
        bag_JD = self.tokens(tokens_N, batch.token_offsets_J1)
        multi_BPD = nn.functional.embedding(batch.bag_BP, bag_JD)
        of_item = (field_BFD[:, list(self.item_columns)], multi_BPD[:, list(self.item_lists)])
        candidate_BE = item_vector(torch.cat(of_item, dim=1))
        items_ME, slot_N = self.history_items(batch)
        interest_BI = self.interest(batch, candidate_BE, items_ME, slot_N)
        numeric_BG = batch.numeric_BG.clamp(-NUMBER_LIMIT, NUMBER_LIMIT)
        inputs_BX = torch.cat([field_BFD.flatten(1), multi_BPD.flatten(1), numeric_BG, interest_BI], dim=1)
        return TrunkOutput(inputs_BX, candidate_BE, items_ME, slot_N)

    def history_items(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """`items_ME` and `slot_N` of `TrunkOutput`."""
        distinct_M, slot_N = compact(batch.history_item_N.long(), len(self.item_fields_VI))
        return self.item_vectors(distinct_M), slot_N

    def item_vectors(self, codes_M: Tensor) -> Tensor:
        """`[M, E]`: the vectors of items by code."""
        return self.vectors_of(self.item_fields_VI[codes_M])

    def vectors_of(self, fields_MI: Tensor) -> Tensor:
        """`[M, E]`: the vectors of items by the codes of their fields, in the layout of `item_fields_VI`."""
        single = len(self.item_columns)
        field_MFD = self.fields.lookup(fields_MI[:, :single], self.item_columns)
        lists = torch.split(fields_MI[:, single:], self._most, dim=1)
        return item_vector(torch.cat([field_MFD, *(self.tokens.padded(codes)[:, None] for codes in lists)], dim=1))


class RecentInterest(nn.Module):
    """Target attention over the last events before each exposure.

    The output is the attention-weighted mean of the events' item vectors, and how much attention lies on each action.

    Args:
        config: sizes.
        item_width: width of item vectors.
        actions: number of action codes.
        action_width: width of what the actions are condensed to.
    """

    def __init__(self, config: AttentionConfig, item_width: int, actions: int, action_width: int) -> None:
        super().__init__()
        self.events = config.events
        self.attention = TargetAttention(item_width, config.hidden)
        self.by_action_AH = nn.Parameter(torch.zeros(actions, config.hidden))
        self.by_age_H = nn.Parameter(torch.zeros(TIME_BUCKETS, config.hidden))
        self.actions = nn.Linear(actions, action_width, bias=False)
        self.width = item_width + action_width

    def forward(self, batch: Batch, candidate_BE: Tensor, items_ME: Tensor, slot_N: Tensor) -> Tensor:
        """`[B, width]`; zeros for an exposure without events."""
        window = self.window(batch, items_ME, slot_N)
        if window is None:
            return candidate_BE.new_zeros(len(batch), self.width)
        if len(window.key_WLE) == 1:
            return self.in_shared(candidate_BE, self.shared(window))
        weight_BL = self.attention(candidate_BE, window.key_WLE, window.known_WLH, window.valid_WL)
        on_action_BA = weight_BL.new_zeros(len(batch), self.actions.in_features)
        on_action_BA = on_action_BA.scatter_add(1, window.action_WL, weight_BL)
        return torch.cat([weighted_sum(weight_BL, window.key_WLE), self.actions(on_action_BA)], dim=1)

    def window(self, batch: Batch, items_ME: Tensor, slot_N: Tensor) -> "EventWindow | None":
        """The last events before the exposures; a single window where all share one, None where there are none."""
        user_W, before_W, time_W = _distinct_windows(batch)
        windows = last_events(batch.history_offsets_U1, user_W, before_W, self.events)
        if windows.length == 0:
            return None
        action_WL = batch.history_action_N.long()[windows.rows_WL]
        age_WL = time_bucket(time_W[:, None] - batch.history_time_N[windows.rows_WL])
        return EventWindow(
            key_WLE=nn.functional.embedding(slot_N[windows.rows_WL], items_ME),
            known_WLH=nn.functional.embedding(action_WL * TIME_BUCKETS + age_WL, self.by_pair()),
            action_WL=action_WL,
            valid_WL=windows.valid_WL,
        )

    def by_pair(self) -> Tensor:
        """What each pair of action and age adds: one lookup in a table of sums instead of a sum of two lookups.

        There are few pairs and many events.
        """
        return (self.by_action_AH[:, None, :] + self.by_age_H).flatten(0, 1)

    def shared(self, window: "EventWindow") -> "SharedWindow":
        """What a window that all candidates share (W = 1) says about any of them."""
        of_action_LA = nn.functional.embedding(window.action_WL[0], self.actions.weight.T)
        return SharedWindow(
            matrix_CM=self.attention.shared_matrix(window.key_WLE[0], window.known_WLH[0]),
            value_LV=torch.cat([window.key_WLE[0], of_action_LA], dim=1),
            valid_1L=window.valid_WL,
        )

    def in_shared(self, candidate_BE: Tensor, window: "SharedWindow") -> Tensor:
        """As `forward`, over a window made ready by `shared`."""
        return self.attention.over_shared(candidate_BE, window.matrix_CM, window.valid_1L) @ window.value_LV


@dataclass(frozen=True, slots=True)
class EventWindow:
    """The last events before each of W exposures, or before all of them (W = 1)."""

    key_WLE: Tensor
    """Item vectors."""
    known_WLH: Tensor
    """What action and age add to the attention's first layer."""
    action_WL: Tensor
    valid_WL: Tensor


@dataclass(frozen=True, slots=True)
class SharedWindow:
    """One window made ready for any number of candidates."""

    matrix_CM: Tensor
    """Of `TargetAttention.shared_matrix`."""
    value_LV: Tensor
    """What each event adds to the output by its weight: item vector and action."""
    valid_1L: Tensor


def item_vector(field_MID: Tensor) -> Tensor:
    """The id's embedding beside the mean of the others'."""
    if field_MID.shape[1] == 1:
        return field_MID[:, 0]
    return torch.cat([field_MID[:, 0], field_MID[:, 1:].mean(1)], dim=1)


def _distinct_windows(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """User, number of events and time of the windows: a single one where all exposures share it, as in a request."""
    parts = (batch.user_B, batch.before_B, batch.time_B)
    if len(batch) and all(bool((part_B == part_B[0]).all()) for part_B in parts):
        return batch.user_B[:1], batch.before_B[:1], batch.time_B[:1]
    return parts
