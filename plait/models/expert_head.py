"""The head with experts: a mixture of them and a tower per objective in place of the MLP."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from plait.errors import ConfigError
from plait.models.config import ExpertsConfig, TrunkConfig
from plait.nn.cross import CrossNetwork
from plait.nn.experts import ExpertLayers, Gate, GroupedLinear, Routing, by_group, mixture
from plait.nn.feature_inputs import FeatureInputs

PRIOR_WIDTH = 16
"""Width of what PEPNet's gates are made from."""


class ExpertHead(nn.Module):
    """Cross network beside experts over the same inputs; a tower per objective over its mixture of the experts.

        logit_t = w_t . cross(x) + b_t + tower_t(sum_e g[t, e] expert_e(x))

    The first layer of all experts, the gates and PEPNet's prior is one product `first`; all else is stacked by expert
    or by tower. Without own experts and with a gate for all objectives there is one mixture, not T.

    Args:
        config: sizes.
        width: width of the inputs.
        objectives: T.
        scenarios: S.
        reads: what experts and gates read of the inputs; None for all of it.

    Raises:
        ConfigError: under `match_flops`, gates and towers alone cost more than the MLP.
    """

    def __init__(
        self, config: TrunkConfig, width: int, objectives: int, scenarios: int, reads: FeatureInputs | None = None
    ) -> None:
        super().__init__()
        self.reads = reads or FeatureInputs([range(width)], width)
        if config.experts is None:
            raise TypeError("found a configuration without experts, expected [model.experts]")
        self.config = config.experts
        if config.experts.match_flops:
            budget = mlp_flops(config, width, objectives)
            self.config = fitted(config.experts, self.reads.width, objectives, budget)
        self.cross = CrossNetwork(width, config.cross_layers, config.cross_rank)
        self.objectives = nn.Linear(width, objectives)
        self.levels = nn.ModuleList(
            ExpertLevel(self.config, objectives, last=level + 1 == self.config.levels, dropout=config.dropout)
            for level in range(self.config.levels)
        )
        level = self._level(0)
        self._parts = [level.experts * self.config.hidden[0], level.gate_width, _prior_width(self.config)]
        self.first = nn.Linear(self.reads.width, sum(self._parts))
        self.inner = nn.ModuleList(
            InnerLevel(self.config, self._level(place), objectives) for place in range(1, self.config.levels)
        )
        self.scenario_gates = nn.Embedding(scenarios, level.gate_width) if self.config.scenario_gates else None
        if self.scenario_gates is not None:
            nn.init.zeros_(self.scenario_gates.weight)
        self.towers = Towers(self.config, objectives, scenarios)

    def forward(self, inputs_BX: Tensor, scenario_B: Tensor) -> Tensor:
        """Logits `[B, T]`."""
        learned, read_BK = sum(self._parts[:2]), self.reads(inputs_BX)
        first_BG = functional.linear(read_BK, self.first.weight[:learned], self.first.bias[:learned])
        if self._parts[2]:  # the prior gates what it does not train (PEPNet, section 4.2)
            prior_BP = functional.linear(read_BK.detach(), self.first.weight[learned:], self.first.bias[learned:])
            first_BG = torch.cat([first_BG, prior_BP], dim=1)
        logits_BT: Tensor = self.objectives(self.represent(inputs_BX)) + self.after_first(first_BG, scenario_B)
        return logits_BT

    def represent(self, inputs_BX: Tensor) -> Tensor:
        """The rows' vectors that `objectives` is applied to: what the cross network makes of them."""
        return self.cross(inputs_BX)  # type: ignore[no-any-return]

    def first_of_all(self) -> nn.Linear:
        """The first layer of experts, gates and prior, over all inputs."""
        return self.reads.over_all(self.first)

    def expert_columns(self) -> list[slice]:
        """Of each expert, its columns in the output of `first`."""
        hidden = self.config.hidden[0]
        return [slice(place * hidden, (place + 1) * hidden) for place in range(self._level(0).experts)]

    def after_first(self, first_BG: Tensor, scenario_B: Tensor) -> Tensor:
        """What the experts add to the logits, `[B, T]`, from the output of `first`."""
        scenario_B = scenario_B.long()
        of_experts_BX, gates_BX, prior_BP = torch.split(first_BG, self._parts, dim=1)
        if self.scenario_gates is not None:
            gates_BX = gates_BX + self.scenario_gates(scenario_B)
        level = self._level(0)
        mixed_GBO = level(by_group(of_experts_BX, level.experts), gates_BX)
        for place, inner in enumerate(self.inner, 1):
            mixed_GBO = self._level(place)(*inner(mixed_GBO))
        logits_BT: Tensor = self.towers(mixed_GBO, scenario_B, prior_BP)
        return logits_BT

    def crossed_TX(self) -> Tensor:
        """Weights of the cross network's output."""
        return self.objectives.weight

    def tail(self, lanes: int) -> Callable[[Tensor, Tensor], Tensor]:
        """See `plait.models.trunk.Head.tail`."""
        short = -self.objectives.out_features % lanes

        def logits(first_BG: Tensor, scenario_B: Tensor) -> Tensor:
            return functional.pad(self.after_first(first_BG, scenario_B), (0, short))

        return logits

    @property
    def flops(self) -> int:
        """Multiplications and additions of the matrix products for one exposure."""
        of_cross = sum(layer.numel() for layer in self.cross.parameters() if layer.dim() == 2)
        return 2 * (of_cross + self.objectives.weight.numel()) + deep_flops(
            self.config, self.first.in_features, self.objectives.out_features
        )

    def _level(self, place: int) -> "ExpertLevel":
        level = self.levels[place]
        if not isinstance(level, ExpertLevel):
            raise TypeError(f"found {type(level).__name__}, expected a level of experts")
        return level


