"""The logging policy: which items it shows to whom, and with what probability."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plait.simulation.behaviour import Sessions
from plait.simulation.scenarios import load_scenarios
from plait.simulation.taxonomy import load_taxonomy
from plait.simulation.users import Floats, Ints, Users
from plait.simulation.world import World

POOLS = {"recommendation": "all", "search": "all", "games": "games", "ads": "ads"}
RANDOM_SHARE = 0.01
"""Share of requests that are answered uniformly at random."""
STALE_DAYS = 2
"""The policy knows a user's focus of this many days ago."""


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests for a slate."""

    session: Ints
    user: Ints
    day: Ints
    time: Ints
    scenario: Ints
    query_leaf: Ints
    """Leaf the query asks for; -1 outside search."""
    query_theme: Ints
    """Theme the query names; -1 where it names none."""
    random: NDArray[np.bool_]
    """Part of the random slice."""

    def take(self, rows: NDArray[np.intp]) -> "Requests":
        """Some of them."""
        return Requests(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class Slates:
    """Exposures in order of request and position."""

    request: Ints
    position: Ints
    item: Ints
    creative: Ints
    propensity: NDArray[np.float64]
    """Probability of the item at this position, given the request and the items above it."""


def make_requests(
    world: World, users: Users, sessions: Sessions, length: Ints, rng: np.random.Generator, *, rate: float = 1.0
) -> Requests:
    """Some sessions ask for a slate after their first behaviours.

    Args:
        world: the world.
        users: the chunk's users.
        sessions: their sessions.
        length: time from a session's start to its last behaviour, ms.
        rng: random numbers.
        rate: factor on the world's number of exposures.
    """
    scenarios = load_scenarios()
    traffic = np.array([scenario.traffic for scenario in scenarios])
    traffic = traffic / traffic.sum()
    slate = np.array([scenario.slate for scenario in scenarios])
    mean_sessions = world.size.sessions_per_day * world.size.days
    share = rate * world.size.exposures_per_user / (mean_sessions * float(traffic @ slate))
    session = np.flatnonzero(rng.random(len(sessions.user)) < share)
    scenario = rng.choice(len(scenarios), size=len(session), p=traffic)
    moment = (rng.uniform(0.02, 1.1, size=len(session)) * length[session]).astype(np.int64) + 1_000
    searching = np.array([entry.kind == "search" for entry in scenarios])[scenario]
    leaf = _query_leaves(users, sessions, session, rng)
    theme = np.where(rng.random(len(session)) < 0.4, rng.integers(0, world.items.themes.shape[1], len(session)), -1)
    return Requests(
        session=session,
        user=sessions.user[session],
        day=sessions.day[session],
        time=sessions.start[session] + moment,
        scenario=scenario,
        query_leaf=np.where(searching, leaf, -1),
        query_theme=np.where(searching, theme, -1),
        random=rng.random(len(session)) < RANDOM_SHARE,
    )


def make_slates(
    world: World, users: Users, requests: Requests, rng: np.random.Generator, *, slate: int | None = None
) -> Slates:
    """The items shown, drawn position by position without repetition, and one of their creatives each.

    Args:
        world: the world.
        users: the chunk's users.
        requests: who asks, and where.
        rng: random numbers.
        slate: items per request; None for as many as the scenario shows.
    """
    scenarios = load_scenarios()
    sizes = np.array([slate or scenario.slate for scenario in scenarios])[requests.scenario]
    width = int(sizes.max(initial=1))
    item = np.full((len(sizes), width), -1, dtype=np.int64)
    chance = np.zeros((len(sizes), width))
    error = rng.normal(scale=0.5, size=users.interest.shape).astype(np.float32)
    pools = np.array([POOLS[scenario.kind] for scenario in scenarios])[requests.scenario]
    for pool in ("all", "games", "ads"):
        for uniform in (False, True):
            rows = np.flatnonzero((pools == pool) & (requests.random == uniform))
            if len(rows):
                item[rows], chance[rows] = _draw(
                    world, users, requests, rows, pool=pool, uniform=uniform, error=error, width=width, rng=rng
                )
    shown = np.arange(width)[None, :] < sizes[:, None]
    request, position = np.nonzero(shown)
    chosen = item[shown]
    first = world.creatives.first
    creative = first[chosen] + (rng.random(len(chosen)) * (first[chosen + 1] - first[chosen])).astype(np.int64)
    return Slates(request, position, chosen, creative, chance[shown])


def leaf_shares(
    world: World, users: Users, requests: Requests, rows: Ints, *, pool: str, error: Floats
) -> NDArray[np.float64]:
    """[rows, leaves] how the policy spreads a request over leaves.

    A mixture of the pool's popularity and of a softmax over what the policy believes of the user: interest seen with
    an error, profile, a stale focus, and what the user does at any time of the week. In search, most goes to the
    query's leaf and its siblings.
    """
    taxonomy = load_taxonomy()
    user, day = requests.user[rows], requests.day[rows]
    mass = world.market.policy[pool].mass()[day]
    popular = mass / mass.sum(axis=1, keepdims=True)
    focus = users.focus[user, np.maximum(day - STALE_DAYS, 0)]
    usual = taxonomy.similarity[users.routine].mean(axis=1)
    belief = 2.0 * (users.interest + error)[user] + 0.4 * users.affinity[user] + 1.2 * taxonomy.similarity[focus]
    belief = belief + 4.0 * usual[user]
    personal = _normalised(np.exp(belief) * popular)
    share = 0.6 * personal + 0.4 * popular
    asked = requests.query_leaf[rows]
    searching = np.flatnonzero((asked >= 0) & (mass[np.arange(len(rows)), asked] > 0))
    if len(searching):
        near = _normalised((taxonomy.similarity[asked[searching]] >= 0.2) * popular[searching])
        share[searching] = 0.25 * share[searching] + 0.25 * near
        share[searching, asked[searching]] += 0.5
    return _normalised(share * (mass > 0))


def _draw(
    world: World,
    users: Users,
    requests: Requests,
    rows: Ints,
    *,
    pool: str,
    uniform: bool,
    error: Floats,
    width: int,
    rng: np.random.Generator,
) -> tuple[Ints, NDArray[np.float64]]:
    """Items and propensities [rows, width], by redrawing what a slate already holds.

    Redrawing until an item is new equals drawing from the policy renormalised over the items not yet shown, so the
    propensity is p(item) / (1 - sum of p over the items above).
    """
    table = world.market.uniform[pool] if uniform else world.market.policy[pool]
    day = requests.day[rows]
    mass = table.mass()[day]
    shares = _normalised(mass) if uniform else leaf_shares(world, users, requests, rows, pool=pool, error=error)
    sums = np.cumsum(shares, axis=1)
    line = np.arange(len(rows))
    flat = (sums / sums[:, -1:] + line[:, None]).ravel()
    item = np.full((len(rows), width), -1, dtype=np.int64)
    chance = np.zeros((len(rows), width))
    for position in range(width):
        open_rows = line
        while len(open_rows):
            leaf = _draw_leaf(flat, open_rows, shares, rng)
            drawn = table.draw(day[open_rows], leaf, rng.random(len(open_rows)))
            item[open_rows, position] = drawn
            chance[open_rows, position] = (
                shares[open_rows, leaf] * table.weight(day[open_rows], drawn) / mass[open_rows, leaf]
            )
            again = (item[open_rows, :position] == drawn[:, None]).any(axis=1)
            open_rows = open_rows[again]
    above = np.cumsum(chance, axis=1) - chance
    return item, chance / (1.0 - above)


def _draw_leaf(flat: NDArray[np.float64], rows: Ints, shares: NDArray[np.float64], rng: np.random.Generator) -> Ints:
    """A leaf for each of `rows`; never one without a share, whatever the rounding."""
    leaves = shares.shape[1]
    leaf = np.minimum(np.searchsorted(flat, rows + rng.random(len(rows)), side="right") - rows * leaves, leaves - 1)
    return np.asarray(np.where(shares[rows, leaf] > 0, leaf, shares[rows].argmax(axis=1)))


def _query_leaves(users: Users, sessions: Sessions, session: Ints, rng: np.random.Generator) -> Ints:
    """Mostly what the session is after, else an interest."""
    user = sessions.user[session]
    rank = rng.integers(0, users.interest_leaf.shape[1], size=len(session))
    return np.where(rng.random(len(session)) < 0.7, sessions.intent[session], users.interest_leaf[user, rank])


def _normalised(weights: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)
