"""Cross network of DCNv2: explicit feature crosses of bounded degree."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class CrossFactors:
    """One cross layer as `x_0 * (U V^T x + b) + x`."""

    down_XR: Tensor
    """`V`."""
    up_RX: Tensor
    """`U^T`; the identity where the layer has full rank."""
    bias_X: Tensor


class CrossNetwork(nn.Module):
    """`x_{l+1} = x_0 * (U_l V_l^T x_l + b_l) + x_l` (elementwise product), so layer l holds crosses of degree l + 1.

    Computed as `x_l = x_0 * s_l` with `s_0 = 1` and `s_{l+1} = s_l + U_l V_l^T x_l + b_l`: one pass over the rows less
    per layer.

    Wang et al. 2021, "DCN V2", section 3.2; `rank=None` is the full matrix instead of `U V^T` (section 3.4).

    Args:
        width: width of the input and of the output.
        layers: number of cross layers.
        rank: rank of the product, None for full rank.
    """

    def __init__(self, width: int, layers: int, rank: int | None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_cross_layer(width, rank) for _ in range(layers))

    def forward(self, input_BD: Tensor) -> Tensor:
        """`[B, width]` to `[B, width]`."""
        scale_BD: Tensor | float = 1.0
        crossed_BD = input_BD
        for layer in self.layers:
            scale_BD = layer(crossed_BD).add_(scale_BD)
            crossed_BD = input_BD * scale_BD
        return crossed_BD

    def factors(self) -> list[CrossFactors]:
        """The layers' matrices."""
        return [_factors(layer) for layer in self.layers]


def _cross_layer(width: int, rank: int | None) -> nn.Module:
    if rank is None or rank * 2 >= width:
        return nn.Linear(width, width)
    return nn.Sequential(nn.Linear(width, rank, bias=False), nn.Linear(rank, width))


def _factors(layer: nn.Module) -> CrossFactors:
    linears = [part for part in layer.modules() if isinstance(part, nn.Linear)]
    first, last = linears[0].weight, linears[-1].weight
    up_RX = last.T if len(linears) > 1 else torch.eye(len(last), dtype=last.dtype)
    return CrossFactors(first.T, up_RX, linears[-1].bias)