class ExpertLevel(nn.Module):
    """The experts of one level after their first layer, and the mixtures of them.

    Experts come as the shared ones, then each objective's own. Groups are the mixtures: one, or one per objective; a
    level that another one follows has one more, of all experts, for the shared experts there (Tang et al. 2020, "PLE").

    Args:
        config: sizes.
        objectives: T.
        last: no level follows.
        dropout: of the experts.
    """

    def __init__(self, config: ExpertsConfig, objectives: int, *, last: bool, dropout: float) -> None:
        super().__init__()
        reads_GE = reads(config, objectives, last=last)
        self.groups, self.experts = reads_GE.shape
        self.layers = ExpertLayers(self.experts, config.hidden, dropout=dropout, normalise=config.normalise)
        self.gate = Gate(reads_GE, config.routing, top_k=config.top_k, capacity=config.capacity)
        self.gate_width = self.groups * self.experts if self.gate.learned else 0

    def forward(self, first_EBH: Tensor, gates_BX: Tensor) -> Tensor:
        """Mixtures `[G, B, O]` of the experts, from their first layer's output and the gates' logits."""
        output_EBO = self.layers(first_EBH)
        if not self.gate.learned:
            return mixture(self.gate.alike(), output_EBO)
        routing: Routing = self.gate(gates_BX.view(-1, self.groups, self.experts))
        return mixture(routing.weight_BGE, output_EBO)


class InnerLevel(nn.Module):
    """From the mixtures of one level to first layers and gate logits of the next.

    An objective's own experts and its gate read its mixture, the shared experts that of all experts.

    Args:
        config: sizes.
        level: the level that follows.
        objectives: T.
    """

    reader_E: Tensor

    def __init__(self, config: ExpertsConfig, level: ExpertLevel, objectives: int) -> None:
        super().__init__()
        groups = len(reads(config, objectives, last=False))
        own = [objective for objective in range(objectives) for _ in range(config.own)]
        self.register_buffer("reader_E", torch.tensor([groups - 1] * config.shared + own), persistent=False)
        self.first = GroupedLinear(level.experts, config.hidden[-1], config.hidden[0])
        self.gates = GroupedLinear(level.groups, config.hidden[-1], level.experts) if level.gate.learned else None

    def forward(self, mixed_GBO: Tensor) -> tuple[Tensor, Tensor]:
        """First layers `[E, B, H]` and gate logits `[B, G * E]`."""
        first_EBH = self.first(mixed_GBO[self.reader_E])
        if self.gates is None:
            return first_EBH, mixed_GBO.new_zeros(mixed_GBO.shape[1], 0)
        groups = len(self.gates.weight_EIO)
        return first_EBH, self.gates(mixed_GBO[:groups]).transpose(0, 1).flatten(1)


