"""Which features of a vector a network reads, and how much each of them is worth to it."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

SPREAD = 0.5
"""sigma: deviation of a gate's noise; a gate begins half open."""
_PACE = 10.0
"""A gate moves this much faster than a weight: it must go from open to closed within one training."""


class FeatureInputs(nn.Module):
    """Some features of `[B, X]`, perhaps each behind a stochastic gate: `[B, K]`.

    Gate f multiplies its feature by `z_f = clamp(mu_f + sigma e, 0, 1)`, with e ~ N(0, 1) drawn for every
    row in training and 0 outside it. The chance that it is open at all, `Phi(mu_f / sigma)`, has a price, so that gates
    close which bring less (Yamada et al. 2020, "Feature Selection using Stochastic Gates", equations 4 to 6).

    Args:
        columns: of each feature that is read, its columns in the input.
        width: X.
        gate_weight: weight of the price of open gates; 0 for none.
    """

    column_K: Tensor
    feature_K: Tensor

    def __init__(self, columns: Sequence[Sequence[int]], width: int, *, gate_weight: float = 0.0) -> None:
        super().__init__()
        column_K = torch.tensor([column for each in columns for column in each], dtype=torch.int64)
        feature_K = torch.tensor([place for place, each in enumerate(columns) for _ in each], dtype=torch.int64)
        order_K = column_K.argsort()
        self.register_buffer("column_K", column_K[order_K], persistent=False)
        self.register_buffer("feature_K", feature_K[order_K], persistent=False)
        self.inputs, self.width = width, len(column_K)
        """X and K."""
        self.gate_weight = gate_weight
        self._reads_all = torch.equal(self.column_K, torch.arange(width))
        self.gate_F = nn.Parameter(torch.zeros(len(columns))) if gate_weight > 0 else None

    def forward(self, inputs_BX: Tensor) -> Tensor:
        """The columns that are read, through their gates."""
        read_BK = inputs_BX if self._reads_all else inputs_BX[:, self.column_K]
        if self.gate_F is None:
            return read_BK
        open_F = self.openness()
        if self.training:
            open_F = open_F + SPREAD * torch.randn(len(read_BK), len(open_F), device=open_F.device)
        return read_BK * open_F.clamp(0.0, 1.0)[..., self.feature_K]

    def openness(self) -> Tensor:
        """Each gate's mu `[F]`: above 1 a gate is wide open, below 0 closed. 1 without gates."""
        if self.gate_F is None:
            return torch.ones(int(self.feature_K.max()) + 1)
        return 0.5 + _PACE * self.gate_F

    def price(self) -> Tensor:
        """Mean chance that a gate is open; 0 without gates."""
        if self.gate_F is None:
            return torch.zeros(())
        return (0.5 * (1.0 + torch.erf(self.openness() / (SPREAD * math.sqrt(2.0))))).mean()

    def over_all(self, layer: nn.Linear) -> nn.Linear:
        """The trained layer over what is read, as a layer over all X columns; those that are not read weigh 0."""
        if self._reads_all and self.gate_F is None:
            return layer
        wide = nn.Linear(self.inputs, layer.out_features)
        with torch.no_grad():
            wide.weight.zero_()
            wide.weight[:, self.column_K] = layer.weight * self.openness().clamp(0.0, 1.0)[self.feature_K]
            wide.bias.copy_(layer.bias)
        return wide.requires_grad_(requires_grad=False)
