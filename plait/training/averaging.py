"""A running mean of a model's weights, which is steadier than the weights of any one step."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """An exponentially weighted mean of the trained weights (Polyak and Juditsky 1992; Izmailov et al. 2018).

        mean = d mean + (1 - d) weight,   d = min(decay, (1 + t) / (10 + t)) after step t

    With a learning rate that never falls, the weights of one step are off by the noise of the last batches; their mean
    is not. The first steps count for less, so that the mean forgets where it began.

    Args:
        model: whose weights; those that are not trained are left alone.
        decay: d; 1 / (1 - d) steps count.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self._means = {name: weight.detach().clone() for name, weight in self._weights.items()}

    @torch.no_grad()
    def update(self, steps: int) -> None:
        """Take in the weights as they stand after `steps` steps."""
        decay = min(self._decay, (1 + steps) / (10 + steps))
        torch._foreach_lerp_(list(self._means.values()), list(self._weights.values()), 1.0 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the model has the means as its weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state(self) -> Mapping[str, Tensor]:
        """The means, by the names of the weights."""
        return {f"average/{name}": mean for name, mean in self._means.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        for name, mean in self._means.items():
            mean.copy_(state[f"average/{name}"])

    @torch.no_grad()
    def _swap(self) -> None:
        for name, weight in self._weights.items():
            weight.data, self._means[name] = self._means[name], weight.data
