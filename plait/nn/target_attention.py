"""Target attention over recent events: how much each past event says about this candidate."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from plait.nn.products import product


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
            key_WLD: keys of the events, W = B; `over_shared` is for candidates that share a window.
            known_WLH: what else is known of each event (`c`).
            valid_WL: which events there are.
        """
        each_BDH = self.from_key_DH + candidate_BD[:, :, None] * self.from_product_DH
        from_events_BLH = torch.baddbmm(known_WLH, key_WLD, each_BDH)
        hidden_BLH = from_events_BLH.add_(self.from_candidate(candidate_BD)[:, None, :]).relu_()
        score_BL = self.score(hidden_BLH).squeeze(2)
        score_BN = functional.pad(score_BL.masked_fill(~valid_WL, float("-inf")), (0, 1))
        return torch.softmax(score_BN, dim=1)[:, :-1]

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

    def over_shared(self, candidate_BD: Tensor, matrix_CM: Tensor) -> Tensor:
        """Weights `[B, L + 1]` of the events of a window that candidates share and, last, of the null event.

        Args:
            candidate_BD: candidates.
            matrix_CM: what `shared_matrix` made of the window.
        """
        candidate_BC = functional.pad(candidate_BD, (0, 1), value=1.0)
        hidden_BLH = product(candidate_BC, matrix_CM, relu=True).view(len(candidate_BD), -1, self.score.in_features)
        return torch.softmax(functional.pad(self.score(hidden_BLH).squeeze(2), (0, 1)), dim=1)


def weighted_sum(weight_BL: Tensor, value_WLE: Tensor) -> Tensor:
    """`[B, E]`: the values of each candidate's events by their weights, W = B."""
    return torch.bmm(weight_BL[:, None, :], value_WLE).squeeze(1)
