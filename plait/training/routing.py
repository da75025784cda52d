"""What experts and gates do while a model trains: the balance loss, and alarms."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from plait.nn.experts import ExpertLayers, Gate, Routing

DEAD = 0.05
"""An expert is dead if every mixture that may read it gives it less than this share of what it got if all were alike,
or if it is silent."""
SILENT = 0.99
"""An expert is silent if more than this share of its outputs is 0."""
POLARISED = 0.9
"""A gate is polarised if it gives one of several experts more than this weight on average."""


@dataclass(slots=True)
class LevelLoad:
    """One level of experts over some rows."""

    weight_GE: Tensor
    """Mean weight of each expert in each mixture."""
    reads_GE: Tensor
    silent_E: Tensor
    """Share of each expert's outputs that is 0."""

    def dead(self) -> list[int]:
        """Experts that count for nothing."""
        fair_G1 = 1.0 / self.reads_GE.sum(1, keepdim=True)
        ignored_E = ((self.weight_GE < DEAD * fair_G1) | ~self.reads_GE).all(0)
        return torch.nonzero(ignored_E | (self.silent_E > SILENT))[:, 0].tolist()

    def polarised(self) -> list[int]:
        """Mixtures that are one expert, though they may read several."""
        chosen_G = (self.weight_GE.max(1).values > POLARISED) & (self.reads_GE.sum(1) > 1)
        return torch.nonzero(chosen_G)[:, 0].tolist()


@dataclass(slots=True)
class _Sums:
    weight_GE: Tensor | float = 0.0
    zeros_E: Tensor | float = 0.0
    rows: int = 0
    outputs: int = 0


@dataclass(slots=True)
class _Level:
    gate: Gate
    last: Routing | None = None
    sums: _Sums = field(default_factory=_Sums)


class RoutingWatch:
    """Looks on, through forward hooks, at every level of experts in a model; a model without any costs nothing.

    Args:
        model: what is trained.
    """

    def __init__(self, model: nn.Module) -> None:
        self._levels: list[_Level] = []
        self._watching = False
        gates = [module for module in model.modules() if isinstance(module, Gate)]
        layers = [module for module in model.modules() if isinstance(module, ExpertLayers)]
        for gate, experts in zip(gates, layers, strict=True):
            level = _Level(gate)
            self._levels.append(level)
            gate.register_forward_hook(lambda _, __, routing, level=level: self._see_gate(level, routing))
            experts.register_forward_hook(lambda _, __, output, level=level: self._see_experts(level, output))

    def balance(self) -> Tensor | None:
        """`n sum_e f_e p_e`, 1 at its least: f the share of rows that got expert e, p its mean probability.

        The mean over the mixtures of all levels under `topk`, in the last forward pass (Fedus et al. 2022, "Switch
        Transformers", equation 4); None without such.
        """
        terms = []
        for level in self._levels:
            routing, level.last = level.last, None
            if routing is not None and level.gate.routing == "topk":
                got_GE = (routing.weight_BGE > 0).float().mean(0) / level.gate.top_k
                terms.append((got_GE * routing.probability_BGE.mean(0)).sum(1) * level.gate.reads_GE.sum(1))
        return torch.cat(terms).mean() if terms else None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Add up what is seen meanwhile, for `loads`."""
        for level in self._levels:
            level.sums = _Sums()
        self._watching = True
        try:
            yield
        finally:
            self._watching = False

    def loads(self) -> list[LevelLoad]:
        """Of every level, over the rows that were watched."""
        loads = []
        for level in self._levels:
            sums = level.sums
            if sums.outputs:
                silent_E = torch.as_tensor(sums.zeros_E) / sums.outputs
                weight_GE = torch.as_tensor(sums.weight_GE) / sums.rows if sums.rows else level.gate.alike()
                loads.append(LevelLoad(weight_GE, level.gate.reads_GE, silent_E))
        return loads

    def _see_gate(self, level: _Level, routing: Routing) -> None:
        if self._watching:
            level.sums.weight_GE = level.sums.weight_GE + routing.weight_BGE.double().sum(0)
            level.sums.rows += len(routing.weight_BGE)
        elif routing.probability_BGE.requires_grad:
            level.last = routing

    def _see_experts(self, level: _Level, output_EBO: Tensor) -> None:
        if self._watching:
            level.sums.zeros_E = level.sums.zeros_E + (output_EBO == 0).sum((1, 2)).double()
            level.sums.outputs += output_EBO[0].numel()


def alarms(loads: list[LevelLoad]) -> tuple[dict[str, float], list[str]]:
    """What a run's log says of the experts, and what is wrong with them, in words."""
    if not loads:
        return {}, []
    words = []
    for number, load in enumerate(loads, 1):
        level = f"level {number}: " if len(loads) > 1 else ""
        if dead := load.dead():
            words.append(f"{level}dead experts: {', '.join(map(str, dead))}")
        if polarised := load.polarised():
            words.append(f"{level}gates that read one expert only: {', '.join(map(str, polarised))}")
    numbers = {
        "dead_experts": float(sum(len(load.dead()) for load in loads)),
        "polarised_gates": float(sum(len(load.polarised()) for load in loads)),
        "largest_share": max(float(load.weight_GE.max()) for load in loads),
        "zero_outputs": max(float(load.silent_E.mean()) for load in loads),
    }
    return numbers, words
