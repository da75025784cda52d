"""Many small networks as one product: experts, gates and towers over stacked weights.

A group is an expert or a tower. Weights of E groups lie in one tensor `[E, I, O]`, so that a layer of all of
them is one batched matrix product however many there are.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class GroupedLinear(nn.Module):
    """E linear layers at once: `y_e = x_e W_e + b_e`.

    Args:
        groups: E.
        inputs: I, width of each input.
        outputs: O, width of each output.
    """

    def __init__(self, groups: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)
        self.weight_EIO = nn.Parameter(torch.empty(groups, inputs, outputs).uniform_(-bound, bound))
        self.bias_E1O = nn.Parameter(torch.empty(groups, 1, outputs).uniform_(-bound, bound))

    def forward(self, input_EBI: Tensor) -> Tensor:
        """`[E, B, I]` (or `[1, B, I]`, which all groups share) to `[E, B, O]`."""
        groups, inputs, outputs = self.weight_EIO.shape
        if len(input_EBI) == groups:
            return torch.baddbmm(self.bias_E1O, input_EBI, self.weight_EIO)
        weight_IX = self.weight_EIO.transpose(0, 1).reshape(inputs, groups * outputs)
        output_BX = torch.addmm(self.bias_E1O.flatten(), input_EBI[0], weight_IX)
        return by_group(output_BX, groups)


class ExpertLayers(nn.Module):
    """What follows the first linear layer of E experts: activation, dropout, and further layers.

    Plain: `relu(z)`. Normalised: `silu(g * LN(z) + h)`, which keeps experts of unlike scales and dead units apart
    (Wang et al. 2024, "HoME", section 3.2, with layer norm for batch norm, so that rows do not depend on each other).

    Args:
        experts: E.
        widths: of every layer, the first included.
        dropout: share of activations dropped after each layer in training.
        normalise: as above.
    """

    def __init__(self, experts: int, widths: Sequence[int], *, dropout: float = 0.0, normalise: bool = False) -> None:
        super().__init__()
        self.further = nn.ModuleList(GroupedLinear(experts, inputs, outputs) for inputs, outputs in pairwise(widths))
        self.gains = nn.ParameterList(torch.ones(experts, 1, width) for width in widths if normalise)
        self.shifts = nn.ParameterList(torch.zeros(experts, 1, width) for width in widths if normalise)
        self._dropout = dropout

    def forward(self, first_EBH: Tensor) -> Tensor:
        """The first layer's output `[E, B, H]` to `[E, B, O]`."""
        output_EBO = self._activate(first_EBH, 0)
        for place, layer in enumerate(self.further, 1):
            output_EBO = self._activate(layer(output_EBO), place)
        return output_EBO

    def _activate(self, sum_EBH: Tensor, place: int) -> Tensor:
        if len(self.gains):
            normed_EBH = functional.layer_norm(sum_EBH, sum_EBH.shape[-1:])
            active_EBH = functional.silu(torch.addcmul(self.shifts[place], normed_EBH, self.gains[place]))
        else:
            active_EBH = functional.relu(sum_EBH)
        return functional.dropout(active_EBH, self._dropout, self.training)


class Routing(NamedTuple):
    """Which experts a row's groups read."""

    weight_BGE: Tensor
    """Weight of expert e in the mixture of group g."""
    probability_BGE: Tensor
    """The softmax before anything was dropped, for balancing."""


class Gate(nn.Module):
    """Weights of the experts for each of G groups that read them.

    - `none`: every expert that the group may read, alike: `1 / n`;
    - `softmax`: softmax of the gate's logits (Ma et al. 2018, "MMoE");
    - `topk`: the k largest of them, renormalised (Shazeer et al. 2017). In training an expert serves at most
      `ceil(capacity k B / n)` rows of a group, those that want it most; the others go without it (Fedus et al. 2022).
      Outside training there is no limit, so that rows do not depend on each other.

    Args:
        reads_GE: which experts each group may read.
        routing: as above.
        top_k: k.
        capacity: times the rows that each expert would get were all alike.
    """

    reads_GE: Tensor

    def __init__(self, reads_GE: Tensor, routing: str, *, top_k: int = 1, capacity: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("reads_GE", reads_GE, persistent=False)
        self.routing, self.top_k, self.capacity = routing, top_k, capacity
        self.most = int(reads_GE.sum(1).max())
        self.learned = routing != "none" and self.most > 1
        """Whether there is anything to learn: a group that reads one expert has no choice."""

    def forward(self, logits_BGE: Tensor) -> Routing:
        """Gate logits to weights; a row of weights sums to 1 unless an expert was full."""
        probability_BGE = logits_BGE.masked_fill(~self.reads_GE, -math.inf).softmax(-1)
        if self.routing == "softmax":
            return Routing(probability_BGE, probability_BGE)
        best_BGK, expert_BGK = probability_BGE.topk(min(self.top_k, logits_BGE.shape[-1]), dim=-1)
        best_BGK = best_BGK / best_BGK.sum(-1, keepdim=True)
        weight_BGE = torch.zeros_like(probability_BGE).scatter(-1, expert_BGK, best_BGK)
        return Routing(self._within_capacity(weight_BGE) if self.training else weight_BGE, probability_BGE)

    def alike(self) -> Tensor:
        """`[G, E]`: the weights without routing."""
        return self.reads_GE / self.reads_GE.sum(1, keepdim=True)

    def _within_capacity(self, weight_BGE: Tensor) -> Tensor:
        rows = len(weight_BGE)
        limit = min(rows, math.ceil(self.capacity * self.top_k * rows / self.most))
        kept_LGE, row_LGE = weight_BGE.topk(limit, dim=0)
        return torch.zeros_like(weight_BGE).scatter(0, row_LGE, kept_LGE)


def mixture(weight_BGE: Tensor, output_EBO: Tensor) -> Tensor:
    """`[G, B, O]`: each group's sum of expert outputs; weights `[G, E]` are those of every row."""
    if weight_BGE.dim() == 2:
        mixed_GX = weight_BGE.to(output_EBO.dtype) @ output_EBO.flatten(1)
        return mixed_GX.view(len(mixed_GX), *output_EBO.shape[1:])
    return torch.bmm(weight_BGE, output_EBO.transpose(0, 1)).transpose(0, 1)


def by_group(stacked_BX: Tensor, groups: int) -> Tensor:
    """`[B, E * H]` as `[E, B, H]`, without a copy."""
    rows, width = stacked_BX.shape
    return stacked_BX.view(rows, groups, width // groups).transpose(0, 1)
