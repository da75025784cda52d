"""Multi-layer perceptron."""

from collections.abc import Sequence

from torch import Tensor, nn

from plait.nn.products import product


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

    @property
    def first(self) -> nn.Linear:
        """The first layer."""
        layer = self.layers[0]
        if not isinstance(layer, nn.Linear):
            raise TypeError(f"found {type(layer).__name__}, expected a linear layer")
        return layer

    def after_first(self, hidden_BH: Tensor) -> Tensor:
        """The trained network's output from what its first linear layer and ReLU made of the input."""
        for layer in list(self.layers)[1:]:
            if isinstance(layer, nn.Linear):
                hidden_BH = product(hidden_BH, layer.weight.T, layer.bias, relu=True)
        return hidden_BH

    def forward(self, input_BD: Tensor) -> Tensor:
        """`[B, inputs]` to `[B, widths[-1]]`."""
        output_BD: Tensor = self.layers(input_BD)
        return output_BD
