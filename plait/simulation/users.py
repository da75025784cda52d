"""Users: what stands in their profile, and the latents behind what they do."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plait.seeding import generator
from plait.simulation.catalogue import Creatives, Items, leaf_popularity
from plait.simulation.objectives import OBJECTIVES
from plait.simulation.sizes import Size
from plait.simulation.tables import Market
from plait.simulation.taxonomy import load_taxonomy

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

FIRST_USER = 1_000_000
INTEREST_WEIGHTS = np.array([0.30, 0.22, 0.17, 0.13, 0.10, 0.08])
"""How a user's interest is spread over their leaves."""
ROUTINES = 6
"""How many leaves a user's routines are about."""
BLOCKS = 3
"""Parts of a day: morning (6-12), afternoon (12-18), evening (18-24)."""
SLOTS = 7 * BLOCKS
LOYALTIES = 4
"""How many developers a user is loyal to."""
FOCUS_DAYS = 6.0
"""Mean length of a focus."""
AGES = ((16, 22), (23, 29), (30, 39), (40, 49), (50, 70))
DEVICES = ("entry", "mid", "high", "flagship")
LANGUAGES = ("zh", "en")


@dataclass(frozen=True, slots=True)
class ProfileEffects:
    """How profiles move tastes: one row per profile value (ages, genders, city tiers, devices)."""

    middle: Floats
    """[values, second-level categories]."""
    themes: Floats
    """[values, themes]."""
    looks: Floats
    """[values, creative attributes]."""
    wealth: float
    """Readiness to pay for each step in the price of the device."""


@dataclass(frozen=True, slots=True)
class Users:
    """The users of one chunk; latents by row."""

    index: Ints
    """Row of each user in the whole world; `user_id` is that + FIRST_USER."""
    profile: dict[str, NDArray[np.generic]]
    """Columns of the users table."""
    affinity: Floats
    """[users, leaves] profile x category, standard deviation about 1."""
    interest_leaf: Ints
    """[users, 6] leaves of static interest, the strongest first."""
    interest: Floats
    """[users, leaves] interest with siblings included; 1 at the strongest leaf or above."""
    focus: Ints
    """[users, days] the leaf in focus on each day."""
    routine: Ints
    """[users, slots] leaf of the routine in each weekday x part of the day."""
    loyal: Ints
    """[users, 4] developers."""
    taste: Floats
    """[users, items] text affinity: user taste x item themes."""
    look: Floats
    """[users, creative attributes] taste for creatives."""
    activity: Floats
    """[users, objectives] readiness."""
    sessions: Floats
    """Mean number of sessions a day."""
    blocks: Floats
    """[users, 3] share of sessions in each part of the day."""


def profile_effects(seed: int, items: Items, creatives: Creatives, *, on: bool = True) -> ProfileEffects:
    """The effects of a world; all 0 unless they are `on`, so that a profile then tells nothing of anything."""
    rng = generator(seed, "profile-effects")
    values = len(AGES) + 2 + 5 + len(DEVICES)
    middles = int(load_taxonomy().middle.max()) + 1
    looks = creatives.attributes.shape[1]
    size = np.float32(1.0 if on else 0.0)
    return ProfileEffects(
        wealth=0.7 * float(size),
        middle=size * rng.normal(scale=0.5, size=(values, middles)).astype(np.float32),
        themes=size * rng.normal(scale=0.45, size=(values, items.themes.shape[1])).astype(np.float32),
        looks=size * rng.normal(scale=0.45, size=(values, looks)).astype(np.float32),
    )


def make_users(
    index: Ints, seed: int, size: Size, *, items: Items, market: Market, effects: ProfileEffects, stream: str
) -> Users:
    """The users `index`, from the random stream called `stream`."""
    rng = generator(seed, "users", stream)
    count = len(index)
    profile, onehot = _profiles(rng, count)
    affinity = (onehot @ effects.middle)[:, load_taxonomy().middle]
    wanted = np.log(leaf_popularity(seed))[None, :] + 0.6 * affinity
    interest_leaf = _top(wanted + rng.gumbel(size=wanted.shape), len(INTEREST_WEIGHTS))
    taste = onehot @ effects.themes + rng.normal(scale=0.8, size=(count, items.themes.shape[1]))
    rest = {
        "look": onehot @ effects.looks + rng.normal(scale=0.8, size=(count, effects.looks.shape[1])),
        "sessions": np.exp(rng.normal(-0.045, 0.3, size=count)) * size.sessions_per_day,
        "blocks": rng.dirichlet([2.0, 2.5, 4.0], size=count),
        "activity": _activity(rng, profile, effects.wealth),
    }
    return Users(
        index=index,
        profile=profile,
        affinity=affinity,
        interest_leaf=interest_leaf,
        interest=_interest(interest_leaf),
        focus=_focus(rng, wanted, size.days),
        routine=_routines(rng, wanted),
        loyal=_loyalties(rng, count, market),
        taste=(taste.astype(np.float32) @ items.themes.T),
        **{name: value.astype(np.float32) for name, value in rest.items()},
    )


