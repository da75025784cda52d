"""Logged requests once more, with items that were not shown: what would the user have done?

A chunk of users follows from the world's settings and its number alone, so it can be simulated again, and every part of
the true logit be had for items of one's choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plait.seeding import generator
from plait.simulation.chunk import Chunk, simulate_chunk
from plait.simulation.chunk_tables import first_id
from plait.simulation.objectives import OBJECTIVES
from plait.simulation.outcomes import Truth, conditional_probabilities, marginal_probabilities
from plait.simulation.parts import linear_logits, raw_parts
from plait.simulation.policy import Slates, make_slates
from plait.simulation.users import Ints
from plait.simulation.world import World


@dataclass(frozen=True, slots=True)
class Proposals:
    """K items for each of R requests."""

    request_R: Ints
    """Rows of the chunk's requests."""
    item_RK: Ints
    """Rows of the world's items."""
    creative_RK: Ints
    """Rows of the world's creatives: one of the item's."""


class ChunkReplay:
    """The requests of one chunk of users.

    Args:
        world: the world.
        truth: how it turns parts into probabilities.
        number: of the chunk.
        objectives: names of those that are asked for, in the order of the answers.
    """

    def __init__(self, world: World, truth: Truth, number: int, objectives: Sequence[str]) -> None:
        self._world, self._truth, self._number = world, truth, number
        names = [objective.name for objective in OBJECTIVES]
        self._columns = [names.index(name) for name in objectives]
        self._chunk: Chunk = simulate_chunk(world, truth, number)

    def requests(self, scenarios: NDArray[np.integer]) -> Ints:
        """Rows of the requests in these scenarios (by index), in order of user and time."""
        return np.flatnonzero(np.isin(self._chunk.requests.scenario, scenarios))

    def first_exposures(self, request_R: Ints) -> Ints:
        """Id of the first exposure that the log has of each request."""
        return np.searchsorted(self._chunk.slates.request, request_R) + first_id(self._number)

    def propose(self, request_R: Ints, count: int, seed: int) -> Proposals:
        """What the logging policy would have shown on a page of `count` items, without repetition."""
        rng = generator(self._world.seed, "proposals", self._number, seed)
        requests = self._chunk.requests.take(request_R)
        slates = make_slates(self._world, self._chunk.users, requests, rng, slate=count)
        shape = (len(request_R), count)
        return Proposals(request_R, slates.item.reshape(shape), slates.creative.reshape(shape))

    def probabilities(self, request_N: Ints, item_N: Ints, creative_N: Ints, position_N: Ints) -> NDArray[np.float64]:
        """`[N, T]`: the true probability of each objective if the item were shown there.

        Args:
            request_N: rows of requests.
            item_N: rows of items.
            creative_N: rows of creatives.
            position_N: places on the page, from 0.
        """
        slates = Slates(request_N, position_N, item_N, creative_N, np.ones(len(item_N)))
        chunk, truth = self._chunk, self._truth
        exposed = raw_parts(self._world, chunk.users, chunk.sessions, chunk.requests, slates)
        logits = linear_logits(self._world, chunk.users, exposed, truth.weights)
        conditional_NT = conditional_probabilities(logits, exposed.scenario, truth)
        return np.asarray(marginal_probabilities(conditional_NT)[:, self._columns])
