"""Self-attention among the fields of one exposure (AutoInt)."""

import torch
from torch import Tensor, nn


class FieldAttention(nn.Module):
    """One interacting layer: every field becomes what the others say to it, head by head.

    With `Q, K, V` projections of head h and `R` of the residual,

        a_mk = softmax_k <Q e_m, K e_k>
        e'_m = relu([sum_k a_mk V e_k of head 1, ..., of head H] + R e_m)

    Song et al. 2019, "AutoInt", section 4.4.

    Args:
        inputs: width of the fields.
        heads: H.
        width: width of the result; each head has `width / heads` of it.
    """

    def __init__(self, inputs: int, heads: int, width: int) -> None:
        super().__init__()
        self.heads = heads
        self.projections = nn.Linear(inputs, 4 * width, bias=False)

    def forward(self, field_BFD: Tensor) -> Tensor:
        """`[B, F, inputs]` to `[B, F, width]`."""
        query_BFW, key_BFW, value_BFW, residual_BFW = self.projections(field_BFD).chunk(4, dim=2)
        query_BHFK, key_BHFK, value_BHFK = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (query_BFW, key_BFW, value_BFW)
        )
        weight_BHFF = torch.softmax(query_BHFK @ key_BHFK.transpose(2, 3), dim=3)
        mixed_BFW = (weight_BHFF @ value_BHFK).transpose(1, 2).flatten(2)
        return torch.relu(mixed_BFW + residual_BFW)
