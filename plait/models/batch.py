"""The typed batch that every ranker takes: `FeatureBatch` as tensors."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from plait.features.batch import FeatureBatch


@dataclass(frozen=True, slots=True)
class Batch:
    """B exposures (or candidates) of U users as tensors; field by field as in `FeatureBatch`."""

    categorical_BF: Tensor
    numeric_BG: Tensor
    bag_BP: Tensor
    token_offsets_J1: Tensor
    token_codes_N: Tensor
    scenario_B: Tensor
    time_B: Tensor
    user_B: Tensor
    before_B: Tensor
    history_offsets_U1: Tensor
    history_item_N: Tensor
    history_action_N: Tensor
    history_scenario_N: Tensor
    history_time_N: Tensor
    labels_BT: Tensor
    mask_BT: Tensor

    @classmethod
    def from_features(cls, features: FeatureBatch) -> "Batch":
        """The batch over the same memory as `features`: nothing is copied."""
        return cls(**{field.name: torch.from_numpy(getattr(features, field.name)) for field in fields(cls)})

    def to(self, device: torch.device | str) -> "Batch":
        """The batch on another device."""
        return Batch(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    def __len__(self) -> int:
        return self.time_B.shape[0]
