"""The expert head as it is often written: a module per expert, gate and tower, and loops over them.

It computes the same function as `plait.models.expert_head.ExpertHead`, from a copy of its weights.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from plait.models.expert_head import ExpertHead


def linear(weight_IO: Tensor, bias_O: Tensor) -> nn.Linear:
    layer = nn.Linear(*weight_IO.shape)
    layer.weight.data.copy_(weight_IO.T)
    layer.bias.data.copy_(bias_O)
    return layer


class Expert(nn.Module):
    """One expert: its layers, with ReLU, or with layer norm and SiLU."""

    def __init__(self, layers: list[nn.Linear], norms: list[nn.LayerNorm], dropout: float) -> None:
        super().__init__()
        self.layers, self.norms, self.dropout = nn.ModuleList(layers), nn.ModuleList(norms), nn.Dropout(dropout)

    def forward(self, input_BX: Tensor) -> Tensor:
        for place, layer in enumerate(self.layers):
            input_BX = layer(input_BX)
            input_BX = functional.silu(self.norms[place](input_BX)) if len(self.norms) else functional.relu(input_BX)
            input_BX = self.dropout(input_BX)
        return input_BX


class Level(nn.Module):
    """Experts and gates of one level; `inputs` says which input each expert and gate reads."""

    def __init__(self, experts: list[Expert], gates: list[nn.Linear], biases: list[Tensor], source: nn.Module) -> None:
        super().__init__()
        self.experts, self.gates = nn.ModuleList(experts), nn.ModuleList(gates)
        self.biases = nn.ParameterList(biases)
        self.gate, self.reads = source.gate, source.gate.reads_GE.tolist()

    def forward(self, of_experts: list[Tensor], of_gates: list[Tensor], scenario_B: Tensor) -> list[Tensor]:
        outputs = [expert(input_BX) for expert, input_BX in zip(self.experts, of_experts, strict=True)]
        mixtures = []
        for group, reads in enumerate(self.reads):
            read = [expert for expert, may in enumerate(reads) if may]
            if not len(self.gates):
                mixtures.append(sum(outputs[expert] for expert in read) / len(read))
                continue
            logits_BE = self.gates[group](of_gates[group])
            if len(self.biases):
                logits_BE = logits_BE + self.biases[group][scenario_B]
            weight_BN = logits_BE[:, read].softmax(1)
            if self.gate.routing == "topk":
                kept_BK, place_BK = weight_BN.topk(self.gate.top_k, dim=1)
                weight_BN = torch.zeros_like(weight_BN).scatter(1, place_BK, kept_BK / kept_BK.sum(1, keepdim=True))
            mixtures.append(sum(weight_BN[:, n, None] * outputs[expert] for n, expert in enumerate(read)))
        return mixtures


class ModuleListHead(nn.Module):
    """The same head, loop by loop.

    Args:
        head: whose weights it begins with.
    """

    def __init__(self, head: ExpertHead) -> None:
        super().__init__()
        self.config, self.objectives_count = head.config, head.objectives.out_features
        self.cross, self.objectives = copy.deepcopy(head.cross), copy.deepcopy(head.objectives)
        self.levels = nn.ModuleList(self._level(head, place) for place in range(self.config.levels))
        of_prior = sum(head._parts[:2])
        self.prior = None
        if head.towers.prior is not None:
            self.prior = linear(head.first.weight[of_prior:].T, head.first.bias[of_prior:])
            self.prior_scenarios = copy.deepcopy(head.towers.prior)
        self.towers = nn.ModuleList(self._towers(head, objective) for objective in range(self.objectives_count))
        self.gates = nn.ModuleList(self._tower_gates(head, objective) for objective in range(self.objectives_count))

    def forward(self, inputs_BX: Tensor, scenario_B: Tensor) -> Tensor:
        scenario_B = scenario_B.long()
        level = self.levels[0]
        mixtures = level([inputs_BX] * len(level.experts), [inputs_BX] * len(level.reads), scenario_B)
        for level in self.levels[1:]:
            own, shared = self.config.own, self.config.shared
            readers = [len(mixtures) - 1] * shared + [t for t in range(self.objectives_count) for _ in range(own)]
            mixtures = level([mixtures[reader] for reader in readers], mixtures, scenario_B)
        if self.prior is not None:
            prior_BP = functional.relu(self.prior(inputs_BX.detach()) + self.prior_scenarios(scenario_B))
        logits = []
        for objective, tower in enumerate(self.towers):
            mixed_BO = mixtures[objective if len(mixtures) >= self.objectives_count > 1 else 0]
            for place, layers in enumerate(tower):
                if place:
                    mixed_BO = functional.relu(mixed_BO)
                if self.prior is not None:
                    mixed_BO = mixed_BO * 2 * torch.sigmoid(self.gates[objective][place](prior_BP))
                mixed_BO = by_scenario(layers, mixed_BO, scenario_B)
            logits.append(mixed_BO[:, 0])
        return self.objectives(self.cross(inputs_BX)) + torch.stack(logits, dim=1)

    def _level(self, head: ExpertHead, place: int) -> Level:
        source = head.levels[place]
        first, width = (head.first, self.config.hidden[0]) if place == 0 else (head.inner[place - 1].first, 0)
        experts = []
        for expert in range(source.experts):
            if place == 0:
                rows = slice(expert * width, (expert + 1) * width)
                layers = [linear(first.weight[rows].T, first.bias[rows])]
            else:
                layers = [linear(first.weight_EIO[expert], first.bias_E1O[expert, 0])]
            layers += [linear(each.weight_EIO[expert], each.bias_E1O[expert, 0]) for each in source.layers.further]
            norms = [nn.LayerNorm(layer.out_features) for layer in layers] if self.config.normalise else []
            for number, norm in enumerate(norms):
                norm.weight.data.copy_(source.layers.gains[number][expert, 0])
                norm.bias.data.copy_(source.layers.shifts[number][expert, 0])
            experts.append(Expert(layers, norms, source.layers._dropout))
        return Level(experts, *self._gates(head, place), source)

    def _gates(self, head: ExpertHead, place: int) -> tuple[list[nn.Linear], list[Tensor]]:
        source, gates, biases = head.levels[place], [], []
        for group in range(source.groups if source.gate_width else 0):
            if place == 0:
                start = head._parts[0] + group * source.experts
                rows = slice(start, start + source.experts)
                gates.append(linear(head.first.weight[rows].T, head.first.bias[rows]))
            else:
                inner = head.inner[place - 1].gates
                gates.append(linear(inner.weight_EIO[group], inner.bias_E1O[group, 0]))
            if head.scenario_gates is not None and place == 0:
                columns = slice(group * source.experts, (group + 1) * source.experts)
                biases.append(head.scenario_gates.weight[:, columns].detach().clone())
        return gates, biases

    def _towers(self, head: ExpertHead, objective: int) -> nn.ModuleList:
        """Of every layer of a tower its linear layers: one for each scenario, or one for all."""
        towers = nn.ModuleList()
        for place, layer in enumerate(head.towers.layers):
            weight_IO, bias_O = layer.weight_EIO[objective], layer.bias_E1O[objective, 0]
            if len(head.towers.factors):
                factors, biases = head.towers.factors[place][:, objective], head.towers.biases[place][:, objective]
                pairs = zip(factors, biases, strict=True)
                towers.append(nn.ModuleList(linear(factor[:, None] * weight_IO, bias_O + b) for factor, b in pairs))
            else:
                towers.append(nn.ModuleList([linear(weight_IO, bias_O)]))
        return towers

    def _tower_gates(self, head: ExpertHead, objective: int) -> nn.ModuleList:
        gates = nn.ModuleList()
        for layer in head.towers.gates:
            width = layer.out_features // self.objectives_count
            rows = slice(objective * width, (objective + 1) * width)
            gates.append(linear(layer.weight[rows].T, layer.bias[rows]))
        return gates


def by_scenario(layers: nn.ModuleList, input_BI: Tensor, scenario_B: Tensor) -> Tensor:
    if len(layers) == 1:
        return layers[0](input_BI)
    output_BO = input_BI.new_zeros(len(input_BI), layers[0].out_features)
    for scenario, layer in enumerate(layers):
        rows = (scenario_B == scenario).nonzero()[:, 0]
        if len(rows):
            output_BO = output_BO.index_add(0, rows, layer(input_BI[rows]))
    return output_BO
