"""Target attention over recent events: how much each past event says about this candidate."""

import torch
from torch import Tensor, nn


class TargetAttention(nn.Module):
    """Deep Interest Network attention with a factorised first layer.

    For candidate q and event key k, `score = w . relu(W_q q + W_k k + W_p (q * k) + c) + b` with c what is known of the
    event beside its key; weights are a softmax over the events and a null event of score 0. This is the first layer of
    the published unit over `[q, k, q - k, q * k]`, but nothing of width D is ever computed per candidate and event:
    `W_k k + W_p (q * k) = (W_k + W_p diag(q)) k` is one small matrix per candidate, and where candidates share their
    events one large product. Zhou et al. 2018, "Deep Interest Network for Click-Through Rate Prediction", section 4.3.

    Args:
        width: width of candidates and keys.
        hidden: width of the first layer.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.from_candidate = nn.Linear(width, hidden)
        self.from_key_DH = nn.Parameter(torch.randn(width, hidden) * width**-0.5)
        self.from_product_DH = nn.Parameter(torch.randn(width, hidden) * width**-0.5)
        self.score = nn.Linear(hidden, 1)

    def forward(self, candidate_BD: Tensor, key_WLD: Tensor, known_WLH: Tensor, valid_WL: Tensor) -> Tensor:
        """Weights `[B, L]` of the events of each candidate's window; they add up to less than 1.

        Args:
            candidate_BD: candidates.
            key_WLD: keys of the events; W is B, or 1 if all candidates share a window.
            known_WLH: what else is known of each event (`c`).
            valid_WL: which events there are.
        """
        if len(key_WLD) == 1:
            return self.over_shared(candidate_BD, self.shared_matrix(key_WLD[0], known_WLH[0]), valid_WL)
        each_BDH = self.from_key_DH + candidate_BD[:, :, None] * self.from_product_DH
        from_events_BLH = torch.baddbmm(known_WLH, key_WLD, each_BDH)
        return self._weights(from_events_BLH.add_(self.from_candidate(candidate_BD)[:, None, :]), valid_WL)

    def shared_matrix(self, key_LD: Tensor, known_LH: Tensor) -> Tensor:
        """What a window says about any candidate: `[D + 1, L H]`, the first layer being `[q, 1]` times this.

        Args:
            key_LD: keys of the window's events.
            known_LH: what else is known of each.
        """
        of_product_DLH = torch.addcmul(
            self.from_candidate.weight.T[:, None, :], key_LD.T[:, :, None], self.from_product_DH[:, None, :]
        )
        of_event_LH = torch.addmm(known_LH + self.from_candidate.bias, key_LD, self.from_key_DH)
        return torch.cat([of_product_DLH.flatten(1), of_event_LH.view(1, -1)])

    def over_shared(self, candidate_BD: Tensor, matrix_CM: Tensor, valid_1L: Tensor) -> Tensor:
        """As `forward`, for candidates that share a window of which `shared_matrix` was made."""
        candidate_BC = torch.cat([candidate_BD, candidate_BD.new_ones(len(candidate_BD), 1)], dim=1)
        first_BLH = (candidate_BC @ matrix_CM).view(len(candidate_BD), valid_1L.shape[1], -1)
        return self._weights(first_BLH, valid_1L)

    def _weights(self, first_BLH: Tensor, valid_WL: Tensor) -> Tensor:
        """From the first layer before its ReLU (overwritten) to the weights."""
        hidden_BLH = first_BLH.relu_()
        score_BL = self.score(hidden_BLH).squeeze(2).masked_fill(~valid_WL, float("-inf"))
        null_B1 = score_BL.new_zeros(len(score_BL), 1)
        return torch.softmax(torch.cat([score_BL, null_B1], dim=1), dim=1)[:, :-1]


def weighted_sum(weight_BL: Tensor, value_WLE: Tensor) -> Tensor:
    """`[B, E]`: the values of each candidate's events by their weights; W is B or 1."""
    if len(value_WLE) == 1:
        return weight_BL @ value_WLE[0]
    return torch.bmm(weight_BL[:, None, :], value_WLE).squeeze(1)
