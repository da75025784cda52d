"""Dropout whose mask is drawn in few random words: on a CPU the draws are most of what dropout costs."""

import math

import torch
from torch import Tensor

_CHOICES = 1 << 16


def dropout(values: Tensor, share: float, training: bool) -> Tensor:
    """`values` with about `share` of them set to 0 and the rest scaled up, as PyTorch's own `dropout`.

    Four elements share a random word of 64 bits, so the chance is `share` rounded to a multiple of 1 / 65,536, and the
    scale follows from that. PyTorch's generator draws the words: a seed gives the same mask again.

    Args:
        values: any shape.
        share: from 0 to below 1.
        training: False leaves the values as they are.
    """
    dropped = round(share * _CHOICES)
    if not training or dropped == 0:
        return values
    count = values.numel()
    word_W = torch.empty(math.ceil(count / 4), dtype=torch.int64, device=values.device).random_(-(1 << 63), None)
    kept = word_W.view(torch.int16)[:count].view(values.shape) >= dropped - _CHOICES // 2
    return values * (kept.to(values.dtype) * (_CHOICES / (_CHOICES - dropped)))
