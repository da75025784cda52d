"""The parts of the true logit, and how each scenario and objective weighs them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plait.seeding import generator
from plait.simulation.behaviour import Sessions
from plait.simulation.objectives import OBJECTIVES
from plait.simulation.policy import Requests, Slates
from plait.simulation.scenarios import KINDS, load_scenarios
from plait.simulation.strengths import Strengths
from plait.simulation.taxonomy import load_taxonomy
from plait.simulation.users import Floats, Users
from plait.simulation.world import World

PARTS = (
    "quality",
    "activity",
    "interest",
    "profile",
    "drift",
    "session_intent",
    "habit",
    "loyalty",
    "creative_taste",
    "creative_appeal",
    "text",
    "position_bias",
    "query_match",
)
"""The parts in the order of every array below; each has a strength of the same name."""

GAINS = {
    "quality": 0.5,
    "activity": 0.35,
    "interest": 1.1,
    "profile": 0.3,
    "drift": 1.3,
    "session_intent": 1.2,
    "habit": 2.7,
    "loyalty": 2.8,
    "creative_taste": 0.38,
    "creative_appeal": 0.35,
    "text": 0.3,
    "position_bias": 1.0,
    "query_match": 0.9,
}
"""Logit of one unit of each part at strength 1. Fixed with the version of the strengths."""

_KIND_TILT = {
    "search": {"query_match": 0.4, "session_intent": 0.3, "creative_taste": -0.8, "creative_appeal": -0.8},
    "ads": {"creative_taste": 0.7, "creative_appeal": 0.7, "profile": 0.3, "habit": -0.6, "quality": -0.4},
    "games": {"habit": 0.6, "loyalty": 0.5, "text": 0.4, "profile": -0.4},
    "recommendation": {"interest": 0.3, "drift": 0.3, "query_match": 0.0},
}
"""Log weights by kind of scenario, times the strength of the contrast."""

_OBJECTIVE_TILT = {
    "click": {"session_intent": 0.5, "drift": 0.3, "loyalty": -0.3},
    "download": {"interest": 0.3, "quality": 0.3, "session_intent": -0.3},
    "return_1d": {"habit": 0.7, "interest": 0.4, "session_intent": -1.2, "quality": 0.3},
    "pay": {"profile": 0.7, "loyalty": 0.7, "activity": 0.6, "session_intent": -1.2, "drift": -0.6},
    "register": {"profile": 0.3, "text": 0.3, "session_intent": -0.6},
    "uninstall": {"quality": 0.6, "interest": 0.4, "session_intent": -1.2},
    "dislike": {"profile": 0.3, "text": 0.5, "habit": -0.5},
}
"""Log weights by objective, times the strength of the contrast."""

CONTRAST = 0.5
"""Size of the log weights below at strength 1."""

_SCENARIO_SPREAD = 0.5
"""Standard deviation of each scenario's own log weights, times the strength of the contrast."""


@dataclass(frozen=True, slots=True)
class Exposed:
    """The exposures of a chunk with the row of everything they refer to."""

    user: NDArray[np.int64]
    scenario: NDArray[np.int64]
    parts: Floats
    """[exposures, parts] raw parts, before gains, strengths and weights."""


def raw_parts(world: World, users: Users, sessions: Sessions, requests: Requests, slates: Slates) -> Exposed:
    """Every part of every exposure (`docs/simulation.md`, "The true probability")."""
    similarity = load_taxonomy().similarity
    request, item = slates.request, slates.item
    user, session, day = requests.user[request], requests.session[request], requests.day[request]
    leaf = world.items.leaf[item]
    look = world.creatives.attributes[slates.creative]
    appeal = generator(world.seed, "appeal").normal(size=(look.shape[1],)).astype(np.float32)
    columns = {
        "quality": world.items.quality[item],
        "activity": np.zeros(len(item)),
        "interest": users.interest[user, leaf],
        "profile": users.affinity[user, leaf],
        "drift": similarity[users.focus[user, day], leaf],
        "session_intent": similarity[sessions.intent[session], leaf],
        "habit": similarity[users.routine[user, sessions.slot[session]], leaf],
        "loyalty": (users.loyal[user] == world.items.developer[item][:, None]).any(axis=1),
        "creative_taste": (users.look[user] * look).sum(axis=1),
        "creative_appeal": look @ appeal,
        "text": users.taste[user, item],
        "position_bias": -np.log2(1.0 + slates.position),
        "query_match": _query_match(world, requests, request, leaf, item),
    }
    parts = np.stack([np.asarray(columns[name], dtype=np.float32) for name in PARTS], axis=1)
    return Exposed(user, requests.scenario[request], parts)


def part_weights(strengths: Strengths, seed: int) -> Floats:
    """[scenarios, objectives, parts]: gain x strength x structure x contrast."""
    scenarios = load_scenarios()
    gain = np.array([GAINS[name] * getattr(strengths, name) for name in PARTS])
    structure = np.array([[_structure(name, row) for name in PARTS] for row in range(len(OBJECTIVES))])
    tilt = np.array([[_OBJECTIVE_TILT.get(entry.name, {}).get(name, 0.0) for name in PARTS] for entry in OBJECTIVES])
    kind = np.array([[_KIND_TILT[name].get(part, 0.0) for part in PARTS] for name in KINDS])
    own = generator(seed, "scenario-weights").normal(scale=_SCENARIO_SPREAD, size=(len(scenarios), len(PARTS)))
    by_scenario = kind[[KINDS.index(scenario.kind) for scenario in scenarios]] + own
    contrast = np.asarray(by_scenario[:, None, :] + tilt[None, :, :])
    contrast *= CONTRAST * strengths.scenario_contrast
    position = PARTS.index("position_bias")
    contrast[:, :, position] = np.log([max(scenario.position, 1e-9) for scenario in scenarios])[:, None]
    return np.asarray(gain * structure * np.exp(contrast), dtype=np.float32)


def linear_logits(world: World, users: Users, exposed: Exposed, weights: Floats) -> Floats:
    """[exposures, objectives] sums of the weighted parts, without the intercepts that calibrate them."""
    activity = PARTS.index("activity")
    logits = np.empty((len(exposed.user), len(OBJECTIVES)), dtype=np.float32)
    for objective in range(len(OBJECTIVES)):
        chosen = weights[exposed.scenario, objective]
        own = chosen[:, activity] * users.activity[exposed.user, objective]
        logits[:, objective] = np.einsum("np,np->n", chosen, exposed.parts) + own
    return logits


def _structure(part: str, objective: int) -> float:
    """What an objective takes from a part before any contrast: the sense of it and its rough size."""
    entry = OBJECTIVES[objective]
    if part == "position_bias":
        return entry.attention
    if part.startswith("creative"):
        return entry.look
    if part == "activity":
        return 0.3 if entry.name == "impression" else 1.0
    return entry.affinity


def _query_match(
    world: World, requests: Requests, request: NDArray[np.int64], leaf: NDArray[np.int64], item: NDArray[np.int64]
) -> Floats:
    """1 for the leaf asked for, less for siblings, half a point more for the theme asked for; 0 outside search."""
    asked, theme = requests.query_leaf[request], requests.query_theme[request]
    fits = np.where(asked >= 0, load_taxonomy().similarity[np.maximum(asked, 0), leaf], 0.0)
    themed = np.where(theme >= 0, world.items.themes[item, np.maximum(theme, 0)] > 0, False)
    return np.asarray(fits + 0.5 * themed, dtype=np.float32)
