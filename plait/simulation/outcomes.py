"""True probabilities, and what happened after each exposure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plait.seeding import generator
from plait.simulation.behaviour import make_sessions
from plait.simulation.objectives import HOUR, LATE_POSTBACK, OBJECTIVES, parent_indices
from plait.simulation.parts import linear_logits, part_weights, raw_parts
from plait.simulation.policy import make_requests, make_slates
from plait.simulation.scenarios import load_scenarios
from plait.simulation.users import Floats, Ints
from plait.simulation.world import World

PILOT_USERS = (150, 400)
"""Least and most users, outside the world, on whom the intercepts are calibrated."""
PILOT_EXPOSURES = 180.0
"""Exposures of each of them."""
LATE_SHARE = 0.2
"""Share of the advertisers' reports that arrive late."""
_RATE_SPREAD = 0.2
"""Standard deviation of the log-odds by which a scenario's rates differ from the objective's."""


@dataclass(frozen=True, slots=True)
class Truth:
    """How a world turns parts into probabilities."""

    weights: Floats
    """[scenarios, objectives, parts]."""
    intercepts: Floats
    """[scenarios, objectives]."""


@dataclass(frozen=True, slots=True)
class Happened:
    """What followed the exposures: one row per behaviour."""

    exposure: Ints
    """Row of the exposure."""
    objective: NDArray[np.int8]
    time: Ints
    received: Ints
    value: Floats


def calibrate(world: World) -> Truth:
    """Weights, and the intercepts that give every scenario and objective its base rate.

    The rates hold in the mean over the logging policy's exposures of pilot users of the same kind.
    """
    weights = part_weights(world.strengths, world.seed)
    users = world.users(np.arange(np.clip(world.size.users, *PILOT_USERS)), "pilot")
    rng = generator(world.seed, "pilot")
    sessions = make_sessions(world, users, rng)
    rate = PILOT_EXPOSURES / world.size.exposures_per_user
    requests = make_requests(world, users, sessions, sessions.events * 60_000, rng, rate=rate)
    slates = make_slates(world, users, requests, rng)
    exposed = raw_parts(world, users, sessions, requests, slates)
    logits = linear_logits(world, users, exposed, weights)
    targets = _target_rates(world.seed)
    intercepts = np.zeros_like(targets)
    order = np.argsort(exposed.scenario, kind="stable")
    bounds = np.searchsorted(exposed.scenario[order], np.arange(len(targets) + 1))
    for scenario in range(len(targets)):
        rows = order[bounds[scenario] : bounds[scenario + 1]]
        intercepts[scenario] = _intercepts(logits[rows], targets[scenario])
    return Truth(weights, intercepts.astype(np.float32))


def conditional_probabilities(logits: Floats, scenario: Ints, truth: Truth) -> NDArray[np.float64]:
    """[exposures, objectives] P(objective | its parent happened)."""
    return np.asarray(1.0 / (1.0 + np.exp(-(logits + truth.intercepts[scenario]).astype(np.float64))))


def marginal_probabilities(conditional: NDArray[np.float64]) -> NDArray[np.float64]:
    """[exposures, objectives] P(objective), the product down the funnel."""
    marginal = conditional.copy()
    for objective, parent in enumerate(parent_indices()):
        if parent >= 0:
            marginal[:, objective] *= marginal[:, parent]
    return marginal


def happen(conditional: NDArray[np.float64], shown: Ints, rng: np.random.Generator) -> Happened:
    """Draws each objective where its parent happened, and when: a log-normal delay after the parent.

    Args:
        conditional: [exposures, objectives].
        shown: time of each exposure, epoch ms.
        rng: random numbers.
    """
    rows, codes, times, late, values = [], [], [], [], []
    done: list[tuple[Ints, Ints]] = []
    for objective, parent in enumerate(parent_indices()):
        entry = OBJECTIVES[objective]
        candidates, since = done[parent] if parent >= 0 else (np.arange(len(shown)), shown)
        yes = rng.random(len(candidates)) < conditional[candidates, objective]
        delay = entry.minimum + entry.delay * np.exp(entry.spread * rng.standard_normal(int(yes.sum())))
        row, time = candidates[yes], since[yes] + delay.astype(np.int64) + 1
        done.append((row, time))
        rows.append(row)
        codes.append(np.full(len(row), objective, dtype=np.int8))
        times.append(time)
        late.append(_received(time, entry.name, rng))
        values.append(_value(len(row), entry.name, rng))
    return Happened(*(np.concatenate(part) for part in (rows, codes, times, late, values)))


def _target_rates(seed: int) -> NDArray[np.float64]:
    """[scenarios, objectives] P(objective | parent) in the mean."""
    scenarios = load_scenarios()
    rates = np.tile([objective.rate for objective in OBJECTIVES], (len(scenarios), 1))
    odds = np.log(rates / (1 - rates)) + generator(seed, "rates").normal(scale=_RATE_SPREAD, size=rates.shape)
    rates = 1.0 / (1.0 + np.exp(-odds))
    click = [objective.name for objective in OBJECTIVES].index("click")
    rates[:, click] = [scenario.click for scenario in scenarios]
    return np.asarray(rates)


def _intercepts(logits: Floats, rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intercepts at which the mean of each conditional probability, weighted by its parent's, is its rate."""
    marginal = np.ones((len(logits), len(OBJECTIVES) + 1))
    found = np.zeros(len(OBJECTIVES))
    for objective, parent in enumerate(parent_indices()):
        weight = marginal[:, parent]
        low, high = -30.0, 30.0
        for _ in range(40):
            middle = (low + high) / 2
            conditional = 1.0 / (1.0 + np.exp(-(logits[:, objective] + middle)))
            if (conditional * weight).sum() < rates[objective] * weight.sum():
                low = middle
            else:
                high = middle
        found[objective] = (low + high) / 2
        marginal[:, objective] = weight / (1.0 + np.exp(-(logits[:, objective] + found[objective])))
    return found


def _received(time: Ints, name: str, rng: np.random.Generator) -> Ints:
    """When the platform learns of it: at once, but for a share of the advertisers' reports."""
    if name not in LATE_POSTBACK:
        return time
    late = rng.random(len(time)) < LATE_SHARE
    return time + np.where(late, rng.standard_exponential(len(time)) * 4 * HOUR, 0.0).astype(np.int64)


def _value(count: int, name: str, rng: np.random.Generator) -> Floats:
    if name != "pay":
        return np.full(count, np.nan, dtype=np.float32)
    return np.round(12.0 * np.exp(rng.standard_normal(count)), 2).astype(np.float32)
