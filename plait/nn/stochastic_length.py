"""Stochastic length: training sees long sequences thinned, most of the time."""

import torch
from torch import Tensor


def kept_events(valid_WL: Tensor, longest: int, alpha: float) -> Tensor:
    """Which events of each sequence training sees, `[W, L]`; drawn from PyTorch's global generator.

    With N the longest length, a sequence of n events stays whole

        always                            if n <= N^(alpha / 2)
        with probability N^alpha / n^2    otherwise

    and else keeps `floor(N^(alpha / 2))` events, drawn uniformly without replacement. So attention over it costs about
    N^alpha and not n^2 pairs (Zhai et al. 2024, "Actions Speak Louder than Words", section 3.2). The first event always
    stays: whoever had a past has one.

    Args:
        valid_WL: True where there is an event: each sequence's come first.
        longest: N.
        alpha: between 1 and 2.
    """
    length_W = valid_WL.sum(1)
    kept = max(1, int(longest ** (alpha / 2)))
    whole_W = torch.rand(len(length_W)) * length_W.double() ** 2 < longest**alpha
    key_WL = torch.rand(valid_WL.shape).masked_fill_(~valid_WL, -1.0)
    key_WL[:, :1] += 2.0 * valid_WL[:, :1]
    drawn_WL = torch.zeros_like(valid_WL)
    drawn_WL.scatter_(1, key_WL.topk(min(kept, valid_WL.shape[1]), dim=1).indices, True)
    stays_WL: Tensor = drawn_WL | whole_W[:, None] | (length_W <= kept)[:, None]
    return valid_WL & stays_WL
