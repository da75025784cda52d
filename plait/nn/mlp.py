"""Multi-layer perceptron."""

from collections.abc import Sequence

from torch import Tensor, nn


class MLP(nn.Module):
    """Linear, ReLU and dropout for each of `widths`.

    Args:
        inputs: width of the input.
        widths: width of each layer.
        dropout: share of activations dropped after each layer in training.
    """

    def __init__(self, inputs: int, widths: Sequence[int], *, dropout: float = 0.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in widths:
            layers += [nn.Linear(inputs, width), nn.ReLU()]
            if dropout > 0:
                layers.append(nn.Dropout(dropout))
            inputs = width
        self.layers = nn.Sequential(*layers)
        self.width = inputs

    def forward(self, input_BD: Tensor) -> Tensor:
        """`[B, inputs]` to `[B, widths[-1]]`."""
        output_BD: Tensor = self.layers(input_BD)
        return output_BD
