"""From a trunk's inputs to logits: what every head can do, the head with an MLP, and what a funnel makes of either."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from plait.config import nearest
from plait.errors import ConfigError
from plait.features.naming import feature_name
from plait.features.spec import FeatureSpec, Field, MultiField, Number
from plait.models.config import TrunkConfig
from plait.models.expert_head import ExpertHead
from plait.nn.cross import CrossNetwork
from plait.nn.feature_inputs import FeatureInputs
from plait.nn.mlp import MLP
from plait.nn.products import product

RECENT_EVENTS = "recent_events"
"""What target attention makes of the last events, as a feature."""

Tail = Callable[[Tensor, Tensor], Tensor]
"""From what the first layers say, and the rows' scenarios, to logits `[B, T]`, padded to whole lanes."""


class Head(Protocol):
    """Cross network beside a deep part: `logits = w . cross(x) + b + deep(first(x))`, `first` being linear.

    So that whoever knows parts of x beforehand can multiply them beforehand: see `plait.models.request`.
    """

    cross: CrossNetwork
    objectives: nn.Linear
    """Its bias is b."""

    def __call__(self, inputs_BX: Tensor, scenario_B: Tensor) -> Tensor:
        """Logits `[B, T]`."""

    def represent(self, inputs_BX: Tensor) -> Tensor:
        """The rows' vectors, which `objectives` is applied to."""

    def first_of_all(self) -> nn.Linear:
        """The deep part's first layer, of all its parts, over all inputs; those that it does not read weigh 0."""

    @property
    def flops(self) -> int:
        """Multiplications and additions of the matrix products for one exposure."""

    def crossed_TX(self) -> Tensor:
        """Weights of the cross network's output."""

    def tail(self, lanes: int) -> Tail:
        """What follows `first`, of the trained head as it is now; columns are padded to a multiple of `lanes`."""


class MlpHead(nn.Module):
    """Cross network beside an MLP over the same inputs, then one linear layer per objective.

    The parallel structure of Wang et al. 2021, "DCN V2", section 3.

    Args:
        config: sizes.
        width: width of the inputs.
        objectives: number of objectives.
        reads: what the MLP reads of the inputs; None for all of it.
    """

    def __init__(self, config: TrunkConfig, width: int, objectives: int, reads: FeatureInputs | None = None) -> None:
        super().__init__()
        self.reads = reads or FeatureInputs([range(width)], width)
        self.cross = CrossNetwork(width, config.cross_layers, config.cross_rank)
        self.deep = MLP(self.reads.width, config.hidden, dropout=config.dropout)
        self.objectives = nn.Linear(width + self.deep.width, objectives)

    def forward(self, inputs_BX: Tensor, scenario_B: Tensor) -> Tensor:
        """Logits `[B, T]`."""
        logits_BT: Tensor = self.objectives(self.represent(inputs_BX))
        return logits_BT

    def represent(self, inputs_BX: Tensor) -> Tensor:
        """The rows' vectors, which the logits are linear in."""
        return torch.cat([self.cross(inputs_BX), self.deep(self.reads(inputs_BX))], dim=1)

    def first_of_all(self) -> nn.Linear:
        """The MLP's first layer, over all inputs."""
        return self.reads.over_all(self.deep.first)

    @property
    def flops(self) -> int:
        """Multiplications and additions of the matrix products for one exposure."""
        return 2 * sum(weight.numel() for weight in self.parameters() if weight.dim() == 2)

    def crossed_TX(self) -> Tensor:
        """Weights of the cross network's output."""
        return self.objectives.weight[:, : -self.deep.width]

    def tail(self, lanes: int) -> Tail:
        """See `Head.tail`."""
        out_TH = self.objectives.weight[:, -self.deep.width :]
        out_TH = functional.pad(out_TH, (0, 0, 0, -len(out_TH) % lanes)).contiguous()
        return lambda first_BH, _: product(self.deep.after_first(first_BH.relu()), out_TH.T)


