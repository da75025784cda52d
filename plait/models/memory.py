"""The long memory: how much of all that a user did, weighed by when, concerns the candidate."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from plait.features.spec import FeatureSpec
from plait.models.batch import Batch
from plait.models.config import MemoryConfig
from plait.nn.jagged import last_events
from plait.nn.time_buckets import BUCKET_WIDTH, TIME_BUCKETS, time_bucket
from plait.nn.week_clock import HOURS, WEEKDAYS, hour_of_day, weekday

_STARTS = (
    *((0.0, 0.0, half_life) for half_life in (0.25, 2.0, 12.0, 48.0, 192.0, math.inf)),
    *((4.0, 0.0, half_life) for half_life in (192.0, math.inf)),
    *((4.0, 3.0, half_life) for half_life in (672.0, math.inf)),
    (8.0, 5.0, math.inf),
    (0.0, 3.0, math.inf),
)
"""What the channels begin as, over and over: how sharply they ask for the request's hour of the day, how strongly they
turn from other weekdays, and the hours after which an event counts half."""
_SPEED = 5.0
"""Log weights are this many times their parameters: they have as far to go as the steps of an optimiser are many."""
_SMALLEST, _LARGEST = -15.0, 6.0
"""Log weights end here."""
_NO_CODE = -1
"""No event has it."""
_ROW_EACH = 1_024
"""Fields of more codes are summed into rows of the codes that occur."""
_PRIOR = (0.1, 10.0)
"""Weight that every share is given before any event: of the candidate, of all."""


class LongMemory(nn.Module):
    """For every channel c and item field f, the weight of the past events that have the candidate's code in f.

        w[j, c]    = exp(hour[h(t), h(t_j), c] + day[d(t) - d(t_j), c] + age[bucket(t - t_j), c] + kind[j, c])
        mass[f, c] = sum over j with code_f(j) = code_f(candidate) of w[j, c]

    over the last `events` events, with t the time of the request, h the hour of the day, d the weekday and `kind` a
    weight of the event's action and one of its scenario. The output is `log(1 + mass)`, `log(1 + total)` and the
    logarithm of the share `mass / total`: what a pointwise attention, and a softmax attention, give whose scores know
    the request and whose values are the events' codes, each candidate reading its own. So candidates share all
    weights: a request costs events + candidates, not events x candidates.

    A code of 0 is unknown and matches nothing.

    Args:
        config: sizes.
        spec: what a batch consists of.
        item_fields_VI: codes of the item fields of every item code.
    """

    item_fields_VI: Tensor

    def __init__(self, config: MemoryConfig, spec: FeatureSpec, item_fields_VI: Tensor) -> None:
        super().__init__()
        channels = config.channels
        self.events = config.events
        self.item_columns = list(spec.item_columns)
        fields_VI = item_fields_VI[:, : len(self.item_columns)].to(torch.int32)
        self.register_buffer("item_fields_VI", fields_VI.clone())
        self.hour, self.day, self.age = map(_parameter, _start(channels))
        self.action = _parameter(torch.zeros(spec.action_size, channels))
        self.scenario = _parameter(torch.zeros(len(spec.scenarios) + 1, channels))
        self.sizes = [spec.fields[column].size for column in spec.item_columns]
        self.width = (2 * len(self.item_columns) + 1) * channels

    def forward(self, batch: Batch) -> Tensor:
        """`[B, width]`."""
        asked = _Asked.of(batch)
        windows = last_events(batch.history_offsets_U1, asked.user_R, asked.before_R, self.events)
        if windows.length == 0 or len(asked.time_R) == 1:
            return self._single(batch, windows.rows_WL.flatten())
        weight_RLC = self._weights(batch, asked.time_R[:, None], windows.rows_WL) * windows.valid_WL[:, :, None]
        code_FRL = self.item_fields_VI.T[:, batch.history_item_N[windows.rows_WL]]
        code_BF = batch.categorical_BF[:, self.item_columns]
        code_FB = code_BF.masked_fill(code_BF == 0, _NO_CODE).T.contiguous()
        mass_FBC = torch.stack([asked.matched(*codes, weight_RLC) for codes in zip(code_FRL, code_FB, strict=True)])
        return self._as_inputs(mass_FBC, weight_RLC.sum(1)[asked.request_B])

    def for_request(self, first: Batch) -> "RequestMemory":
        """What the events of a request say of any candidate: rows of one time, one history, and all of it before them.

        Args:
            first: rows of the request.
        """
        events = len(first.history_time_N)
        return self._summed(first, torch.arange(max(0, events - self.events), events))

    def _single(self, batch: Batch, row_L: Tensor) -> Tensor:
        """Rows that share one time and the events `row_L`."""
        memory = self._summed(batch, row_L)
        mass_BFC, share_BFC = memory.of(batch).view(len(batch), len(self.sizes), -1).chunk(2, dim=2)
        total_BC = memory.total_1C.expand(len(batch), -1)
        return torch.cat([total_BC, mass_BFC.flatten(1), share_BFC.flatten(1)], dim=1)

    def _summed(self, batch: Batch, row_L: Tensor) -> "RequestMemory":
        """The weights of the events `row_L`, summed by code, as logarithms."""
        weight_LC = self._weights(batch, batch.time_B[:1], row_L)
        code_LF = self.item_fields_VI[batch.history_item_N[row_L].long()].long()
        rows, mass = zip(*map(partial(_by_code, weight_LC), code_LF.T, self.sizes), strict=True)
        total_1C = weight_LC.sum(0, keepdim=True)
        mass_RC = torch.cat(mass)
        table_RX = torch.cat([torch.log1p(mass_RC), _share(mass_RC, total_1C)], dim=1)
        return RequestMemory(self.item_columns, rows, [len(each) for each in mass], table_RX, torch.log1p(total_1C))

    def _weights(self, batch: Batch, time: Tensor, row_L: Tensor) -> Tensor:
        """`w` of the events `row_L` at a time of request, `[..., C]`; both may have further dimensions in front."""
        event_time_L = batch.history_time_N[row_L]
        hours_L = hour_of_day(time) * HOURS + hour_of_day(event_time_L)
        days_L = (weekday(time) - weekday(event_time_L)) % WEEKDAYS
        what_N = batch.history_action_N.long() * len(self.scenario) + batch.history_scenario_N
        log_LC = (
            functional.embedding(hours_L * WEEKDAYS + days_L, _sums(self.hour, self.day))
            + functional.embedding(time_bucket(time - event_time_L), self.age)
            + functional.embedding(what_N[row_L], _sums(self.action, self.scenario))
        )
        return torch.exp((_SPEED * log_LC).clamp(_SMALLEST, _LARGEST))

    def _as_inputs(self, mass_FBC: Tensor, total_BC: Tensor) -> Tensor:
        """Logarithms of total, mass and share."""
        share_FBC = _share(mass_FBC, total_BC)
        return torch.cat([torch.log1p(total_BC), *torch.log1p(mass_FBC), *share_FBC], dim=1)


@dataclass(frozen=True, slots=True)
class RequestMemory:
    """The long memory of one request: logarithms by code, which candidates look up."""

    columns: list[int]
    """Of the batch's fields."""
    row_V: Sequence[Tensor | None]
    """By field: the table's row of each code, or None where the code is its row."""
    rows: Sequence[int]
    """By field: how many of the table's rows are its."""
    table_RX: Tensor
    """Mass beside share, `X = 2 C`."""
    total_1C: Tensor

    def of(self, batch: Batch) -> Tensor:
        """`[B, F 2 C]`: mass and share of the candidates' codes, field by field."""
        code_FB = batch.categorical_BF[:, self.columns].T.long()
        places = [code_B if row_V is None else row_V[code_B] for row_V, code_B in zip(self.row_V, code_FB, strict=True)]
        first = itertools.accumulate(self.rows[:-1], initial=0)
        place_BF = torch.stack([place_B + start for place_B, start in zip(places, first, strict=True)], dim=1)
        return functional.embedding(place_BF, self.table_RX).flatten(1)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The R distinct requests that exposures belong to: what is shown together has one history and one time."""

    user_R: Tensor
    before_R: Tensor
    time_R: Tensor
    request_B: Tensor
    """The request of each exposure."""

    @classmethod
    def of(cls, batch: Batch) -> "_Asked":
        request_B3 = torch.stack([batch.user_B, batch.before_B, batch.time_B], dim=1)
        request_R3, request_B = torch.unique(request_B3, dim=0, return_inverse=True)
        user_R, before_R, time_R = request_R3.T
        return cls(user_R, before_R, time_R, request_B)

    def matched(self, code_RL: Tensor, code_B: Tensor, weight_RLC: Tensor) -> Tensor:
        """The weights of the events with each candidate's code, summed: `[B, C]`.

        The K candidates of a request meet its L events in a matrix of zeros and ones.
        """
        place_B = _places(self.request_B)
        code_RK = code_B.new_full((len(code_RL), int(place_B.max()) + 1), _NO_CODE)
        code_RK[self.request_B, place_B] = code_B
        match_RKL = (code_RK[:, :, None] == code_RL[:, None, :]).to(weight_RLC.dtype)
        return (match_RKL @ weight_RLC)[self.request_B, place_B]


def _share(mass: Tensor, total: Tensor) -> Tensor:
    """Logarithm of the share such that 1 % is 0 and all is 1."""
    of_candidate, of_all = _PRIOR
    return 1.0 + torch.log((mass + of_candidate) / (total + of_all)) / math.log(of_all / of_candidate)


def _by_code(weight_LC: Tensor, code_L: Tensor, size: int) -> tuple[Tensor | None, Tensor]:
    """The weights of the events with each code, summed: the row of every code, and the sums `[R, C]`.

    Few codes have a row each. Of many, those of events have the row of one of their events, and all others the row
    behind those, which is zero: the table is as small as the history. Code 0 has no weight.
    """
    events, channels = weight_LC.shape
    if size <= _ROW_EACH:
        row_V, row_L, rows, unknown = None, code_L, size, 0
    else:
        row_V = code_L.new_full((size,), events)
        row_V[code_L] = torch.arange(events, device=code_L.device)
        row_V[0] = events
        row_L, rows, unknown = row_V[code_L], events + 1, events
    mass_RC = weight_LC.new_zeros(rows, channels).index_add_(0, row_L, weight_LC)
    mass_RC[unknown] = 0.0
    return row_V, mass_RC


def _places(group_B: Tensor) -> Tensor:
    """How many earlier rows are of the same group, for every row."""
    order_B = torch.argsort(group_B, stable=True)
    size_R = torch.bincount(group_B)
    first_R = size_R.cumsum(0) - size_R
    step_B = torch.arange(len(group_B), device=group_B.device)
    return torch.empty_like(group_B).index_copy_(0, order_B, step_B - first_R[group_B[order_B]])


def _sums(one_VC: Tensor, other_WC: Tensor) -> Tensor:
    """`[V * W, C]`: the sums of all pairs, so that two look-ups are one; pairs of codes are few, events are many."""
    return (one_VC[:, None, :] + other_WC).flatten(0, 1)


def _start(channels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Log weights by pair of hours, distance of weekdays and age that the channels begin with."""
    sharpness_C, apart_C, half_life_C = torch.tensor([_STARTS[place % len(_STARTS)] for place in range(channels)]).T
    hour_H = torch.arange(HOURS)
    angle_P1 = ((hour_H[:, None] - hour_H) * (2 * math.pi / HOURS)).view(-1, 1)
    day_W1 = (torch.arange(WEEKDAYS) > 0).float()[:, None]
    age_Z1 = torch.exp((torch.arange(TIME_BUCKETS) + 0.5) * BUCKET_WIDTH)[:, None] / 3600
    age_ZC = torch.clamp(-math.log(2) * age_Z1 / half_life_C, min=_SMALLEST)
    return sharpness_C * (torch.cos(angle_P1) - 1), -apart_C * day_W1, age_ZC


def _parameter(log_weight_VC: Tensor) -> nn.Parameter:
    """What becomes these log weights, a little noise added."""
    return nn.Parameter((log_weight_VC + 0.02 * torch.randn_like(log_weight_VC)) / _SPEED)
