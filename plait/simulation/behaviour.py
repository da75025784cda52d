"""Sessions, and what users do in them by themselves: the organic behaviours."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plait.simulation.catalogue import leaf_popularity
from plait.simulation.users import BLOCKS, INTEREST_WEIGHTS, LOYALTIES, Floats, Ints, Users
from plait.simulation.world import DAY_MS, START, World

SHARES = {"interest": 0.18, "drift": 0.15, "session_intent": 0.26, "habit": 0.25, "loyalty": 0.07}
"""Share of organic behaviours that each ingredient brings about; the rest follows what is popular."""
ACTIONS = ("use", "view", "search", "download", "update", "favourite", "pay")
ACTION_SHARES = np.array([0.56, 0.20, 0.08, 0.06, 0.06, 0.02, 0.02])
GAP_MS = 70_000.0
"""Mean time between two behaviours of a session."""
LATE_SHARE = 0.02
"""Share of organic behaviours that reach the platform late."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions in order of user and day."""

    user: Ints
    day: Ints
    slot: Ints
    """Weekday x part of the day."""
    start: Ints
    """Epoch ms."""
    intent: Ints
    """Leaf the user is after."""
    events: Ints
    """Number of organic behaviours, at least one."""


@dataclass(frozen=True, slots=True)
class Organic:
    """Organic behaviours in order of session and time."""

    session: Ints
    time: Ints
    item: Ints
    action: NDArray[np.int8]
    value: Floats
    """Minutes of use or currency units paid; NaN for other actions."""
    received: Ints
    """Epoch ms; equal to `time` where it arrived at once."""


def make_sessions(world: World, users: Users, rng: np.random.Generator) -> Sessions:
    """All sessions of a chunk over the whole log."""
    count, days = len(users.index), world.size.days
    sessions = rng.poisson(np.repeat(users.sessions[:, None], days, axis=1)).ravel()
    cell = np.repeat(np.arange(count * days), sessions)
    user, day = np.divmod(cell, days)
    total = len(cell)
    edges = np.cumsum(users.blocks, axis=1)[:, :-1]
    block = (rng.random(total, dtype=np.float32)[:, None] > edges[user]).sum(axis=1)
    offset = ((6 + 6 * block + 5.75 * rng.random(total)) * 3_600_000).astype(np.int64)
    return Sessions(
        user=user,
        day=day,
        slot=(day % 7) * BLOCKS + block,
        start=START + day * DAY_MS + offset,
        intent=_intents(world, users, user, day, rng),
        events=1 + rng.poisson(world.size.events_per_session - 1.0, size=total),
    )


def make_organic(world: World, users: Users, sessions: Sessions, rng: np.random.Generator) -> Organic:
    """All organic behaviours of a chunk."""
    session = np.repeat(np.arange(len(sessions.user)), sessions.events)
    total = len(session)
    gaps = (rng.standard_exponential(total, dtype=np.float32) * GAP_MS).astype(np.int64) + 1
    passed = np.cumsum(gaps)
    first = np.concatenate([[0], np.cumsum(sessions.events)[:-1]])
    time = sessions.start[session] + passed - (passed - gaps)[first][session]
    action = np.searchsorted(np.cumsum(ACTION_SHARES), rng.random(total, dtype=np.float32)).astype(np.int8)
    np.minimum(action, len(ACTIONS) - 1, out=action)
    received = time.copy()
    late = np.flatnonzero(rng.random(total, dtype=np.float32) < LATE_SHARE)
    received[late] += (rng.standard_exponential(len(late)) * 3 * 3_600_000).astype(np.int64)
    return Organic(
        session=session,
        time=time,
        item=_items(world, users, sessions, session, rng),
        action=action,
        value=_values(action, rng),
        received=received,
    )


def shares(world: World) -> NDArray[np.float64]:
    """Running sums of the shares of the ingredients that are switched on."""
    on = [share if getattr(world.strengths, name) != 0 else 0.0 for name, share in SHARES.items()]
    return np.cumsum(on)


def _intents(world: World, users: Users, user: Ints, day: Ints, rng: np.random.Generator) -> Ints:
    """Mostly something new; sometimes an interest or the focus."""
    sums = np.cumsum(leaf_popularity(world.seed))
    fresh = np.minimum(np.searchsorted(sums, rng.random(len(user))), len(sums) - 1)
    kind = rng.random(len(user), dtype=np.float32)
    rank = rng.integers(0, users.interest_leaf.shape[1], size=len(user))
    interest = 0.25 if world.strengths.interest != 0 else 0.0
    focus = 0.10 if world.strengths.drift != 0 else 0.0
    known = np.where(kind < interest, users.interest_leaf[user, rank], users.focus[user, day])
    return np.where(kind < interest + focus, known, fresh)


def _items(world: World, users: Users, sessions: Sessions, session: Ints, rng: np.random.Generator) -> Ints:
    """The item of each behaviour: an ingredient names a leaf (or developer), popularity and taste the item."""
    total = len(session)
    ingredient = np.searchsorted(shares(world), rng.random(total, dtype=np.float32), side="right")
    user, day = sessions.user[session], sessions.day[session]
    draws = rng.random((2, total), dtype=np.float32)
    rows = [np.flatnonzero(ingredient == kind) for kind in range(len(SHARES) + 1)]
    leaf = np.full(total, -1, dtype=np.int64)
    rank = np.searchsorted(np.cumsum(INTEREST_WEIGHTS), rng.random(len(rows[0]), dtype=np.float32))
    leaf[rows[0]] = users.interest_leaf[user[rows[0]], np.minimum(rank, len(INTEREST_WEIGHTS) - 1)]
    leaf[rows[1]] = users.focus[user[rows[1]], day[rows[1]]]
    leaf[rows[2]] = sessions.intent[session[rows[2]]]
    leaf[rows[3]] = users.routine[user[rows[3]], sessions.slot[session[rows[3]]]]
    item = np.empty(total, dtype=np.int64)
    loyal, popular = rows[4], rows[5]
    developer = users.loyal[user[loyal], rng.integers(0, LOYALTIES, size=len(loyal))]
    item[loyal] = world.market.developer.draw(day[loyal], developer, draws[0, loyal])
    item[popular] = world.market.organic.draw_any(day[popular], draws[0, popular])
    by_leaf = np.flatnonzero(leaf >= 0)
    item[by_leaf] = _preferred(
        world, users, user=user[by_leaf], day=day[by_leaf], leaf=leaf[by_leaf], draws=draws[:, by_leaf]
    )
    return item


def _preferred(world: World, users: Users, *, user: Ints, day: Ints, leaf: Ints, draws: Floats) -> Ints:
    """Of two items drawn from the leaf, the one whose themes the user likes better."""
    one = world.market.organic.draw(day, leaf, draws[0])
    if world.strengths.text == 0:
        return one
    other = world.market.organic.draw(day, leaf, draws[1])
    return np.where(users.taste[user, one] >= users.taste[user, other], one, other)


def _values(action: NDArray[np.int8], rng: np.random.Generator) -> Floats:
    value = np.full(len(action), np.nan, dtype=np.float32)
    for name, median, spread in (("use", 6.0, 0.9), ("pay", 12.0, 1.0)):
        rows = np.flatnonzero(action == ACTIONS.index(name))
        draws = np.exp(spread * rng.standard_normal(len(rows), dtype=np.float32)) * median
        value[rows] = np.round(draws, 2)
    return value
