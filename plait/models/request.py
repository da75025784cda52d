"""The DNN over the candidates of one request: whatever they share is computed once.

All candidates of a request have one user, one context and one history. Their columns of the MLP's first matrix are
multiplied once, and what the history says about any candidate is one matrix. The logits are those of the model's own
`forward`, up to rounding.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from plait.features.spec import FeatureSpec
from plait.models.batch import Batch
from plait.models.linear import NUMBER_LIMIT
from plait.models.trunk import EventWindow, Head, SharedWindow, Trunk, item_vector
from plait.nn.cross import CrossNetwork
from plait.nn.time_buckets import TIME_BUCKETS, time_bucket

_LANES = 16
"""Matrices of some other number of columns are slow to multiply by."""


@dataclass(frozen=True, slots=True)
class SharedInputs:
    """What a request's candidates have in common."""

    inputs_1S: Tensor
    """Columns of the head's inputs."""
    window: SharedWindow | None
    """The last events; None without any."""


class RequestTrunk:
    """A trained trunk whose output is split into columns that a request's candidates share, and their own.

    Args:
        trunk: trained.
        spec: what it was made for.
    """

    def __init__(self, trunk: Trunk, spec: FeatureSpec) -> None:
        self._trunk = trunk
        self._items = len(spec.item_columns)
        self._by_pair_PH = trunk.interest.by_pair()
        shared_fields = [*spec.columns("user"), *spec.columns("context")]
        own_fields = [*spec.item_columns, *spec.columns("creative")]
        self._shared_lists = [*spec.multi_columns("user"), *spec.multi_columns("context")]
        self._own_lists = [*spec.multi_columns("item"), *spec.multi_columns("creative")]
        self._item_lists = len(spec.multi_columns("item"))
        self._shared_numbers = [*spec.number_columns("user"), *spec.number_columns("context")]
        own_numbers = [index for index in range(len(spec.numbers)) if index not in self._shared_numbers]
        self._shared_fields, self._own_fields = _as_slice(shared_fields), _as_slice(own_fields)
        self._own_numbers = _as_slice(own_numbers)
        self._shared_offsets = trunk.fields.offsets_F[shared_fields]
        self._own_offsets = trunk.fields.offsets_F[own_fields]
        self.shared_columns = self._columns(shared_fields, self._shared_lists, self._shared_numbers, spec)
        """Which columns of the trunk's `inputs_BX` are shared."""
        interest = range(trunk.width - trunk.interest.width, trunk.width)
        self.own_columns = [*self._columns(own_fields, self._own_lists, own_numbers, spec), *interest]

    def shared(self, batch: Batch) -> SharedInputs:
        """What the rows of a request share: U = 1, and every row has the same user, context and all of the history."""
        field_1FD = self._trunk.fields.table(batch.categorical_BF[:1, self._shared_fields] + self._shared_offsets)
        numeric_1G = batch.numeric_BG[:1, self._shared_numbers].clamp_(-NUMBER_LIMIT, NUMBER_LIMIT)
        multi_1PD = self._multi(batch, batch.bag_BP[:1, self._shared_lists])
        inputs_1S = torch.cat([field_1FD.flatten(1), multi_1PD.flatten(1), numeric_1G], dim=1)
        return SharedInputs(inputs_1S, self._window(batch))

    def own(self, batch: Batch, shared: SharedInputs) -> Tensor:
        """The candidates' own columns `[B, O]`."""
        field_BFD = self._trunk.fields.table(batch.categorical_BF[:, self._own_fields] + self._own_offsets)
        multi_BPD = self._multi(batch, batch.bag_BP[:, self._own_lists])
        of_item = (field_BFD[:, : self._items], multi_BPD[:, : self._item_lists])
        candidate_BE = item_vector(torch.cat(of_item, dim=1))
        if shared.window is None:
            interest_BI = candidate_BE.new_zeros(len(batch), self._trunk.interest.width)
        else:
            interest_BI = self._trunk.interest.in_shared(candidate_BE, shared.window)
        numeric_BG = batch.numeric_BG[:, self._own_numbers].clamp(-NUMBER_LIMIT, NUMBER_LIMIT)
        return torch.cat([field_BFD.flatten(1), multi_BPD.flatten(1), numeric_BG, interest_BI], dim=1)

    def _multi(self, batch: Batch, bag_BP: Tensor) -> Tensor:
        """`[B, P, D]`: the vectors of some of the batch's bags."""
        if not bag_BP.shape[1]:
            return self._trunk.tokens.table.weight.new_empty(*bag_BP.shape, self._trunk.tokens.table.weight.shape[1])
        return nn.functional.embedding(bag_BP, self._trunk.tokens(batch.token_codes_N, batch.token_offsets_J1))

    def _window(self, batch: Batch) -> SharedWindow | None:
        events = self._trunk.interest.events
        if not len(batch.history_time_N):
            return None
        item_L, action_L = batch.history_item_N[-events:], batch.history_action_N[-events:].long()
        age_L = time_bucket(batch.time_B[:1] - batch.history_time_N[-events:])
        window = EventWindow(
            key_WLE=self._trunk.item_vectors(item_L)[None],
            known_WLH=self._by_pair_PH[action_L * TIME_BUCKETS + age_L][None],
            action_WL=action_L[None],
            valid_WL=torch.ones(1, len(item_L), dtype=torch.bool),
        )
        return self._trunk.interest.shared(window)

    def _columns(
        self, fields: Sequence[int], lists: Sequence[int], numbers: Sequence[int], spec: FeatureSpec
    ) -> list[int]:
        width = self._trunk.fields.table.weight.shape[1]
        embedded = [*fields, *(len(spec.fields) + place for place in lists)]
        of_embedded = [width * column + place for column in embedded for place in range(width)]
        return of_embedded + [width * (len(spec.fields) + len(spec.multi_fields)) + number for number in numbers]