def _profiles(rng: np.random.Generator, count: int) -> tuple[dict[str, NDArray[np.generic]], Floats]:
    """Columns of the users table, and the one-hot rows that effects act on."""
    age_group = rng.choice(len(AGES), size=count, p=[0.22, 0.28, 0.25, 0.15, 0.10])
    gender = rng.integers(0, 2, size=count)
    tier = rng.choice(5, size=count, p=[0.15, 0.2, 0.25, 0.22, 0.18])
    device = rng.choice(len(DEVICES), size=count, p=[0.25, 0.35, 0.25, 0.15])
    low, high = np.array(AGES).T
    profile: dict[str, NDArray[np.generic]] = {
        "age": rng.integers(low[age_group], high[age_group] + 1),
        "gender": np.array(["female", "male"])[gender],
        "city_tier": np.array(["1", "2", "3", "4", "5"])[tier],
        "device": np.array(DEVICES)[device],
        "language": np.array(LANGUAGES)[(rng.random(count) < 0.12).astype(int)],
    }
    offsets = (age_group, gender + len(AGES), tier + len(AGES) + 2, device + len(AGES) + 7)
    onehot = np.zeros((count, len(AGES) + 7 + len(DEVICES)), dtype=np.float32)
    for column in offsets:
        onehot[np.arange(count), column] = 1.0
    return profile, onehot


def _activity(rng: np.random.Generator, profile: dict[str, NDArray[np.generic]], effect: float) -> NDArray[np.float64]:
    """Readiness in general, for each objective of its own, and to pay, which dear devices tell."""
    count = len(profile["age"])
    names = [objective.name for objective in OBJECTIVES]
    activity = rng.normal(size=(count, 1)) + 0.4 * rng.normal(size=(count, len(names)))
    price = np.array([DEVICES.index(str(device)) for device in profile["device"]])
    activity[:, names.index("pay")] += effect * (price - 1.3)
    activity[:, names.index("dislike")] = rng.normal(size=count)
    activity[:, names.index("uninstall")] = rng.normal(size=count)
    return np.asarray(activity, dtype=np.float64)


def _interest(leaves: Ints) -> Floats:
    weights = (INTEREST_WEIGHTS / INTEREST_WEIGHTS[0]).astype(np.float32)
    return np.asarray(np.einsum("k,ukl->ul", weights, load_taxonomy().similarity[leaves]), dtype=np.float32)


def _focus(rng: np.random.Generator, wanted: NDArray[np.float64], days: int) -> Ints:
    """A leaf for each day; it changes with probability 1 / FOCUS_DAYS a day."""
    count = len(wanted)
    change = rng.random((count, days)) < 1.0 / FOCUS_DAYS
    change[:, 0] = True
    fresh = _choose(rng, wanted, days)
    last = np.maximum.accumulate(np.where(change, np.arange(days)[None, :], 0), axis=1)
    return np.take_along_axis(fresh, last, axis=1)


def _routines(rng: np.random.Generator, wanted: NDArray[np.float64]) -> Ints:
    """Each slot gets one of the user's few routine leaves."""
    leaves = _choose(rng, wanted, ROUTINES)
    return np.take_along_axis(leaves, rng.integers(0, ROUTINES, size=(len(wanted), SLOTS)), axis=1)


def _loyalties(rng: np.random.Generator, count: int, market: Market) -> Ints:
    """Developers with something to offer from the first day on."""
    share = np.sqrt(market.developer.mass()[0])
    return rng.choice(len(share), size=(count, LOYALTIES), p=share / share.sum())


def _choose(rng: np.random.Generator, log_weights: NDArray[np.float64], draws: int) -> Ints:
    """[rows, draws] independent draws from each row's softmax."""
    weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
    sums = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
    row = np.arange(len(sums))[:, None]
    place = np.searchsorted((sums + row).ravel(), (row + rng.random((len(sums), draws)) * (1 - 1e-9)).ravel())
    return np.asarray(np.minimum(place.reshape(len(sums), draws) - row * sums.shape[1], sums.shape[1] - 1))


def _top(scores: NDArray[np.float64], count: int) -> Ints:
    """Columns of the `count` highest scores of each row, the highest first."""
    return np.argsort(-scores, axis=1)[:, :count]
