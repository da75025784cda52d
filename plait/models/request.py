"""The DNN over the candidates of one request: whatever they share is computed once.

All candidates of a request have one user, one context and one history. What those say enters the first layers once;
what a candidate's fields add to the first layers is looked up in a table of products that was made when the model was
loaded; and what the history says about any candidate is one matrix. The logits are those of the model's own `forward`,
up to rounding.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from plait.features.history import HistoryNumbers
from plait.features.spec import FeatureSpec, as_slice
from plait.models.batch import Batch
from plait.models.head import Head
from plait.models.linear import NUMBER_LIMIT
from plait.models.trunk import EventWindow, SharedWindow, Trunk, item_vector
from plait.nn.embedding import FieldTable
from plait.nn.products import product
from plait.nn.shared_cross import SharedCross
from plait.nn.time_buckets import TIME_BUCKETS, time_bucket

_LANES = 16
"""Matrices of some other number of columns are slow to multiply by."""
_MOST_ROWS = 100_000
"""Rows of the table of products, of 1 KiB each or so; fields that do not fit are multiplied in every request."""


@dataclass(frozen=True, slots=True)
class SharedInputs:
    """What a request's candidates have in common."""

    window: SharedWindow | None
    """The last events; None without any."""
    first_1G: Tensor
    """What the shared columns add to the first layers, the bias included."""
    crossed: list[Tensor]
    """Of `SharedCross.shared`."""


@dataclass(frozen=True, slots=True)
class OwnInputs:
    """What tells the candidates apart."""

    inputs_BO: Tensor
    """Their own columns of the head's inputs."""
    tabled_BG: Tensor
    """What the fields in the table of products add to the first layers."""
    candidate_BE: Tensor
    """The items as vectors."""


class RequestDnn:
    """A trained trunk and head in steps: what the rows of a request share, what is their own, the logits of both.

    Args:
        trunk: trained.
        head: trained.
        spec: what they were made for.
    """

    def __init__(self, trunk: Trunk, head: Head, spec: FeatureSpec) -> None:
        self._trunk, self._head, first = trunk, head, head.first_of_all()
        self._by_pair_PH = trunk.interest.by_pair()
        columns = _Columns.split(spec)
        own, shared = columns.own_inputs(trunk), columns.shared_inputs(trunk)
        self._shared_fields, self._shared_numbers = columns.shared_fields, columns.shared_numbers
        self._shared_lists, self._own_lists = columns.shared_lists, columns.own_lists
        self._item_lists = len(spec.multi_columns("item"))
        self._own_fields, self._own_numbers = as_slice(columns.own_fields), as_slice(columns.own_numbers)
        self._shared_offsets = trunk.fields.offsets_F[columns.shared_fields]
        self._own_offsets = trunk.fields.offsets_F[columns.own_fields]
        self._items = as_slice([columns.own_fields.index(field) for field in spec.item_columns])

        self._objectives, self._hidden = head.objectives.out_features, first.out_features
        self._bias_T = functional.pad(head.objectives.bias, (0, -self._objectives % _LANES))
        out_TX = functional.pad(head.crossed_TX(), (0, 0, 0, -self._objectives % _LANES))
        self._tail, self._cross = head.tail(_LANES), SharedCross(head.cross, out_TX, shared, own)

        first_XG = torch.cat([first.weight.T, self._cross.first_XR], dim=1)
        self._bias_G = functional.pad(first.bias, (0, first_XG.shape[1] - self._hidden))
        self._shared_SG = first_XG[shared]
        self._tabled = columns.tabled
        self._products_VG, self._product_offsets = _products(trunk.fields, columns.own_fields[: self._tabled], first_XG)
        self._rest = self._tabled * trunk.fields.table.weight.shape[1]
        self._rest_GR = first_XG[own[self._rest :]].T.contiguous()

    def shared(self, batch: Batch) -> SharedInputs:
        """What the rows of a request share: U = 1, and every row has the same user, context and all of the history."""
        field_1FD = self._trunk.fields.table(batch.categorical_BF[:1, self._shared_fields] + self._shared_offsets)
        multi_1PD = self._multi(batch, batch.bag_BP[:1, self._shared_lists])
        numeric_1G = batch.numeric_BG[:1, self._shared_numbers].clamp_(-NUMBER_LIMIT, NUMBER_LIMIT)
        inputs_1S = torch.cat([field_1FD.flatten(1), multi_1PD.flatten(1), numeric_1G], dim=1)
        first_1G = torch.addmm(self._bias_G, inputs_1S, self._shared_SG)
        return SharedInputs(self._window(batch), first_1G, self._cross.shared(inputs_1S))

    def own(self, batch: Batch, shared: SharedInputs) -> OwnInputs:
        """What is each row's own."""
        codes_BF = batch.categorical_BF[:, self._own_fields]
        field_BFD = self._trunk.fields.table(codes_BF + self._own_offsets)
        multi_BPD = self._multi(batch, batch.bag_BP[:, self._own_lists])
        of_item = (field_BFD[:, self._items], multi_BPD[:, : self._item_lists])
        candidate_BE = item_vector(torch.cat(of_item, dim=1))
        if shared.window is None:
            interest_BI = candidate_BE.new_zeros(len(batch), self._trunk.interest.width)
        else:
            interest_BI = self._trunk.interest.in_shared(candidate_BE, shared.window)
        numeric_BG = batch.numeric_BG[:, self._own_numbers].clamp(-NUMBER_LIMIT, NUMBER_LIMIT)
        rows_BF = codes_BF[:, : self._tabled] + self._product_offsets
        first_B = torch.arange(len(batch)) * self._tabled  # said outright, since there may be no fields at all
        tabled_BG = functional.embedding_bag(rows_BF.flatten(), self._products_VG, first_B, mode="sum")
        inputs_BO = torch.cat([field_BFD.flatten(1), multi_BPD.flatten(1), numeric_BG, interest_BI], dim=1)
        return OwnInputs(inputs_BO, tabled_BG, candidate_BE)

    def logits(self, batch: Batch, own: OwnInputs, shared: SharedInputs) -> Tensor:
        """The head's outputs `[B, T]`."""
        first_BG = product(own.inputs_BO[:, self._rest :], self._rest_GR.T, shared.first_1G[0], own.tabled_BG)
        crossed_BT = self._cross(own.inputs_BO, first_BG[:, self._hidden :], shared.crossed)
        deep_BT = self._tail(first_BG[:, : self._hidden], batch.scenario_B)
        return crossed_BT.add_(self._bias_T).add_(deep_BT)[:, : self._objectives]

    def _multi(self, batch: Batch, bag_BP: Tensor) -> Tensor:
        """`[B, P, D]`: the vectors of some of the batch's bags."""
        tokens = self._trunk.tokens
        if not bag_BP.shape[1]:
            return tokens.table.weight.new_empty(*bag_BP.shape, tokens.table.weight.shape[1])
        return functional.embedding(bag_BP, tokens(batch.token_codes_N, batch.token_offsets_J1))

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
            valid_WL=None,
        )
        return self._trunk.interest.shared(window)


