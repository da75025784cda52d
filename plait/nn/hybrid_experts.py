"""Vectors of knowledge as fields of a ranker: a projection each, or experts of their own beside shared ones."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from plait.nn.mlp import MLP


class HybridExperts(nn.Module):
    """G vectors, each brought to one width D by experts of its own and by experts that all of them share.

        y_g = sum_i softmax(A_g x_g)_i E_i(x_g)      over the experts of g and the shared ones
        y_g = W_g x_g + b_g                          without any

    The hybrid-expert adaptor of Xi et al. 2023, "Towards Open-World Recommendation with Knowledge Augmentation from
    Large Language Models" (KAR). The vectors are constants: no gradient reaches what made them.

    Args:
        inputs: width of each vector; equal ones where experts are shared.
        width: D.
        own: experts of each vector.
        shared: experts of all.
        hidden: width of an expert's one hidden layer.
    """

    def __init__(self, inputs: Sequence[int], width: int, *, own: int = 0, shared: int = 0, hidden: int = 64) -> None:
        super().__init__()
        if shared and len(set(inputs)) > 1:
            raise ValueError(f"found vectors of widths {sorted(set(inputs))}, expected one width to share experts")

        def experts(count: int, size: int) -> nn.ModuleList:
            return nn.ModuleList(nn.Sequential(MLP(size, [hidden]), nn.Linear(hidden, width)) for _ in range(count))

        mixing = own + shared > 0
        self.own = nn.ModuleList(
            experts(own, size) if mixing else nn.ModuleList([nn.Linear(size, width)]) for size in inputs
        )
        self.shared = experts(shared, inputs[0]) if shared else nn.ModuleList()
        self.gates = nn.ModuleList(nn.Linear(size, own + shared) for size in inputs if mixing)

    def forward(self, vectors: Sequence[Tensor]) -> Tensor:
        """`[B, G, D]` of G vectors `[B, inputs_g]`."""
        fields = []
        for place, vector_BW in enumerate(vectors):
            each_BED = torch.stack([expert(vector_BW) for expert in (*self.own[place].children(), *self.shared)], dim=1)
            if self.gates:
                each_BED = torch.softmax(self.gates[place](vector_BW), dim=1)[:, :, None] * each_BED
            fields.append(each_BED.sum(1))
        return torch.stack(fields, dim=1)
