"""A ranker with its calibration curves: what is trained, evaluated, exported and served alike."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from plait.calibration import Curves
from plait.models.batch import Batch
from plait.models.ranker import CandidateHead, Layout, Ranker, ServesRequests, SplitRanker
from plait.models.tower import UserSummary, UserTower
from plait.nn.calibration import CurveLayer


class CalibratedRanker(nn.Module):
    """`curves(ranker(batch))`: a ranker whose probabilities are calibrated; see `calibrated`.

    Args:
        ranker: a trained ranker.
        curves: by scenario and objective.
    """

    def __init__(self, ranker: nn.Module, curves: CurveLayer) -> None:
        super().__init__()
        if not isinstance(ranker, Ranker):
            raise TypeError(f"found {type(ranker).__name__}, expected a ranker: layout, history, lookback")
        self.ranker = ranker
        self.curves = curves
        self.layout: Layout = ranker.layout
        self.history, self.lookback = ranker.history, ranker.lookback

    def forward(self, batch: Batch) -> Tensor:
        """Calibrated logits `[B, T]`."""
        calibrated_BT: Tensor = self.curves(self.ranker(batch), batch.scenario_B)
        return calibrated_BT

    def for_requests(self) -> Callable[[Batch], Callable[[Batch], Tensor]]:
        """See `plait.models.ranker.ServesRequests`."""
        if not isinstance(self.ranker, ServesRequests):
            return lambda _: self
        begin = self.ranker.for_requests()
        return lambda first: _then(begin(first), self.curves)


class CalibratedSplitRanker(CalibratedRanker):
    """The same, of a ranker that splits: the tower stays as it is, the head is calibrated."""

    ranker: SplitRanker  # type: ignore[assignment]  # a module too

    def split(self) -> tuple[UserTower, "CalibratedHead"]:
        """See `plait.models.ranker.SplitRanker`."""
        tower, head = self.ranker.split()
        return tower, CalibratedHead(head, self.curves)

    def window(self, before: int) -> int:
        """See `plait.models.ranker.SplitRanker`."""
        return self.ranker.window(before)


class CalibratedHead(nn.Module):
    """A light head with calibration curves behind it.

    Args:
        head: the ranker's.
        curves: by scenario and objective.
    """

    def __init__(self, head: CandidateHead, curves: CurveLayer) -> None:
        super().__init__()
        self.head = head
        self.curves = curves
        self.events = head.events

    def for_requests(self) -> Callable[[UserSummary, Batch], Callable[[Batch], Tensor]]:
        """See `plait.models.ranker.CandidateHead`."""
        begin, curves = self.head.for_requests(), self.curves
        return lambda user, first: _then(begin(user, first), curves)


def calibrated(ranker: nn.Module, curves: CurveLayer) -> CalibratedRanker:
    """The ranker with curves behind it, in evaluation mode; it splits where the ranker does."""
    kind = CalibratedSplitRanker if isinstance(ranker, SplitRanker) else CalibratedRanker
    return kind(ranker, curves).eval().requires_grad_(requires_grad=False)


def uncalibrated(model: nn.Module) -> nn.Module:
    """The ranker within a calibrated one; any other model as it is."""
    return model.ranker if isinstance(model, CalibratedRanker) else model


def curve_layer(curves: Curves) -> CurveLayer:
    """Fitted curves as a layer."""
    layer = CurveLayer(*curves.shape)
    layer.load_state_dict({name: torch.from_numpy(getattr(curves, name)).float() for name in layer.state_dict()})
    return layer.eval()


def _then(logits: Callable[[Batch], Tensor], curves: CurveLayer) -> Callable[[Batch], Tensor]:
    def calibrated_logits(batch: Batch) -> Tensor:
        calibrated_BT: Tensor = curves(logits(batch), batch.scenario_B)
        return calibrated_BT

    return calibrated_logits
