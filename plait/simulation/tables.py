"""Weighted choice of an item within a group (leaf or developer) on a given day, for millions of draws at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plait.simulation.catalogue import Items

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]

NOVELTY_DAYS = 6.0
"""How fast the attention to a new item fades."""


@dataclass(frozen=True, slots=True)
class ItemTable:
    """Items sorted by group, with running sums of their weights over all days in one array.

    One binary search in that array draws an item from any (day, group), because the sums never fall.
    """

    order: Ints
    """Items sorted by group."""
    start: Ints
    """[groups + 1]: items of group g are `order[start[g]:start[g + 1]]`."""
    sums: Doubles
    """[1 + days x items]: running sums of weights, day after day."""
    rank: Ints
    """[items]: where each item stands in `order`."""

    @classmethod
    def build(cls, group: Ints, groups: int, weights_DV: Doubles) -> "ItemTable":
        """A table from each item's group and its weight on each day (0 where it cannot be chosen)."""
        order = np.argsort(group, kind="stable")
        start = np.searchsorted(group[order], np.arange(groups + 1))
        sums = np.concatenate([[0.0], np.cumsum(weights_DV[:, order].ravel())])
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        return cls(order, start, sums, rank)

    def draw(self, day: Ints, group: Ints, uniform: NDArray[np.floating]) -> Ints:
        """One item for each (day, group); the group must have weight on that day."""
        row = day * len(self.order)
        first, last = row + self.start[group], row + self.start[group + 1]
        low = self.sums[first]
        place = np.searchsorted(self.sums, low + uniform * (self.sums[last] - low), side="right") - 1
        return np.asarray(self.order[np.minimum(place, last - 1) - row])

    def draw_any(self, day: Ints, uniform: NDArray[np.floating]) -> Ints:
        """One item for each day, from all groups."""
        row = day * len(self.order)
        low = self.sums[row]
        place = np.searchsorted(self.sums, low + uniform * (self.sums[row + len(self.order)] - low), side="right") - 1
        return np.asarray(self.order[np.minimum(place - row, len(self.order) - 1)])

    def mass(self) -> Doubles:
        """[days, groups]: summed weight."""
        row = np.arange(len(self.sums) // len(self.order))[:, None] * len(self.order)
        return np.asarray(self.sums[row + self.start[1:]] - self.sums[row + self.start[:-1]])

    def weight(self, day: Ints, item: Ints) -> Doubles:
        """Weight of `item` on `day`."""
        place = day * len(self.order) + self.rank[item]
        return np.asarray(self.sums[place + 1] - self.sums[place])


@dataclass(frozen=True, slots=True)
class Market:
    """Every table of a world."""

    organic: ItemTable
    """What people choose by themselves, by leaf."""
    developer: ItemTable
    """The same weights, by developer."""
    policy: dict[str, ItemTable]
    """What the logging policy puts forward within a leaf, by pool."""
    uniform: dict[str, ItemTable]
    """Equal weights for the random slice, by pool."""


def make_market(items: Items, games: NDArray[np.bool_], days: int, seed_noise: NDArray[np.float32]) -> Market:
    """The tables of `items`; `seed_noise` is how wrong the policy is about each item's popularity."""
    age = np.arange(days)[:, None] - items.launch_day[None, :]
    available = (age >= 0).astype(np.float64)
    new = np.where((items.launch_day > 0) & (age >= 0), np.exp(-np.maximum(age, 0) / NOVELTY_DAYS), 0.0)
    organic = np.exp(items.popularity) * available * (1.0 + 1.5 * new)
    policy = np.exp(0.7 * items.popularity + seed_noise) * available * (1.0 + 2.0 * new)
    leaves, developers = len(games), int(items.developer.max()) + 1
    pools = {"all": np.ones(items.count), "games": games[items.leaf] * 1.0, "ads": items.advertised * 1.0}
    return Market(
        organic=ItemTable.build(items.leaf, leaves, organic),
        developer=ItemTable.build(items.developer, developers, organic),
        policy={name: ItemTable.build(items.leaf, leaves, policy * mask) for name, mask in pools.items()},
        uniform={name: ItemTable.build(items.leaf, leaves, available * mask) for name, mask in pools.items()},
    )
