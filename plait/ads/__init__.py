"""Auctions of advertising slots; NumPy only. The formulas and their limits: `docs/ads.md`."""

from plait.ads.auction import Outcome, hold_auctions
from plait.ads.revenue import Charge, Earned, earned

__all__ = ["Charge", "Earned", "Outcome", "earned", "hold_auctions"]
