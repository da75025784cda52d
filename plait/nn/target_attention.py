"""Target attention over recent events: how much each past event says about this candidate."""

import torch
from torch import Tensor, nn


class TargetAttention(nn.Module):
    """Deep Interest Network attention with a factorised first layer.

    For candidate q and event key k, `score = w . relu(W_q q + W_k k + W_p (q * k) + c) + b` with c what is known of the
    event beside its key; weights are a softmax over the events and a null event of score 0. `[q, k, q - k, q * k]` of
    the published unit is the same first layer, with the parts that depend on q alone or on k alone computed once for
    each candidate and each key: that is what makes many candidates against one history cheap. Zhou et al. 2018, "Deep
    Interest Network for Click-Through Rate Prediction", section 4.3.

    Args:
        width: width of candidates and keys.
        hidden: width of the first layer.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.from_candidate = nn.Linear(width, hidden)
        self.from_key = nn.Linear(width, hidden, bias=False)
        self.from_product = nn.Parameter(torch.randn(width, hidden) * width**-0.5)
        self.score = nn.Linear(hidden, 1)

    def forward(self, candidate_BD: Tensor, key_WLD: Tensor, event_WLH: Tensor, valid_WL: Tensor) -> Tensor:
        """Weights `[B, L]` of the events of each candidate's window; they add up to less than 1.

        Args:
            candidate_BD: candidates.
            key_WLD: keys of the events; W is B, or 1 if all candidates share a window.
            event_WLH: what each event adds to the first layer: `from_key(key) + c`.
            valid_WL: which events there are.
        """
        hidden_BLH = self._product(candidate_BD, key_WLD)
        hidden_BLH = torch.relu(hidden_BLH + event_WLH + self.from_candidate(candidate_BD)[:, None, :])
        score_BL = self.score(hidden_BLH).squeeze(2).masked_fill(~valid_WL, float("-inf"))
        null_B1 = score_BL.new_zeros(len(score_BL), 1)
        return torch.softmax(torch.cat([score_BL, null_B1], dim=1), dim=1)[:, :-1]

    def _product(self, candidate_BD: Tensor, key_WLD: Tensor) -> Tensor:
        """`W_p (q * k)` for every candidate and event as `[B, L, H]`."""
        if len(key_WLD) == 1 and len(candidate_BD) > 1:
            length, width = key_WLD.shape[1:]
            hidden = self.from_product.shape[1]
            events_DLH = key_WLD[0].T[:, :, None] * self.from_product[:, None, :]
            return (candidate_BD @ events_DLH.reshape(width, length * hidden)).view(-1, length, hidden)
        return torch.bmm(key_WLD, candidate_BD[:, :, None] * self.from_product)


def weighted_sum(weight_BL: Tensor, value_WLE: Tensor) -> Tensor:
    """`[B, E]`: the values of each candidate's events by their weights; W is B or 1."""
    if len(value_WLE) == 1:
        return weight_BL @ value_WLE[0]
    return torch.bmm(weight_BL[:, None, :], value_WLE).squeeze(1)