class Funnel(nn.Module):
    """Chances given the objective before, to chances of all exposures: products along the funnel.

        p_t = product over a in {t and its ancestors} of sigmoid(l_a)

    so that every factor is trained where its objective is known, over the entire space of exposures, and no chance
    exceeds that of the objective before (Ma et al. 2018, "ESMM").

    Args:
        parents: of every objective the one before it, -1 for none.
    """

    along_TT: Tensor

    def __init__(self, parents: tuple[int, ...]) -> None:
        super().__init__()
        along_TT = torch.eye(len(parents))
        for objective, parent in enumerate(parents):
            while parent >= 0:
                along_TT[objective, parent] = 1.0
                parent = parents[parent]  # noqa: PLW2901 (walks up)
        self.register_buffer("along_TT", along_TT, persistent=False)
        self._parents = parents

    def forward(self, logits_BT: Tensor) -> Tensor:
        """Logits of the factors to logits of the products."""
        log_BT = functional.logsigmoid(logits_BT) @ self.along_TT.T
        log_BT = log_BT.clamp(max=-1e-7)
        return log_BT - torch.log(-torch.expm1(log_BT))

    def factors(self, logit_T: Tensor) -> Tensor:
        """Logits of factors whose products have the logits given; at most log 1,000 where they are no funnel."""
        chance_T = torch.sigmoid(logit_T.double())
        before_T = torch.stack(
            [chance_T[parent] if parent >= 0 else torch.ones(()).double() for parent in self._parents]
        )
        return torch.logit((chance_T / before_T).clamp(max=0.999)).to(logit_T.dtype)


def build_head(config: TrunkConfig, width: int, spec: FeatureSpec) -> MlpHead | ExpertHead:
    """The head that the configuration asks for.

    Args:
        config: sizes.
        width: width of the inputs.
        spec: what a batch consists of.
    """
    reads = deep_reads(config, width, spec)
    if config.experts is not None:
        return ExpertHead(config, width, len(spec.objectives), len(spec.scenarios), reads)
    return MlpHead(config, width, len(spec.objectives), reads)


def deep_reads(config: TrunkConfig, width: int, spec: FeatureSpec) -> FeatureInputs:
    """What the deep part reads of the trunk's inputs.

    Raises:
        ConfigError: a setting names a feature that there is not.
    """
    columns = input_columns(config, width, spec)
    for name in config.deep_inputs:
        if name not in columns:
            raise ConfigError(f"[model] deep_inputs: there is no feature '{name}'{nearest(name, list(columns))}")
    chosen = [columns[name] for name in columns if not config.deep_inputs or name in config.deep_inputs]
    return FeatureInputs(chosen, width, gate_weight=config.deep_gates)


def input_columns(config: TrunkConfig, width: int, spec: FeatureSpec) -> dict[str, list[int]]:
    """Of each feature its columns in the trunk's inputs: fields and lists, numbers, the recent events.

    Args:
        config: sizes.
        width: of the inputs.
        spec: what a batch consists of.
    """
    columns: dict[str, list[int]] = {}
    place = 0
    inputs: tuple[Field | MultiField | Number, ...] = (*spec.fields, *spec.multi_fields, *spec.numbers)
    for column in inputs:
        wide = 1 if isinstance(column, Number) else config.embedding_dim
        columns.setdefault(feature_name(column), []).extend(range(place, place + wide))
        place += wide
    return columns | {RECENT_EVENTS: list(range(place, width))}


def build_outcomes(config: TrunkConfig, spec: FeatureSpec) -> Funnel | nn.Identity:
    """What makes logits of the heads' outputs.

    Raises:
        ConfigError: products are asked for, and no objective has one before it.
    """
    if not config.entire_space:
        return nn.Identity()
    if not any(parent >= 0 for parent in spec.parents):
        raise ConfigError(
            "[model] entire_space: no objective has a parent; name it in [[objectives]] of plait.toml. If it is there, "
            "the samples were encoded by a Plait that did not keep it: remove .plait/derived/encoded"
        )
    return Funnel(spec.parents)


def start_heads(head: MlpHead | ExpertHead, outcomes: nn.Module, logit_T: Tensor) -> None:
    """Let the biases be such that the logits are `logit_T`."""
    biases_T = outcomes.factors(logit_T) if isinstance(outcomes, Funnel) else logit_T
    head.objectives.bias.data.copy_(biases_T)