class RequestHead:
    """A trained head over split inputs.

    Args:
        head: trained.
        shared_columns: which of its inputs all rows share.
        own_columns: the others.
    """

    def __init__(self, head: Head, shared_columns: Sequence[int], own_columns: Sequence[int]) -> None:
        order_X = torch.tensor([*shared_columns, *own_columns])
        first, *self._further = head.deep.layers
        if not isinstance(first, nn.Linear):
            raise TypeError(f"found {type(first).__name__}, expected the MLP to begin with a linear layer")
        self._shared_HS = first.weight[:, list(shared_columns)].contiguous()
        self._bias_H = first.bias
        self._own_OH = first.weight[:, list(own_columns)].T.contiguous()
        self._cross = _reordered(head.cross, order_X)
        objectives = head.objectives.out_features
        padding = -objectives % _LANES
        weight_TY = head.objectives.weight[
            :, torch.cat([order_X, torch.arange(len(order_X), head.objectives.in_features)])
        ]
        self._objectives = objectives
        self._out_TY = nn.functional.pad(weight_TY, (0, 0, 0, padding))
        self._out_T = nn.functional.pad(head.objectives.bias, (0, padding))

    def shared(self, inputs_1S: Tensor) -> Tensor:
        """What the shared columns add to the MLP's first layer, its bias included."""
        return nn.functional.linear(inputs_1S, self._shared_HS, self._bias_H)

    def logits(self, inputs_1S: Tensor, shared_1H: Tensor, own_BO: Tensor) -> Tensor:
        """Logits `[B, T]`.

        Args:
            inputs_1S: the shared columns.
            shared_1H: what `shared` made of them.
            own_BO: each row's own columns.
        """
        deep_BH = torch.addmm(shared_1H, own_BO, self._own_OH)
        for layer in self._further:
            deep_BH = layer(deep_BH)
        inputs_BX = torch.cat([inputs_1S.expand(len(own_BO), -1), own_BO], dim=1)
        features_BY = torch.cat([self._cross(inputs_BX), deep_BH], dim=1)
        return nn.functional.linear(features_BY, self._out_TY, self._out_T)[:, : self._objectives]


def _as_slice(columns: Sequence[int]) -> slice | list[int]:
    """Columns beside each other as a slice: indexing by it copies nothing."""
    if columns and list(columns) == list(range(columns[0], columns[-1] + 1)):
        return slice(columns[0], columns[-1] + 1)
    return list(columns)


def _reordered(cross: CrossNetwork, order_X: Tensor) -> CrossNetwork:
    """The same network over inputs, and with outputs, in another order."""
    cross = copy.deepcopy(cross)
    for layer in cross.layers:
        matrices = [part for part in layer.modules() if isinstance(part, nn.Linear)]
        matrices[0].weight.data = matrices[0].weight.data[:, order_X]
        matrices[-1].weight.data = matrices[-1].weight.data[order_X]
        matrices[-1].bias.data = matrices[-1].bias.data[order_X]
    return cross
