"""The DNN: DCNv2 with target attention over the recent sequence (DIN)."""

from collections.abc import Callable

from torch import Tensor, nn

from plait.features.spec import FeatureSpec
from plait.models.batch import Batch
from plait.models.config import DnnConfig
from plait.models.head import build_head, build_outcomes, start_heads
from plait.models.ranker import Layout
from plait.models.request import RequestDnn
from plait.models.trunk import Trunk


class DnnRanker(nn.Module):
    """Trunk and head; see `plait.models.trunk` and `plait.models.head`.

    Args:
        config: sizes.
        spec: what a batch consists of.
        item_fields_VI: codes of the item fields of every item code.
    """

    layout: Layout = "impression"

    def __init__(self, config: DnnConfig, spec: FeatureSpec, item_fields_VI: Tensor) -> None:
        super().__init__()
        self.history = self.lookback = config.attention.events
        self._spec = spec
        self.trunk = Trunk(config, spec, item_fields_VI)
        self.head = build_head(config, self.trunk.width, spec)
        self.outcomes = build_outcomes(config, spec)

    def forward(self, batch: Batch) -> Tensor:
        """Logits `[B, T]`."""
        logits_BT: Tensor = self.outcomes(self.head(self.trunk(batch).inputs_BX, batch.scenario_B))
        return logits_BT

    def represent(self, batch: Batch) -> Tensor:
        """See `plait.models.ranker.HasRowVectors`."""
        return self.head.represent(self.trunk(batch).inputs_BX)

    @property
    def width(self) -> int:
        """X, width of a row's vector."""
        return self.head.objectives.in_features

    def start_from(self, logit_T: Tensor) -> None:
        """Let the output biases be `logit_T`."""
        start_heads(self.head, self.outcomes, logit_T)

    def for_requests(self) -> Callable[[Batch], Callable[[Batch], Tensor]]:
        """See `plait.models.ranker.ServesRequests`."""
        dnn = RequestDnn(self.trunk, self.head, self._spec)

        def begin(first: Batch) -> Callable[[Batch], Tensor]:
            shared = dnn.shared(first)
            return lambda batch: self.outcomes(dnn.logits(batch, dnn.own(batch, shared), shared))

        return begin