@dataclass(frozen=True, slots=True)
class _Columns:
    """Fields and numbers that the rows of a request share, and their own in the order that `OwnInputs` has."""

    shared_fields: list[int]
    shared_lists: list[int]
    """Multi-valued fields."""
    shared_numbers: list[int]
    own_fields: list[int]
    """Those with products in the table come first."""
    own_lists: list[int]
    """Those of the item come first."""
    own_numbers: list[int]
    tabled: int
    """How many fields have products in the table."""

    @classmethod
    def split(cls, spec: FeatureSpec) -> "_Columns":
        """Of `spec`: as many fields have products as there is room for, those of few codes first."""
        of_window = HistoryNumbers.of(spec).window_names
        shared_sources = ("user", "context", "user_vector")
        shared_numbers: list[int] = []
        own_numbers: list[int] = []
        for index, number in enumerate(spec.numbers):
            is_shared = number.source in shared_sources or number.name in of_window
            (shared_numbers if is_shared else own_numbers).append(index)
        own_fields = [*spec.item_columns, *spec.columns("creative")]
        by_size = sorted(own_fields, key=lambda index: spec.fields[index].size)
        sizes = itertools.accumulate(spec.fields[index].size for index in by_size)
        tabled = {index for index, rows in zip(by_size, sizes, strict=True) if rows <= _MOST_ROWS}
        own_fields.sort(key=lambda index: index not in tabled)
        shared_fields = [*spec.columns("user"), *spec.columns("context")]
        shared_lists = [*spec.multi_columns("user"), *spec.multi_columns("context")]
        own_lists = [*spec.multi_columns("item"), *spec.multi_columns("creative")]
        return cls(shared_fields, shared_lists, shared_numbers, own_fields, own_lists, own_numbers, len(tabled))

    def shared_inputs(self, trunk: Trunk) -> list[int]:
        """Which columns of the trunk's `inputs_BX` are shared."""
        return _inputs(trunk, self.shared_fields, self.shared_lists, self.shared_numbers)

    def own_inputs(self, trunk: Trunk) -> list[int]:
        """Which are the rows' own: all others."""
        interest = range(trunk.width - trunk.interest.width, trunk.width)
        return [*_inputs(trunk, self.own_fields, self.own_lists, self.own_numbers), *interest]


def _inputs(trunk: Trunk, fields: Sequence[int], lists: Sequence[int], numbers: Sequence[int]) -> list[int]:
    width, singles = trunk.fields.table.weight.shape[1], len(trunk.fields.offsets_F)
    embedded = [*fields, *(singles + place for place in lists)]
    of_embedded = [width * column + place for column in embedded for place in range(width)]
    return of_embedded + [width * trunk.embedded + number for number in numbers]


def _products(table: FieldTable, fields: Sequence[int], matrix_XG: Tensor) -> tuple[Tensor, Tensor]:
    """The table of products, and the row where each field begins in it.

    A row of zeros comes first, then every row of these fields times its rows of `matrix_XG`.
    """
    weight_VD = table.table.weight
    width = weight_VD.shape[1]
    starts = [*table.offsets_F.tolist(), len(weight_VD)]
    products = [weight_VD[starts[f] : starts[f + 1]] @ matrix_XG[width * f : width * (f + 1)] for f in fields]
    ends = itertools.accumulate((len(each) for each in products), initial=1)
    offsets = torch.tensor(list(ends)[: len(products)], dtype=torch.int64)
    return torch.cat([torch.zeros_like(matrix_XG[:1]), *products]), offsets
