"""A light head as one function of tensors: what compilers and ONNX Runtime take."""

from collections.abc import Callable
from types import FunctionType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from plait.models.batch import Batch
from plait.models.ranker import CandidateHead
from plait.models.tower import UserSummary


class HeadInputs(NamedTuple):
    """One request as tensors: K candidates, the user's state, and the last L events."""

    categorical_KF: Tensor
    numeric_KG: Tensor
    bag_KP: Tensor
    token_offsets_J1: Tensor
    token_codes_N: Tensor
    scenario_K: Tensor
    time_K: Tensor
    history_item_L: Tensor
    history_action_L: Tensor
    history_scenario_L: Tensor
    history_time_L: Tensor
    state_1D: Tensor
    output_LD: Tensor

    @classmethod
    def of(cls, user: UserSummary, batch: Batch, events: int) -> "HeadInputs":
        """Of a request's batch: every row sees all of its history.

        Args:
            user: what the tower says of the user.
            batch: rows of the request.
            events: how many of the last events the head looks at.
        """
        seen = slice(-events, None)
        return cls(
            categorical_KF=batch.categorical_BF,
            numeric_KG=batch.numeric_BG,
            bag_KP=batch.bag_BP,
            token_offsets_J1=batch.token_offsets_J1,
            token_codes_N=batch.token_codes_N,
            scenario_K=batch.scenario_B,
            time_K=batch.time_B,
            history_item_L=batch.history_item_N[seen],
            history_action_L=batch.history_action_N[seen],
            history_scenario_L=batch.history_scenario_N[seen],
            history_time_L=batch.history_time_N[seen],
            state_1D=user.state_1D,
            output_LD=user.output_LD[seen],
        )


class HeadGraph(nn.Module):
    """A trained head as it is now: `HeadInputs` to logits `[K, T]`.

    Args:
        head: trained.
    """

    def __init__(self, head: CandidateHead) -> None:
        super().__init__()
        with torch.no_grad():
            self._begin = head.for_requests()
        self._parts = nn.ModuleList(_modules_within(self._begin))  # whose weights are the graph's

    def forward(self, *inputs: Tensor) -> Tensor:
        """Logits `[K, T]`."""
        given = HeadInputs(*inputs)
        batch = _as_batch(given)
        return self._begin(UserSummary(given.state_1D, given.output_LD), batch)(batch)


def compiled(graph: HeadGraph) -> Callable[..., Tensor]:
    """The graph through `torch.compile`; needs a C++ compiler at run time."""
    run: Callable[..., Tensor] = torch.compile(graph, dynamic=True, fullgraph=True)
    return run


def exported(graph: HeadGraph, inputs: HeadInputs) -> torch.export.ExportedProgram:
    """The graph through `torch.export`, for any number of candidates and as many events as the example has.

    Args:
        graph: of a head.
        inputs: an example with at least two candidates.
    """
    candidates = torch.export.Dim("candidates", min=2)
    shapes = tuple({0: candidates} if "_K" in name else None for name in inputs._fields)
    with torch.no_grad():
        return torch.export.export(graph, tuple(inputs), dynamic_shapes={"inputs": shapes}, strict=True)


def _modules_within(begin: Callable[..., object]) -> list[nn.Module]:
    """The modules that a function holds in its closure, itself or through functions, or as attributes of these."""
    held = [cell.cell_contents for cell in begin.__closure__ or ()]
    within = [part for each in held for part in (each, *getattr(each, "__dict__", {}).values())]
    through = [module for each in held if isinstance(each, FunctionType) for module in _modules_within(each)]
    return [part for part in within if isinstance(part, nn.Module)] + through


def _as_batch(given: HeadInputs) -> Batch:
    rows, events = given.time_K.shape[0], given.history_time_L.shape[0]
    zeros_K = torch.zeros_like(given.time_K)
    nothing_KT = given.numeric_KG.new_empty(rows, 0)
    return Batch(
        categorical_BF=given.categorical_KF,
        numeric_BG=given.numeric_KG,
        bag_BP=given.bag_KP,
        token_offsets_J1=given.token_offsets_J1,
        token_codes_N=given.token_codes_N,
        scenario_B=given.scenario_K,
        time_B=given.time_K,
        user_B=zeros_K,
        before_B=zeros_K + events,
        history_offsets_U1=torch.tensor([0, events]),
        history_item_N=given.history_item_L.long(),  # ONNX gathers by these only
        history_action_N=given.history_action_L,
        history_scenario_N=given.history_scenario_L,
        history_time_N=given.history_time_L,
        labels_BT=nothing_KT,
        mask_BT=nothing_KT.bool(),
    )
