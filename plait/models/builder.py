"""From sizes to a model."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from plait.features.spec import FeatureSpec
from plait.models.config import DnnConfig, HstuConfig, LinearConfig, PopularityConfig, RankerConfig, TabularConfig
from plait.models.dnn import DnnRanker
from plait.models.hstu import HstuRanker
from plait.models.linear import LinearRanker
from plait.models.popularity import Popularity
from plait.models.tabular import TabularRanker


def build_model(config: RankerConfig, spec: FeatureSpec, item_fields_VI: NDArray[np.int32]) -> nn.Module:
    """An untrained ranker: `forward(batch) -> logits_BT`; see `plait.models.ranker.Ranker`.

    Weights are drawn from PyTorch's global generator: seed it first.

    Args:
        config: family and sizes.
        spec: what a batch consists of.
        item_fields_VI: codes of the item fields of every item code.
    """
    items_VI = torch.from_numpy(np.ascontiguousarray(item_fields_VI, dtype=np.int32))
    match config:
        case PopularityConfig():
            return Popularity(config, spec, items_VI)
        case LinearConfig():
            return LinearRanker(config, spec)
        case TabularConfig():
            return TabularRanker(config, spec)
        case DnnConfig():
            return DnnRanker(config, spec, items_VI)
        case HstuConfig():
            return HstuRanker(config, spec, items_VI)
