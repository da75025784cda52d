"""How a scenario of the kind `ads` sells its places, request by request."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plait.ads import hold_auctions
from plait.config import AdsSettings


@dataclass(frozen=True, slots=True)
class AdAuction:
    """Orders candidates by eCPM and says what the ones that are shown pay; see `plait.ads.auction`."""

    settings: AdsSettings
    objective: int
    """Which of the model's objectives a bid pays for."""
    bid_C: NDArray[np.float64]
    """By row of the creative table; NaN for a creative that does not bid."""

    def ecpm(self, probabilities_RT: NDArray[np.float32], creatives_R: NDArray[np.int64]) -> NDArray[np.float64]:
        """`1000 x bid x probability` of each row; -inf where nobody bids."""
        ecpm_R = 1000.0 * self.bid_C[creatives_R] * probabilities_RT[:, self.objective]
        return np.where(np.isnan(ecpm_R), -np.inf, ecpm_R)

    def hold(
        self, probabilities_KT: NDArray[np.float32], creatives_K: NDArray[np.int64], slots: int
    ) -> tuple[NDArray[np.int64], list[float]]:
        """One auction among K ads, one per item.

        Returns:
            Places of the winners among the K, best first, `slots` or fewer; what each pays for a conversion.
        """
        settings = self.settings
        outcome = hold_auctions(
            self.bid_C[None, creatives_K],
            probabilities_KT[None, :, self.objective],
            slots,
            settings.pricing,
            settings.reserve,
            settings.attention,
        )
        taken_S = outcome.filled_RS[0]
        return outcome.winner_RS[0, taken_S], outcome.price_RS[0, taken_S].tolist()
