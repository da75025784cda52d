"""What auctions earn when ads convert with their true probabilities, whatever the platform believed."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plait.ads.auction import Outcome, Values

Charge = Literal["conversion", "exposure"]
"""What is paid for: each conversion, at its price (CPC, CPA); or each exposure, at the price that it was expected to
bring (oCPM: the advertiser bids for conversions and bears the risk that the platform is wrong about them)."""


@dataclass(frozen=True, slots=True)
class Earned:
    """Expected sums of each of R auctions, currency units."""

    revenue_R: Values
    """What the platform is paid."""
    value_R: Values
    """What the conversions are worth to the advertisers: bid times true probability."""


def earned(outcome: Outcome, bid_RK: Values, true_RS: NDArray[np.floating], charge: Charge = "conversion") -> Earned:
    """Expected revenue and value of auctions.

    Args:
        outcome: of the auctions.
        bid_RK: as they were held with.
        true_RS: probability that the ad in each slot converts there; ignored for empty slots.
        charge: what is paid for.
    """
    true_RS = np.where(outcome.filled_RS, true_RS, 0.0)
    paid_RS = outcome.price_RS * true_RS if charge == "conversion" else outcome.charge_RS / 1000.0
    return Earned(paid_RS.sum(axis=1), (outcome.of_winners(bid_RK) * true_RS).sum(axis=1))
