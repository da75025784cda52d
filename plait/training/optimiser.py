"""AdamW for the dense weights, and an Adam for embedding tables that touches only the rows a step used."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from plait.nn.embedding import Table, compact
from plait.training.config import TrainingConfig

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8


class LazyAdam:
    """Adam on the rows of a table that the step used; the others keep weight and moments.

    Bias correction goes by each row's own number of updates, so that a code first met late gets as sound a first step
    as one met early. L2 regularisation is part of the gradient, on used rows only.

    Args:
        weight: the table, with sparse gradients.
        learning_rate: step size.
        l2: times the row is added to its gradient.
    """

    def __init__(self, weight: nn.Parameter, learning_rate: float, l2: float) -> None:
        self._weight = weight
        self._rate = learning_rate
        self._l2 = l2
        self._mean_VD = torch.zeros_like(weight, requires_grad=False)
        self._square_VD = torch.zeros_like(weight, requires_grad=False)
        self._updates_V = torch.zeros(len(weight), dtype=torch.float32)

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """Update the rows in the gradient, with `scale` times the learning rate."""
        if self._weight.grad is None:
            return
        rows_N, values_ND = self._weight.grad._indices()[0], self._weight.grad._values()
        rows_M, slot_N = compact(rows_N, len(self._weight))
        gradient_MD = values_ND.new_zeros(len(rows_M), values_ND.shape[1]).index_add_(0, slot_N, values_ND)
        row_MD = self._weight[rows_M]
        gradient_MD.add_(row_MD, alpha=self._l2)
        updates_M1 = (self._updates_V[rows_M] + 1.0)[:, None]
        mean_MD = self._mean_VD[rows_M].lerp_(gradient_MD, 1.0 - _BETAS[0])
        square_MD = self._square_VD[rows_M].lerp_(gradient_MD.square_(), 1.0 - _BETAS[1])
        spread_MD = (square_MD / (1.0 - _BETAS[1] ** updates_M1)).sqrt_().add_(_EPSILON)
        rate_M1 = scale * self._rate / (1.0 - _BETAS[0] ** updates_M1)
        self._weight[rows_M] = row_MD.sub_(rate_M1 * mean_MD / spread_MD)
        self._mean_VD[rows_M] = mean_MD
        self._square_VD[rows_M] = square_MD
        self._updates_V[rows_M] = updates_M1[:, 0]

    def state(self) -> dict[str, Tensor]:
        return {"mean": self._mean_VD, "square": self._square_VD, "updates": self._updates_V}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])


class Optimiser:
    """The optimisers of one model, and their learning rates over time.

    Args:
        model: what to train.
        config: learning rates, decay, warm-up and schedule.
        total_steps: steps of all epochs, for the schedule.
    """

    def __init__(self, model: nn.Module, config: TrainingConfig, total_steps: int) -> None:
        self._config = config
        self._total_steps = total_steps
        tables = {f"{name}.weight": module for name, module in model.named_modules() if isinstance(module, Table)}
        self._tables = {
            name: LazyAdam(table.weight, config.embedding_learning_rate, config.embedding_l2)
            for name, table in tables.items()
        }
        self._dense = {name: weight for name, weight in model.named_parameters() if name not in tables}
        self._adam = torch.optim.AdamW(
            list(self._dense.values()),
            lr=config.learning_rate,
            betas=config.betas,
            eps=_EPSILON,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self._model = model

    def step(self, step: int) -> float:
        """Apply the gradients of step number `step` (from 0) and clear them; returns the dense gradient's norm."""
        norm = float(nn.utils.clip_grad_norm_(self._dense.values(), self._config.clip_norm))
        scale = learning_rate_scale(self._config, step, self._total_steps)
        for group in self._adam.param_groups:
            group["lr"] = scale * self._config.learning_rate
        self._adam.step()
        for table in self._tables.values():
            table.step(scale)
        self._model.zero_grad(set_to_none=True)
        return norm

    def state(self) -> dict[str, Tensor]:
        """Everything but the weights as flat named tensors."""
        state = {}
        for name, weight in self._dense.items():
            for key, tensor in self._adam.state[weight].items():
                state[f"adam/{name}/{key}"] = tensor
        for name, table in self._tables.items():
            state |= {f"table/{name}/{key}": tensor for key, tensor in table.state().items()}
        return state

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        for name, weight in self._dense.items():
            prefix = f"adam/{name}/"
            found = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            if found:
                self._adam.state[weight] = found
        for name, table in self._tables.items():
            prefix = f"table/{name}/"
            table.load({key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)})


def learning_rate_scale(config: TrainingConfig, step: int, total_steps: int) -> float:
    """What the learning rates are multiplied by at step number `step` (from 0): warm-up, then the schedule."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return 1.0
    done = min(1.0, (step - config.warmup_steps) / max(1, total_steps - config.warmup_steps))
    return 1.0 - done if config.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
