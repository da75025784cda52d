"""Candidates inside an HSTU encoder: many alternatives for the next event, in one pass over the cached history."""

import torch
from torch import Tensor

from plait.nn.hstu.state import TowerState
from plait.nn.hstu.steps import EncoderSteps, weigh

_SCORES = 1 << 18
"""About how many scores a head has at a time: what the caches hold."""


@torch.inference_mode()
def encode_candidates(
    steps: EncoderSteps, state: TowerState, token_KD: Tensor, time_ms: int, *, microbatch: int | None = None
) -> Tensor:
    """Outputs `[K, D]` of candidates, each as if it alone came next; the state stays as it is.

    Each is a further row that attends to the history and to itself but to no other candidate, so that the keys and
    values of the history serve all. Every layer reads them once per microbatch: M-FALCON of Zhai et al. 2024, "Actions
    Speak Louder than Words", section 3.4, with the history's keys and values cached between requests too.

    Args:
        steps: the encoder.
        state: of the user's events.
        token_KD: tokens of the candidates.
        time_ms: when they would happen: the request's time.
        microbatch: how many candidates at a time; by default 64 to 256, fewer over longer histories. It changes speed
            only.
    """
    if microbatch is None:
        microbatch = min(max(64, _SCORES // max(1, len(state))), 256)
    view = _History(steps, state, time_ms)
    return torch.cat([view.encode(token_RD) for token_RD in torch.split(token_KD, microbatch)])


class _History:
    """What the candidates of a request see: all events, or the last `max_events - 1` of a full window."""

    def __init__(self, steps: EncoderSteps, state: TowerState, time_ms: int) -> None:
        self._steps = steps
        seen = slice(max(0, len(state) + 1 - steps.sizes.max_events), None)
        self._key_YHLK, self._value_YHLV = state.key_YHLK[:, :, seen], state.value_YHLV[:, :, seen]
        latest = max([time_ms, *state.time_L[-1:].tolist()])
        bias_Y1L = steps.bias(torch.cat([state.time_L[seen], state.time_L.new_tensor([latest])]), 1)
        self._bias_Y1L, self._own_bias_Y = bias_Y1L[:, :, :-1], bias_Y1L[:, 0, -1]

    def encode(self, token_RD: Tensor) -> Tensor:
        for index, layer in enumerate(self._steps.layers):
            gate_RM, value_RHV, query_RHK, key_RHK = layer.prepare(token_RD)
            own_HR1 = (query_RHK * key_RHK).sum(2).T[:, :, None] + self._own_bias_Y[index]
            mixed_HRV = self._attend(index, query_RHK.transpose(0, 1), own_HR1, value_RHV.transpose(0, 1))
            mixed_RHV = mixed_HRV.transpose(0, 1).div_(self._steps.divisor)
            token_RD = layer.finish(token_RD, gate_RM, mixed_RHV)
        return token_RD

    def _attend(self, index: int, query_HRK: Tensor, own_HR1: Tensor, own_value_HRV: Tensor) -> Tensor:
        score_HRL = torch.baddbmm(self._bias_Y1L[index], query_HRK, self._key_YHLK[index].transpose(1, 2))
        if self._steps.sizes.attention == "softmax":
            weight_HRC = weigh(torch.cat([score_HRL, own_HR1], dim=2), "softmax")
            score_HRL, own_HR1 = weight_HRC[:, :, :-1], weight_HRC[:, :, -1:]
        else:
            score_HRL, own_HR1 = weigh(score_HRL, "silu"), weigh(own_HR1, "silu")
        return torch.baddbmm(own_HR1 * own_value_HRV, score_HRL, self._value_YHLV[index])
