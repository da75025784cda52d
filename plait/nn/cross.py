"""Cross network of DCNv2: explicit feature crosses of bounded degree."""

from torch import Tensor, nn


class CrossNetwork(nn.Module):
    """`x_{l+1} = x_0 * (U_l V_l^T x_l + b_l) + x_l` (elementwise product), so layer l holds crosses of degree l + 1.

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
        crossed_BD = input_BD
        for layer in self.layers:
            crossed_BD = input_BD * layer(crossed_BD) + crossed_BD
        return crossed_BD


def _cross_layer(width: int, rank: int | None) -> nn.Module:
    if rank is None or rank * 2 >= width:
        return nn.Linear(width, width)
    return nn.Sequential(nn.Linear(width, rank, bias=False), nn.Linear(rank, width))