class Towers(nn.Module):
    """A small network per objective over its mixture, which may adapt to the scenario.

    STAR (Sheng et al. 2021) multiplies shared weights by the scenario's, elementwise. With factors of rank one that is
    `(x * a_s) W + b + c_s`: a and c are per scenario and tower, and a row costs two vectors, not a matrix.

    PEPNet (Chang et al. 2023, section 4.3) gates the input of every layer: `x * 2 sigmoid(V relu(p + q_s))`, with p a
    projection of the head's inputs that passes no gradient back to them.

    Args:
        config: sizes.
        objectives: T.
        scenarios: S.
    """

    def __init__(self, config: ExpertsConfig, objectives: int, scenarios: int) -> None:
        super().__init__()
        widths = tower_widths(config)
        self.objectives = objectives
        self.layers = nn.ModuleList(GroupedLinear(objectives, *pair) for pair in pairwise(widths))
        star, pepnet = config.scenario == "star", config.scenario == "pepnet"
        self.factors = nn.ParameterList(torch.ones(scenarios, objectives, width) for width in widths[:-1] if star)
        self.biases = nn.ParameterList(torch.zeros(scenarios, objectives, width) for width in widths[1:] if star)
        self.prior = nn.Embedding(scenarios, PRIOR_WIDTH) if pepnet else None
        self.gates = nn.ModuleList(nn.Linear(PRIOR_WIDTH, objectives * width) for width in widths[:-1] if pepnet)

    def forward(self, mixed_GBO: Tensor, scenario_B: Tensor, prior_BP: Tensor) -> Tensor:
        """Logits `[B, T]` from mixtures `[T, B, O]`, or from one `[1, B, O]` for all."""
        hidden_TBI = mixed_GBO
        if self.prior is not None:
            prior_BP = functional.relu(prior_BP + self.prior(scenario_B))
        for place, layer in enumerate(self.layers):
            if place:
                hidden_TBI = functional.relu(hidden_TBI)
            if len(self.gates):
                gate_BX = 2.0 * torch.sigmoid(self.gates[place](prior_BP))
                hidden_TBI = hidden_TBI * by_group(gate_BX, self.objectives)
            if len(self.factors):
                hidden_TBI = hidden_TBI * self.factors[place][scenario_B].transpose(0, 1)
            hidden_TBI = layer(hidden_TBI)
            if len(self.biases):
                hidden_TBI = hidden_TBI + self.biases[place][scenario_B].transpose(0, 1)
        return hidden_TBI[..., 0].T


def reads(config: ExpertsConfig, objectives: int, *, last: bool = True) -> Tensor:
    """`[G, E]`: which experts each mixture may read."""
    experts = config.shared + objectives * config.own
    one = config.own == 0 and (config.gates == "global" or config.routing == "none")
    if one:
        return torch.ones(1, experts, dtype=torch.bool)
    of_objective_TE = torch.zeros(objectives, experts, dtype=torch.bool)
    of_objective_TE[:, : config.shared] = True
    for objective in range(objectives):
        start = config.shared + objective * config.own
        of_objective_TE[objective, start : start + config.own] = True
    return of_objective_TE if last else torch.cat([of_objective_TE, torch.ones(1, experts, dtype=torch.bool)])


def tower_widths(config: ExpertsConfig) -> list[int]:
    """From the mixture to the logit."""
    return [config.hidden[-1], *config.towers, 1]


def deep_flops(config: ExpertsConfig, width: int, objectives: int) -> int:
    """Multiplications and additions for one exposure of everything but the cross network.

    Sparse routing counts in full: at these widths all experts are computed, and routing chooses among them.
    """
    products = 0
    below = width
    for level in range(config.levels):
        reads_GE = reads(config, objectives, last=level + 1 == config.levels)
        groups, experts = reads_GE.shape
        learned = config.routing != "none" and bool((reads_GE.sum(1) > 1).any())
        products += experts * sum(inputs * outputs for inputs, outputs in pairwise([below, *config.hidden]))
        products += groups * experts * (below * learned + config.hidden[-1])
        below = config.hidden[-1]
    layers = list(pairwise(tower_widths(config)))
    products += objectives * sum(inputs * outputs for inputs, outputs in layers)
    if config.scenario == "pepnet":
        products += PRIOR_WIDTH * (width + objectives * sum(inputs for inputs, _ in layers))
    return 2 * products


def mlp_flops(config: TrunkConfig, width: int, objectives: int) -> int:
    """What the MLP over all inputs and its output cost in the experts' place."""
    return 2 * sum(inputs * outputs for inputs, outputs in pairwise([width, *config.hidden, objectives]))


def fitted(config: ExpertsConfig, width: int, objectives: int, budget: int) -> ExpertsConfig:
    """The same variant with the widest experts that cost no more than `budget`, all widths shrunk by one factor.

    Args:
        config: what to narrow.
        width: of what the experts read.
        objectives: T.
        budget: multiplications and additions of experts, gates and towers for one exposure.

    Raises:
        ConfigError: it costs more even with experts of width 1.
    """
    for steps in range(config.hidden[0], 0, -1):
        hidden = [max(1, steps * each // config.hidden[0]) for each in config.hidden]
        narrower = config.model_copy(update={"hidden": hidden})
        if deep_flops(narrower, width, objectives) <= budget:
            return narrower
    raise ConfigError(
        f"[model.experts] match_flops: {config.shared} shared and {config.own} own experts of width 1, gates and "
        f"towers cost more than the MLP's {budget:,} operations; take fewer experts or gates = 'global'"
    )


def _prior_width(config: ExpertsConfig) -> int:
    return PRIOR_WIDTH if config.scenario == "pepnet" else 0
