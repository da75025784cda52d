"""Popularity: the rate of each item, whoever asks."""

import torch
from torch import Tensor, nn

from plait.features.spec import FeatureSpec
from plait.models.batch import Batch
from plait.models.config import PopularityConfig
from plait.models.ranker import Layout


class Popularity(nn.Module):
    """Smoothed log-odds per item and objective.

    With prior weight m: `p(category) = (positives + m p(all)) / (exposures + m)`, `p(item) = (positives + m
    p(category)) / (exposures + m)`, `logit = log(p / (1 - p))`: the posterior mean under a Beta prior at the level
    above. Only mature labels count. An unknown item has the rate of its category; the category is the deepest
    `category_*` field of items, where there is one.

    Args:
        config: the weight of the prior.
        spec: what a batch consists of.
        item_fields_VI: codes of the item fields of every item code.
    """

    layout: Layout = "impression"
    history: int = 0
    lookback: int = 0

    item_logits_VT: Tensor
    category_logits_CT: Tensor
    category_V: Tensor

    def __init__(self, config: PopularityConfig, spec: FeatureSpec, item_fields_VI: Tensor) -> None:
        super().__init__()
        self.prior = config.prior_exposures
        self.item_column = spec.item_columns[0]
        named = [column for column in spec.item_columns if spec.fields[column].name.startswith("category_")]
        self.category_column = named[-1] if named else None
        objectives = len(spec.objectives)
        categories = spec.fields[named[-1]].size if named else 1
        category_V = torch.zeros(len(item_fields_VI), dtype=torch.int64)
        if named:
            category_V = item_fields_VI[:, spec.item_columns.index(named[-1])].long()
        self.register_buffer("category_V", category_V)
        self.register_buffer("item_logits_VT", torch.zeros(len(item_fields_VI), objectives))
        self.register_buffer("category_logits_CT", torch.zeros(categories, objectives))
        # What is counted on the way; not part of the fitted model.
        self.seen_VT = torch.zeros(2, len(item_fields_VI), objectives, dtype=torch.float64)
        self.seen_CT = torch.zeros(2, categories, objectives, dtype=torch.float64)

    def forward(self, batch: Batch) -> Tensor:
        """Logits `[B, T]`."""
        item_B = batch.categorical_BF[:, self.item_column].long()
        of_category_BT = self.category_logits_CT[self._category(batch)]
        return torch.where((item_B == 0)[:, None], of_category_BT, self.item_logits_VT[item_B])

    def observe(self, batch: Batch) -> None:
        """Count the mature exposures and positives of one batch."""
        mature_BT = batch.mask_BT.double()
        positive_BT = batch.labels_BT.double() * mature_BT
        item_B = batch.categorical_BF[:, self.item_column].long()
        category_B = self._category(batch)
        for kind, counted_BT in enumerate((positive_BT, mature_BT)):
            self.seen_VT[kind].index_add_(0, item_B, counted_BT)
            self.seen_CT[kind].index_add_(0, category_B, counted_BT)

    def conclude(self) -> None:
        """Turn the counts into logits; an objective without a mature exposure gets rate 1/2."""
        positive_T, mature_T = self.seen_CT.sum(1)
        rate_T = (positive_T + 0.5) / (mature_T + 1.0)
        rate_CT = (self.seen_CT[0] + self.prior * rate_T) / (self.seen_CT[1] + self.prior)
        rate_VT = (self.seen_VT[0] + self.prior * rate_CT[self.category_V]) / (self.seen_VT[1] + self.prior)
        self.category_logits_CT.copy_(torch.logit(rate_CT))
        self.item_logits_VT.copy_(torch.logit(rate_VT))

    def _category(self, batch: Batch) -> Tensor:
        if self.category_column is None:
            return torch.zeros(len(batch), dtype=torch.int64)
        return batch.categorical_BF[:, self.category_column].long()
