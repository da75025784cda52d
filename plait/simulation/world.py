"""A simulated world: everything that its chunks of users share."""

from dataclasses import dataclass

import numpy as np

from plait.seeding import generator
from plait.simulation.catalogue import Creatives, Items, make_creatives, make_items
from plait.simulation.sizes import Size
from plait.simulation.strengths import Strengths
from plait.simulation.tables import Market, make_market
from plait.simulation.taxonomy import load_taxonomy
from plait.simulation.users import Ints, ProfileEffects, Users, make_users, profile_effects

START = 1_767_571_200_000
"""Monday 2026-01-05 00:00 UTC, epoch ms: the first moment of every world. Hours and weekdays are UTC."""
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class World:
    """The shared part of a world; it depends on size, seed and strengths only."""

    size: Size
    seed: int
    strengths: Strengths
    items: Items
    creatives: Creatives
    market: Market
    effects: ProfileEffects

    @property
    def end(self) -> int:
        """The end of the log, epoch ms: nothing at or after it is known."""
        return START + self.size.days * DAY_MS

    @property
    def chunks(self) -> int:
        """How many chunks of users there are."""
        return -(-self.size.users // self.size.chunk_users)

    def chunk_users(self, chunk: int) -> Users:
        """The users of one chunk."""
        first = chunk * self.size.chunk_users
        last = min(first + self.size.chunk_users, self.size.users)
        return self.users(np.arange(first, last), str(chunk))

    def users(self, index: Ints, stream: str) -> Users:
        """Users from a random stream of their own."""
        return make_users(
            index,
            self.seed,
            self.size,
            items=self.items,
            market=self.market,
            effects=self.effects,
            stream=stream,
        )


def make_world(size: Size, seed: int, strengths: Strengths) -> World:
    """The world of this size, seed and strengths."""
    items = make_items(size, seed, themes_matter=strengths.text != 0)
    creatives = make_creatives(items, size, seed)
    error = generator(seed, "policy-error").normal(scale=0.4, size=items.count).astype(np.float32)
    market = make_market(items, load_taxonomy().games, size.days, error)
    effects = profile_effects(seed, items, creatives, on=strengths.profile != 0)
    return World(size, seed, strengths, items, creatives, market, effects)
