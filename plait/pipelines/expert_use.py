"""Who uses which expert: the weights that mixtures give them, and what each objective loses without one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from plait.features.dataset import EncodedDataset
from plait.models.batch import Batch
from plait.models.expert_head import ExpertHead, ExpertLevel
from plait.nn.experts import Routing
from plait.schema import Split
from plait.training.data import Loader, draw_users
from plait.training.predict import as_ranker

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ExpertUse:
    """One level of experts over some exposures."""

    groups: tuple[str, ...]
    """Names of the mixtures: objectives, or "all"."""
    load_GE: Floats
    """Mean weight of each expert in each mixture."""
    load_SE: Floats
    """The same by scenario, the mean over mixtures; NaN where a scenario has no exposures."""
    loss_TE: Floats
    """By how much the mean loss of an objective rises when the expert says nothing."""


def expert_use(dataset: EncodedDataset, model: nn.Module, split: Split, *, exposures: int = 20_000) -> list[ExpertUse]:
    """The use of every level of experts in a model; nothing where it has none.

    Args:
        dataset: the samples.
        model: a ranker.
        split: whose exposures.
        exposures: about how many, of whole users.
    """
    head = next((part for part in model.modules() if isinstance(part, ExpertHead)), None)
    if head is None:
        return []
    ranker = as_ranker(model)
    users_U = draw_users(dataset, split, exposures, 0)
    loader = Loader(dataset, split, ranker, batch_size=2048, batch_events=32_768, users_U=users_U)
    levels = [level for level in head.levels if isinstance(level, ExpertLevel)]
    spec = dataset.spec
    sums = [_LevelSums(level, len(spec.scenarios), len(spec.objectives)) for level in levels]
    model.eval()
    with torch.inference_mode():
        for features, _ in loader.batches(loader.in_order()):
            batch = Batch.from_features(features)
            with ExitStack() as stack:
                for one in sums:
                    stack.enter_context(one.watching(batch))
                whole_T = _losses(ranker(batch), batch)
            for one in sums:
                one.count(batch)
                for expert in range(one.level.experts):
                    with _without(one.level, expert):
                        one.loss_TE[:, expert] += (_losses(ranker(batch), batch) - whole_T).double().numpy()
    return [one.use(spec.objectives) for one in sums]


class _LevelSums:
    """What is added up over batches for one level."""

    def __init__(self, level: ExpertLevel, scenarios: int, objectives: int) -> None:
        self.level = level
        self.load_SGE = np.zeros((scenarios, level.groups, level.experts))
        self.rows_S = np.zeros(scenarios)
        self.mature_T = np.zeros(objectives)
        self.loss_TE = np.zeros((objectives, level.experts))

    @contextmanager
    def watching(self, batch: Batch) -> Iterator[None]:
        """Add the gate's weights in the next forward pass, scenario by scenario."""
        scenario_B = batch.scenario_B.long()

        def see(_: nn.Module, __: Any, routing: Routing) -> None:
            self._add(routing.weight_BGE, scenario_B)

        if not self.level.gate.learned:
            alike_GE = self.level.gate.alike()
            self._add(alike_GE.expand(len(scenario_B), *alike_GE.shape), scenario_B)
        with _hook(self.level.gate, see):
            yield

    def count(self, batch: Batch) -> None:
        """Add the rows of a batch."""
        self.rows_S += np.bincount(batch.scenario_B.long().numpy(), minlength=len(self.rows_S))
        self.mature_T += batch.mask_BT.sum(0).numpy()

    def use(self, objectives: Sequence[str]) -> ExpertUse:
        """Means of the sums."""
        groups = self.level.groups
        names = tuple(objectives[:groups]) + ("all",) * (groups - len(objectives[:groups]))
        with np.errstate(invalid="ignore"):
            load_SE = self.load_SGE.mean(1) / self.rows_S[:, None]
            loss_TE = self.loss_TE / self.mature_T[:, None]
        return ExpertUse(
            groups=names if groups > 1 else ("all",),
            load_GE=self.load_SGE.sum(0) / self.rows_S.sum(),
            load_SE=load_SE,
            loss_TE=loss_TE,
        )

    def _add(self, weight_BGE: Tensor, scenario_B: Tensor) -> None:
        summed_SGE = torch.zeros(self.load_SGE.shape, dtype=torch.float64)
        self.load_SGE += summed_SGE.index_add_(0, scenario_B, weight_BGE.double()).numpy()


def _losses(logits_BT: Tensor, batch: Batch) -> Tensor:
    """`[T]`: summed loss over mature labels."""
    labels_BT = batch.labels_BT * batch.mask_BT
    each_BT = functional.binary_cross_entropy_with_logits(logits_BT.float(), labels_BT, reduction="none")
    return (each_BT * batch.mask_BT).sum(0)


@contextmanager
def _without(level: ExpertLevel, expert: int) -> Iterator[None]:
    """Let one expert give 0 meanwhile."""

    def silence(_: nn.Module, __: Any, output_EBO: Tensor) -> Tensor:
        kept_E11 = torch.ones(len(output_EBO), 1, 1)
        kept_E11[expert] = 0.0
        return output_EBO * kept_E11

    with _hook(level.layers, silence):
        yield


@contextmanager
def _hook(module: nn.Module, hook: Callable[..., Any]) -> Iterator[None]:
    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
