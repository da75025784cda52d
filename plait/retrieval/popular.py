"""What did well lately, per scenario: the source that needs to know nothing of the user."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from plait.config import Settings
from plait.data.arrays import load_arrays, save_arrays
from plait.retrieval.protocol import Items, RetrievalQuery, Retrieved, Scores, best


class PopularSettings(Settings):
    """How popularity is counted."""

    half_life_share: float = 0.25
    """After this share of the training window an exposure counts half."""
    prior_exposures: float = 20.0
    """Strength of the smoothing: how many exposures at the average rate every item starts with."""
    top: int = 1_000
    """How many items are kept per scenario."""


@dataclass(frozen=True, slots=True)
class ExposureGains:
    """The training window's exposures, one row each."""

    item_B: NDArray[np.int64]
    """Row of the item."""
    scenario_B: NDArray[np.int64]
    """Index of the scenario."""
    time_B: NDArray[np.int64]
    """Epoch milliseconds."""
    gain_B: NDArray[np.float64]
    """What came of it: the sum over mature objectives of label times value."""


class Popular:
    """Items by smoothed, recency-weighted gain per exposure, a list per scenario and one over all."""

    name = "popular"

    def __init__(self, items_SK: Items, scores_SK: Scores) -> None:
        """Take the lists.

        Args:
            items_SK: item rows, best first, a row per scenario and a last one over all; -1 fills short lists.
            scores_SK: their scores.
        """
        self._items_SK = items_SK
        self._scores_SK = scores_SK

    def retrieve(self, query: RetrievalQuery, limit: int) -> Retrieved:
        """The head of the scenario's list; of the overall list where the scenario is unknown."""
        row = query.scenario if 0 <= query.scenario < len(self._items_SK) - 1 else len(self._items_SK) - 1
        items_K = np.asarray(self._items_SK[row, :limit])
        scores_K = np.asarray(self._scores_SK[row, :limit])
        known = items_K >= 0
        return Retrieved(items_K[known], scores_K[known])

    def save(self, folder: Path) -> None:
        """Write the lists as `.npy` files."""
        save_arrays(folder, items=self._items_SK, scores=self._scores_SK)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The lists in `folder`, memory-mapped."""
        arrays = load_arrays(folder, "items", "scores")
        return cls(arrays["items"], arrays["scores"])


def build_popular(exposures: ExposureGains, items: int, scenarios: int, settings: PopularSettings) -> Popular:
    """Count the training window.

    With an exposure's weight `w = 2 ** (-age / half-life)`, an item's overall rate is
    `r_i = (sum w gain + m r) / (sum w + m)` around the mean rate `r`, and its rate in a scenario is smoothed the same
    way around `r_i`, so that a scenario with little data falls back on all of them.

    Args:
        exposures: exposures of the training window only.
        items: rows of the item table.
        scenarios: how many scenarios there are.
        settings: half-life, smoothing and list length.
    """
    weights_B = _weights(exposures.time_B, settings.half_life_share)
    cell_B = exposures.scenario_B * items + exposures.item_B
    shape = (scenarios, items)
    shown_SV = np.bincount(cell_B, weights=weights_B, minlength=scenarios * items).reshape(shape)
    gained_SV = np.bincount(cell_B, weights=weights_B * exposures.gain_B, minlength=scenarios * items).reshape(shape)
    shown_V, gained_V = shown_SV.sum(axis=0), gained_SV.sum(axis=0)
    prior = settings.prior_exposures
    rate = gained_V.sum() / max(shown_V.sum(), 1e-12)
    rate_V = (gained_V + prior * rate) / (shown_V + prior)
    rate_SV = (gained_SV + prior * rate_V) / (shown_SV + prior)
    rates = np.vstack([rate_SV, rate_V]).astype(np.float32)
    rates[:, shown_V == 0] = -np.inf  # never shown in training: nothing is known, so it is no "popular" item
    return _lists(rates, min(settings.top, items))


def _weights(time_B: NDArray[np.int64], half_life_share: float) -> NDArray[np.float64]:
    if not len(time_B):
        return np.empty(0)
    age_B = (time_B.max() - time_B).astype(np.float64)
    weights_B: NDArray[np.float64] = np.exp2(-age_B / max(age_B.max() * half_life_share, 1.0))
    return weights_B


def _lists(rates: Scores, top: int) -> Popular:
    items_SK = np.full((len(rates), top), -1, np.int64)
    scores_SK = np.zeros((len(rates), top), np.float32)
    for row, rate_V in enumerate(rates):
        order = best(rate_V, top)
        items_SK[row, : len(order)] = order
        scores_SK[row, : len(order)] = rate_V[order]
    return Popular(items_SK, scores_SK)
