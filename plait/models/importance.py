"""What the features are worth to the deep part of a trained head: to the MLP, or to all experts and to each of them.

The first layer is linear, so that another value of one feature moves its output by `(x' - x) W`, with W the feature's
rows: features are asked one by one without passing over the others again. The cross network keeps the true values.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional

from plait.errors import ArtifactError
from plait.models.dnn import DnnRanker
from plait.models.expert_head import ExpertHead
from plait.models.hstu import HstuRanker


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the head of a ranker was given for B exposures, and what else their logits are made of."""

    inputs_BX: Tensor
    scenario_B: Tensor
    total_BT: Tensor
    """The logits, before products along a funnel."""
    labels_BT: Tensor
    mask_BT: Tensor

    @classmethod
    def join(cls, parts: Sequence["Recorded"]) -> "Recorded":
        """Several records as one."""
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def take(self, order_B: Tensor) -> "Recorded":
        """Some of the exposures."""
        return Recorded(*(getattr(self, field.name)[order_B] for field in fields(self)))


@contextmanager
def recording(model: DnnRanker | HstuRanker) -> Iterator[dict[str, Tensor]]:
    """While it lasts, every forward pass leaves the fields of `Recorded` that the model itself makes."""
    seen: dict[str, Tensor] = {}

    def see_inputs(_: nn.Module, given: tuple[Tensor, Tensor]) -> None:
        seen["inputs_BX"], seen["scenario_B"] = given

    def see_total(_: nn.Module, given: tuple[Tensor]) -> None:
        (seen["total_BT"],) = given

    hooks = [model.head.register_forward_pre_hook(see_inputs), model.outcomes.register_forward_pre_hook(see_total)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def screened(model: nn.Module, reference: str) -> DnnRanker | HstuRanker:
    """The model, if its features can be asked one by one.

    Raises:
        ArtifactError: it is of a family without a trunk.
    """
    if not isinstance(model, DnnRanker | HstuRanker):
        raise ArtifactError(f"{reference}: found {type(model).__name__}, expected a model of the family dnn or hstu")
    return model


class FeatureWorth:
    """The deep part over recorded exposures.

    A loss is the mean over objectives of the log-loss of mature labels, each as a share of what it is with the true
    values, so that rare objectives count like frequent ones.

    Args:
        model: trained, in evaluation mode.
        recorded: the exposures.
    """

    def __init__(self, model: DnnRanker | HstuRanker, recorded: Recorded) -> None:
        first = model.head.first_of_all()
        self._outcomes, self._tail, self._recorded = model.outcomes, model.head.tail(1), recorded
        self._weight_GX = first.weight.detach()
        self._first_BG = functional.linear(recorded.inputs_BX, first.weight, first.bias).detach()
        self._rest_BT = recorded.total_BT - self._tail(self._first_BG, recorded.scenario_B).detach()  # without outcomes
        self._count_T = recorded.mask_BT.sum(0)
        self._base_T = self._losses(self._first_BG).detach()
        whole = slice(0, len(first.weight))
        self.parts = [whole, *(model.head.expert_columns() if isinstance(model.head, ExpertHead) else [])]
        """Columns of the first layer's output: of the whole deep part, then of each expert."""

    @torch.no_grad()
    def permutation(self, columns: Sequence[int], donor_B: Tensor) -> Tensor:
        """`[P]`: how much the loss of each part's exposures grows with the feature's values of other exposures.

        Args:
            columns: of the feature.
            donor_B: whose values each exposure gets.
        """
        own_BC = self._recorded.inputs_BX[:, columns]
        moved_BG = (own_BC[donor_B] - own_BC) @ self._weight_GX[:, columns].T
        grown = []
        for part in self.parts:
            first_BG = self._first_BG.clone()
            first_BG[:, part] += moved_BG[:, part]
            grown.append(self._relative(self._losses(first_BG)) - 1.0)
        return torch.stack(grown)

    def gradients(self, columns: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
        """`[P]` of each feature: the mean size of gradient times deviation from the mean, summed over its columns.

        That is what the loss of an exposure would change by, to first order, if the feature had its mean.
        """
        first_BG = self._first_BG.clone().requires_grad_()
        (slope_BG,) = torch.autograd.grad(self._relative(self._losses(first_BG)), first_BG)
        centred_BX = self._recorded.inputs_BX - self._recorded.inputs_BX.mean(0)
        worth = {name: torch.zeros(len(self.parts)) for name in columns}
        for place, part in enumerate(self.parts):
            change_BX = (slope_BG[:, part] @ self._weight_GX[part]) * centred_BX
            for name, own in columns.items():
                worth[name][place] = change_BX[:, list(own)].sum(1).abs().sum()
        return worth

    def _relative(self, loss_T: Tensor) -> Tensor:
        known_T = self._count_T > 0
        return (loss_T[known_T] / self._base_T[known_T]).mean()

    def _losses(self, first_BG: Tensor) -> Tensor:
        """Log-loss of each objective over its mature labels, `[T]`."""
        recorded = self._recorded
        logits_BT = self._outcomes(self._rest_BT + self._tail(first_BG, recorded.scenario_B))
        loss_BT = functional.binary_cross_entropy_with_logits(logits_BT, recorded.labels_BT, reduction="none")
        return (loss_BT * recorded.mask_BT).sum(0) / self._count_T.clamp(min=1)
