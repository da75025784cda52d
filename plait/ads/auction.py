"""Auctions of a page's slots among ads, many at once: who stands where, and what each pays.

An ad that bids b for one conversion which it brings with probability p is worth `eCPM = 1000 b p` to the platform: what
a thousand of its exposures would pay. Ads are placed by eCPM, from the first slot on; equal ones in the order given.
With e(1) >= e(2) >= ... the eCPM of the placed ads, r the reserve and a(1) >= a(2) >= ... the slots' attention, the ad
in slot s pays per thousand exposures

    first_price    e(s)
    second_price   max(e(s + 1), r)
    vcg            sum over j >= s of (a(j) - a(j + 1)) max(e(j + 1), r) / a(s),   a = 0 behind the last slot

and per conversion that divided by 1000 p. Generalised second price: Edelman, Ostrovsky & Schwarz 2007, "Internet
Advertising and the Generalized Second-Price Auction"; VCG with position effects: Varian 2007, "Position Auctions".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plait.config import Pricing
from plait.errors import ConfigError

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Who won the S slots of R auctions among K ads, and at what price."""

    winner_RS: NDArray[np.int64]
    """Place of the slot's ad among the K; -1 where the slot stays empty."""
    ecpm_RS: Values
    """Of that ad, in currency units; 0 for an empty slot."""
    charge_RS: Values
    """What it pays per thousand exposures if its probability is right; 0 for an empty slot."""
    price_RS: Values
    """What it pays per conversion, at most its bid; 0 for an empty slot."""

    @property
    def filled_RS(self) -> NDArray[np.bool_]:
        """Whether a slot has an ad."""
        return self.winner_RS >= 0

    def of_winners(self, values_RK: NDArray[Any]) -> NDArray[Any]:
        """`[R, S]`: what each slot's ad has in `values_RK`; 0 for an empty slot."""
        return np.take_along_axis(_wider(values_RK, 1, 0), self.winner_RS, axis=1)  # -1 is the last column


def hold_auctions(  # noqa: PLR0917 (one auction, in the order in which it goes)
    bid_RK: Values,
    probability_RK: NDArray[np.floating],
    slots: int,
    pricing: Pricing = "second_price",
    reserve: float = 0.0,
    attention: Sequence[float] = (),
) -> Outcome:
    """Hold R auctions of `slots` slots among K ads each.

    Args:
        bid_RK: what each ad pays at most for one conversion, in currency units; NaN: it does not take part.
        probability_RK: of that conversion if the ad stands in the first slot.
        slots: S; those that find no ad stay empty.
        pricing: what winners pay, see above.
        reserve: the least eCPM, in currency units per thousand exposures; ads below it are not shown.
        attention: each slot's share of the first one's attention, falling; only VCG looks at it. Slots behind the last
            value have that one; all have 1 where there is none.

    Raises:
        ConfigError: attention is not above 0 or rises.
    """
    bid_RN = _wider(bid_RK, slots + 1, np.nan)
    ecpm_RN = 1000.0 * bid_RN * _wider(probability_RK, slots + 1, np.nan)
    ranked_RN = np.where(ecpm_RN >= reserve, ecpm_RN, -np.inf)
    order_RN = np.argsort(-ranked_RN, axis=1, kind="stable")[:, : slots + 1]
    best_RN = np.take_along_axis(ranked_RN, order_RN, axis=1)
    filled_RS = best_RN[:, :slots] > -np.inf
    ecpm_RS = np.where(filled_RS, best_RN[:, :slots], 0.0)
    charge_RS = _charges(ecpm_RS, np.maximum(best_RN[:, 1:], reserve), pricing, attention)
    charge_RS = np.minimum(charge_RS, ecpm_RS)
    share_RS = np.divide(charge_RS, ecpm_RS, out=np.zeros_like(ecpm_RS), where=ecpm_RS > 0)
    bid_RS = np.where(filled_RS, np.take_along_axis(bid_RN, order_RN[:, :slots], axis=1), 0.0)
    return Outcome(np.where(filled_RS, order_RN[:, :slots], -1), ecpm_RS, charge_RS, bid_RS * share_RS)


def _wider(values_RK: NDArray[Any], columns: int, value: float) -> NDArray[Any]:
    """With further columns behind: ads that do not take part, so that there are always enough."""
    return np.pad(values_RK, ((0, 0), (0, columns)), constant_values=value)


def _charges(ecpm_RS: Values, rival_RS: Values, pricing: Pricing, attention: Sequence[float]) -> Values:
    """Per thousand exposures; `rival_RS` is what the next ad is worth, or the reserve."""
    if pricing == "first_price":
        return ecpm_RS
    if pricing == "second_price":
        return rival_RS
    attention_S = _attention(attention, ecpm_RS.shape[1])
    lost_S = attention_S - np.append(attention_S[1:], 0.0)
    behind_RS = np.cumsum((rival_RS * lost_S)[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(behind_RS / attention_S)


def _attention(given: Sequence[float], slots: int) -> Values:
    shares = [*(given or (1.0,))][:slots]
    attention_S = np.array([*shares, *[shares[-1]] * (slots - len(shares))])
    if (attention_S <= 0).any() or (np.diff(attention_S) > 0).any():
        raise ConfigError(f"attention is {list(given)}, expected values above 0 that do not rise from slot to slot")
    return attention_S
