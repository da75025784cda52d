"""One chunk of users, from latents to what happened."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plait.seeding import generator
from plait.simulation.behaviour import Organic, Sessions, make_organic, make_sessions
from plait.simulation.outcomes import Happened, Truth, conditional_probabilities, happen
from plait.simulation.parts import Exposed, linear_logits, raw_parts
from plait.simulation.policy import Requests, Slates, make_requests, make_slates
from plait.simulation.users import Ints, Users
from plait.simulation.world import World


@dataclass(frozen=True, slots=True)
class Chunk:
    """Everything that was simulated for some users."""

    users: Users
    sessions: Sessions
    organic: Organic
    requests: Requests
    slates: Slates
    exposed: Exposed
    conditional: NDArray[np.float64]
    """[exposures, objectives] P(objective | its parent happened)."""
    happened: Happened


def simulate_chunk(world: World, truth: Truth, chunk: int) -> Chunk:
    """Chunk `chunk` of the world; it depends on nothing but the world's settings and its own number."""
    users = world.chunk_users(chunk)
    rng = generator(world.seed, "chunk", chunk)
    sessions = make_sessions(world, users, rng)
    organic = make_organic(world, users, sessions, rng)
    requests = _sorted_requests(make_requests(world, users, sessions, _lengths(sessions, organic), rng))
    requests = _before(requests, world.end)
    slates = make_slates(world, users, requests, rng)
    exposed = raw_parts(world, users, sessions, requests, slates)
    logits = linear_logits(world, users, exposed, truth.weights)
    conditional = conditional_probabilities(logits, exposed.scenario, truth)
    happened = happen(conditional, requests.time[slates.request], rng)
    return Chunk(users, sessions, organic, requests, slates, exposed, conditional, happened)


def _lengths(sessions: Sessions, organic: Organic) -> Ints:
    """Time from each session's start to its last behaviour, ms."""
    last = np.cumsum(sessions.events) - 1
    return np.asarray(organic.time[last] - sessions.start)


def _sorted_requests(requests: Requests) -> Requests:
    """In order of user and time."""
    return requests.take(np.lexsort((requests.time, requests.user)))


def _before(requests: Requests, end: int) -> Requests:
    return requests.take(np.flatnonzero(requests.time < end))
