"""Linear layers that learn by a product of two thin matrices, on top of weights that stay as they are."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class LowRankLinear(nn.Module):
    """`y = x W^T + b + (x A^T) B^T`: W and b are another layer's and stay; A `[R, I]` and B `[O, R]` learn.

    B begins at zero, so that the layer begins as the one it is laid over. W and b are no part of the state: what is
    kept of a trained model is A and B. Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section
    4.1, with alpha = R.

    Args:
        frozen: the layer whose weights stay.
        rank: R.
    """

    weight_OI: Tensor
    bias_O: Tensor | None

    def __init__(self, frozen: nn.Linear, rank: int) -> None:
        super().__init__()
        self.register_buffer("weight_OI", frozen.weight.detach(), persistent=False)
        self.register_buffer("bias_O", None if frozen.bias is None else frozen.bias.detach(), persistent=False)
        self.down = nn.Linear(frozen.in_features, rank, bias=False)
        self.up = nn.Linear(rank, frozen.out_features, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """`[..., I]` to `[..., O]`, in x's numbers; A and B are kept in float32 whatever these are."""
        down_RI, up_OR = self.down.weight.to(x.dtype), self.up.weight.to(x.dtype)
        learnt = functional.linear(functional.linear(x, down_RI), up_OR)
        return functional.linear(x, self.weight_OI, self.bias_O) + learnt


def lay_low_rank(module: nn.Module, rank: int) -> None:
    """Freeze a module's weights, and lay a `LowRankLinear` over every linear layer within it."""
    module.requires_grad_(requires_grad=False)
    frozen = [(parent, name, child) for parent in module.modules() for name, child in parent.named_children()]
    with torch.no_grad():
        for parent, name, child in frozen:
            if isinstance(child, nn.Linear):
                setattr(parent, name, LowRankLinear(child, rank))
