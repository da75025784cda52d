"""An HSTU encoder event by event: the states of a whole sequence, from what its layers keep of the events before."""

import torch
from torch import Tensor
from torch.nn import functional

from plait.nn.hstu.clock import EventClock
from plait.nn.hstu.encoder import HstuEncoder, HstuLayer
from plait.nn.hstu.sizes import AttentionKind
from plait.nn.hstu.state import TowerState
from plait.nn.time_buckets import TIME_BUCKETS, time_bucket

ROWS = 64
"""Rows that attend to the window at a time: their scores stay within the cache."""

_NEVER = -1e9
"""A bias that leaves no weight, be it by SiLU or by softmax."""


class EncoderSteps:
    """A trained `HstuEncoder` as it is now, one event (or some events) at a time.

    Up to `max_events` events the outputs are those of the encoder over the whole sequence, in whatever steps the events
    come. From then on the window slides: each event attends to the last `max_events` events, itself included. Compared
    with the encoder over the window alone,

    - the first layer is exact: its keys and values depend on one token each;
    - further layers are not: the output of an event that is still in the window knew events that have left it, so that
      with Y layers a state knows up to Y * (max_events - 1) events before its own.

    Where the dropped events ran ahead of the window's own times (late events), the running maximum of times remembers
    them too. Start a new state over the window's tokens where its exact result is wanted.

    Args:
        encoder: trained; changes of its biases after this are not seen.
    """

    def __init__(self, encoder: HstuEncoder) -> None:
        self.layers = [layer for layer in encoder.layers if isinstance(layer, HstuLayer)]
        self.sizes = encoder.sizes
        self.divisor = self.sizes.max_events if self.sizes.attention == "silu" else 1
        """What the mixed values are divided by."""
        weight = self.layers[0].project.weight
        none_P, none_Z = weight.new_zeros(self.sizes.max_events), weight.new_zeros(TIME_BUCKETS)
        distance = [none_P if layer.distance_bias is None else layer.distance_bias for layer in self.layers]
        time = [none_Z if layer.time_bias is None else layer.time_bias for layer in self.layers]
        # By falling distance, between places that are never seen.
        self._distance_YP = functional.pad(torch.stack(distance).detach().flip(1), (ROWS, ROWS), value=_NEVER)
        self._time_YZ = torch.stack(time).detach()

    def begin(self) -> TowerState:
        """The state before any event."""
        weight = self.layers[0].project.weight
        return TowerState(self.sizes, weight.dtype, weight.device)

    @torch.inference_mode()
    def append(self, state: TowerState, token_MD: Tensor, time_M: Tensor) -> Tensor:
        """Outputs `[M, D]` of M further events; the state holds them from then on.

        Args:
            state: of the events before.
            token_MD: their tokens.
            time_M: their times, ms.
        """
        if not len(token_MD):
            return token_MD
        first = self.sizes.max_events if not len(state) and len(token_MD) > ROWS else 0
        outputs = [self._fill(state, token_MD[:first], time_M[:first])] if first else []
        for start in range(first, len(token_MD), ROWS):
            rows = slice(start, start + ROWS)
            outputs += [self._append(state, token_MD[rows], time_M[rows])]
        return torch.cat(outputs)

    def _fill(self, state: TowerState, token_LD: Tensor, time_L: Tensor) -> Tensor:
        """The first events of a sequence at once: the encoder's own pass, whose keys and values are kept."""
        state.extend(time_L)
        clock = EventClock(torch.tensor([0, len(time_L)], device=time_L.device), time_L)
        for index, layer in enumerate(self.layers):
            gate_LM, value_LHV, query_LHK, key_LHK = layer.prepare(token_LD)
            state.key_YHLK[index] = key_LHK.transpose(0, 1)
            state.value_YHLV[index] = value_LHV.transpose(0, 1)
            token_LD = layer.finish(token_LD, gate_LM, layer.attend(query_LHK, key_LHK, value_LHV, clock))
        state.output_LD.copy_(token_LD)
        return token_LD

    def _append(self, state: TowerState, token_RD: Tensor, time_R: Tensor) -> Tensor:
        rows = len(token_RD)
        state.extend(time_R)
        bias_YRL = self.bias(state.time_L, rows)
        for index, layer in enumerate(self.layers):
            gate_RM, value_RHV, query_RHK, key_RHK = layer.prepare(token_RD)
            key_HLK, value_HLV = state.key_YHLK[index], state.value_YHLV[index]
            key_HLK[:, -rows:] = key_RHK.transpose(0, 1)
            value_HLV[:, -rows:] = value_RHV.transpose(0, 1)
            score_HRL = torch.baddbmm(bias_YRL[index], query_RHK.transpose(0, 1), key_HLK.transpose(1, 2))
            mixed_HRV = weigh(score_HRL, self.sizes.attention) @ value_HLV
            token_RD = layer.finish(token_RD, gate_RM, mixed_HRV.transpose(0, 1).div_(self.divisor))
        state.output_LD[-rows:] = token_RD
        state.trim()
        return token_RD

    def bias(self, time_L: Tensor, rows: int) -> Tensor:
        """What every layer adds to the scores of the last `rows` of L events: `[Y, rows, L]`.

        Columns that a row must not see, because they lie behind it or `max_events` before it, get a bias that leaves
        them no weight.

        Args:
            time_L: never falling times of the events, ms.
            rows: how many of the last ones; at most `ROWS`.
        """
        columns = len(time_L)
        bucket_RL = time_bucket(time_L[-rows:, None] - time_L)
        time_YRL = self._time_YZ.index_select(1, bucket_RL.flatten()).view(-1, rows, columns)
        # The biases of each row but the last begin one place behind those of the row below.
        first = ROWS + self.sizes.max_events - columns
        distance_YRL = self._distance_YP[:, first : first + columns + rows - 1].unfold(1, columns, 1)
        return time_YRL.add_(distance_YRL.flip(1) if rows > 1 else distance_YRL)


def weigh(score: Tensor, kind: AttentionKind) -> Tensor:
    """Weights along the last dimension, before they are divided by `EncoderSteps.divisor`; overwrites the scores."""
    return torch.softmax(score, dim=-1) if kind == "softmax" else functional.silu(score, inplace=True)
