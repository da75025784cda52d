"""What one training step or one request sees, in NumPy. Shapes are by the legend in `docs/features.md`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class FeatureBatch:
    """B exposures (or candidates) of U users, with T objectives, F categorical and P multi-valued fields, G numbers.

    Histories are jagged: the events of user u are rows `history_offsets_U1[u]:history_offsets_U1[u + 1]` of the
    `history_*_N` arrays, in order of arrival. An exposure may see the first `before_B` events of user `user_B` only.

    So are the codes of multi-valued fields: rows point to J bags of them, which they may share, as the candidates of a
    request share its query.
    """

    categorical_BF: NDArray[np.int32]
    """Codes, a column per field of the feature specification; 0 is unknown."""
    numeric_BG: NDArray[np.float32]
    """Standardised numbers."""
    bag_BP: NDArray[np.int64]
    """The bag of each multi-valued field: those codes are rows `token_offsets_J1[bag]:token_offsets_J1[bag + 1]`."""
    token_offsets_J1: NDArray[np.int64]
    token_codes_N: NDArray[np.int32]
    """Codes among those of all multi-valued fields: a field's own code plus its place in `FeatureSpec.first_tokens`."""
    scenario_B: NDArray[np.int32]
    """Index into the specification's scenarios."""
    time_B: NDArray[np.int64]
    """Time of the exposure or request, epoch milliseconds."""
    user_B: NDArray[np.int64]
    """Row in this batch's histories."""
    before_B: NDArray[np.int64]
    """How many events of that history were available strictly before the exposure."""
    history_offsets_U1: NDArray[np.int64]
    history_item_N: NDArray[np.int32]
    history_action_N: NDArray[np.int32]
    history_scenario_N: NDArray[np.int32]
    history_time_N: NDArray[np.int64]
    """Time of each event (not of its arrival), epoch milliseconds."""
    labels_BT: NDArray[np.float32]
    mask_BT: NDArray[np.bool_]
    """True where the label is mature: only there does it enter a loss or a metric."""

    def __len__(self) -> int:
        return len(self.time_B)
