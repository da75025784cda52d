"""A cross network over rows that share columns, such as the candidates of one request."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from plait.nn.cross import CrossFactors, CrossNetwork
from plait.nn.products import product


@dataclass(frozen=True, slots=True)
class _Stage:
    """From `t` of one layer to `t` of the next, the last of which is the output."""

    up_OR: Tensor
    bias_O: Tensor
    """Of the first layer with 1 added, `s_0`."""
    scale_CS: Tensor
    """`[c; U_0; U_1 ...]` of the shared columns: `s` is the row `[1, t_0, t_1 ...]` times this."""
    down_SR: Tensor
    down_RO: Tensor


class SharedCross:
    """A trained cross network and a linear layer on its output, where all rows share the columns S of the input.

    With `x_l = x_0 * s_l`, `s_l = c_l + sum_{m<l} U_m t_m` and `c_l = 1 + sum_{m<l} b_m`, the rows meet at
    `t_l = V_l^T x_l` only, and the linear layer is one more V. Of the shared columns `x_0` is known beforehand, so that
    what they add to a `t` is one small matrix for all rows, applied to the `t` before it: a row is multiplied by its
    own columns O alone.

    Args:
        cross: trained.
        out_TX: weights of the layer on its output.
        shared: the columns S.
        own: the columns O, all others.
    """

    def __init__(self, cross: CrossNetwork, out_TX: Tensor, shared: Sequence[int], own: Sequence[int]) -> None:
        width = out_TX.shape[1]
        nothing = CrossFactors(out_TX.new_zeros(width, 0), out_TX.new_zeros(0, width), out_TX.new_zeros(width))
        layers = cross.factors() or [nothing]
        self.first_XR = layers[0].down_XR
        """`V_0`: whoever multiplies the inputs by a matrix anyway gives `t_0` to `__call__`."""
        downs_XR = [*(layer.down_XR for layer in layers[1:]), out_TX.T]
        shared, own = list(shared), list(own)
        scale_CX = torch.ones_like(out_TX[:1])
        self._stages: list[_Stage] = []
        for layer, down_XR in zip(layers, downs_XR, strict=True):
            scale_CX = torch.cat([scale_CX[:1] + layer.bias_X, scale_CX[1:], layer.up_RX])
            bias_O = layer.bias_X[own] if self._stages else layer.bias_X[own] + 1.0
            parts = (layer.up_RX[:, own].T, bias_O, scale_CX[:, shared], down_XR[shared], down_XR[own].T)
            self._stages.append(_Stage(*(part.contiguous() for part in parts)))

    def shared(self, inputs_1S: Tensor) -> list[Tensor]:
        """What the shared columns add to every `t` but the first: matrices of `[1, t_0, t_1 ...]`."""
        return [stage.scale_CS @ (inputs_1S.T * stage.down_SR) for stage in self._stages]

    def __call__(self, own_BO: Tensor, first_BR: Tensor, shared: Sequence[Tensor]) -> Tensor:
        """`[B, T]`: the network's output times `out_TX`.

        Args:
            own_BO: each row's own columns.
            first_BR: `t_0` of all columns.
            shared: of the method `shared`.
        """
        scale_BO: Tensor | None = None
        next_BR = seen_BC = first_BR
        for stage, matrix_CR in zip(self._stages, shared, strict=True):
            scale_BO = product(next_BR, stage.up_OR.T, stage.bias_O, scale_BO)
            of_shared_BR = product(seen_BC, matrix_CR[1:], matrix_CR[0])
            next_BR = product(own_BO * scale_BO, stage.down_RO.T, added_BO=of_shared_BR)
            seen_BC = torch.cat([seen_BC, next_BR], dim=1)
        return next_BR
