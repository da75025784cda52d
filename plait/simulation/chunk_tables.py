"""The files of one chunk: users, exposures, behaviours, and the truth about them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plait.schema import Columns as C
from plait.seeding import generator
from plait.simulation.behaviour import ACTIONS
from plait.simulation.catalogue import FIRST_CREATIVE, FIRST_ITEM
from plait.simulation.chunk import Chunk, simulate_chunk
from plait.simulation.objectives import OBJECTIVES
from plait.simulation.outcomes import Truth, marginal_probabilities
from plait.simulation.parts import PARTS, Exposed
from plait.simulation.policy import Requests
from plait.simulation.scenarios import load_scenarios
from plait.simulation.taxonomy import load_taxonomy
from plait.simulation.users import FIRST_USER, Users
from plait.simulation.wording import query_text, theme_ways
from plait.simulation.world import World
from plait.simulation.writer import labelled, write_parquet

_MOST_PER_CHUNK = 10_000_000
"""Ids of a chunk's requests and exposures start at chunk x this."""
ALL_ACTIONS = list(dict.fromkeys([*(objective.name for objective in OBJECTIVES), *ACTIONS]))
"""Every action of the behaviours table."""


def chunk_files(folder: Path, chunk: int) -> dict[str, Path]:
    """The files of a chunk, by table, in the order of writing."""
    part = f"part-{chunk:05d}.parquet"
    return {
        "users": folder / "users" / part,
        "truth_users": folder / "truth" / "users" / part,
        "truth_exposures": folder / "truth" / "exposures" / part,
        "exposures": folder / "exposures" / part,
        "behaviours": folder / "behaviours" / part,
    }


def first_id(number: int) -> int:
    """The id of the first exposure of chunk `number`, and of its first request; the others follow one by one."""
    return number * _MOST_PER_CHUNK + 1


def write_chunk(world: World, truth: Truth, folder: Path, number: int) -> None:
    """Simulate chunk `number` and write its files, unless they are all there."""
    files = chunk_files(folder, number)
    if all(path.exists() for path in files.values()):
        return
    chunk = simulate_chunk(world, truth, number)
    first = first_id(number)
    write_parquet(files["users"], {C.USER_ID: chunk.users.index + FIRST_USER, **chunk.users.profile})
    write_parquet(files["truth_users"], _latents(chunk.users))
    write_parquet(files["truth_exposures"], _truth_columns(first, chunk.exposed, chunk.conditional))
    write_parquet(files["exposures"], _exposure_columns(first, chunk, generator(world.seed, "queries", number)))
    write_parquet(files["behaviours"], _behaviour_columns(world, first, chunk))


def _latents(users: Users) -> dict[str, Any]:
    """The truth about the users, as list columns."""
    return {
        C.USER_ID: users.index + FIRST_USER,
        "interest_leaves": _lists(users.interest_leaf),
        "focus_by_day": _lists(users.focus),
        "routine_by_slot": _lists(users.routine),
        "loyal_developers": _lists(users.loyal),
        "look": _lists(users.look),
        "activity": _lists(users.activity),
        "sessions_per_day": users.sessions,
    }


def _lists(matrix: NDArray[Any]) -> pa.Array:
    offsets = np.arange(0, matrix.size + 1, matrix.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(matrix.ravel()))


def _truth_columns(first: int, exposed: Exposed, conditional: NDArray[np.float64]) -> dict[str, Any]:
    """p_<objective>: P(label = 1); q_<objective>: given its parent; part_<name>: the raw parts."""
    marginal = marginal_probabilities(conditional)
    names = [objective.name for objective in OBJECTIVES]
    return {
        C.EXPOSURE_ID: np.arange(len(exposed.user)) + first,
        **{f"p_{name}": marginal[:, column].astype(np.float32) for column, name in enumerate(names)},
        **{f"q_{name}": conditional[:, column].astype(np.float32) for column, name in enumerate(names)},
        **{f"part_{name}": exposed.parts[:, column] for column, name in enumerate(PARTS)},
    }


def _exposure_columns(first: int, chunk: Chunk, rng: np.random.Generator) -> dict[str, Any]:
    users, requests, slates = chunk.users, chunk.requests, chunk.slates
    request = slates.request
    queries = _queries(requests, rng)
    return {
        C.EXPOSURE_ID: np.arange(len(request)) + first,
        C.REQUEST_ID: request + first,
        C.TIME: requests.time[request],
        C.USER_ID: users.index[requests.user[request]] + FIRST_USER,
        C.ITEM_ID: slates.item + FIRST_ITEM,
        C.CREATIVE_ID: slates.creative + FIRST_CREATIVE,
        C.SCENARIO: labelled(requests.scenario[request], [scenario.name for scenario in load_scenarios()]),
        C.POSITION: slates.position + 1,
        C.PROPENSITY: slates.propensity,
        C.QUERY: pa.array(queries, pa.string()).take(pa.array(request)),
        "random_slice": requests.random[request].astype(np.int8),
    }


def _queries(requests: Requests, rng: np.random.Generator) -> list[str | None]:
    leaves, ways = load_taxonomy().leaves, theme_ways()
    draws = rng.random((len(requests.time), 2))
    texts: list[str | None] = [None] * len(requests.time)
    for row in np.flatnonzero(requests.query_leaf >= 0):
        theme = int(requests.query_theme[row])
        word = ways[theme][int(draws[row, 0] * len(ways[theme]))] if theme >= 0 else None
        texts[row] = query_text(leaves[int(requests.query_leaf[row])], word, float(draws[row, 1]))
    return texts


def _behaviour_columns(world: World, first: int, chunk: Chunk) -> dict[str, Any]:
    """Organic behaviours and those that followed exposures, in order of user and time, as known at the end."""
    users, sessions, organic = chunk.users, chunk.sessions, chunk.organic
    slates, exposed, happened = chunk.slates, chunk.exposed, chunk.happened
    codes = np.array([ALL_ACTIONS.index(name) for name in ACTIONS], dtype=np.int8)
    none = np.full(len(organic.time), -1, dtype=np.int64)
    received = np.concatenate([organic.received, happened.received])
    keep = np.flatnonzero(received < world.end)
    user = np.concatenate([sessions.user[organic.session], exposed.user[happened.exposure]])[keep]
    time = np.concatenate([organic.time, happened.time])[keep]
    order = keep[np.argsort(user * (1 << 42) + (time - int(time.min(initial=0))), kind="stable")]
    del keep, user, time
    time = np.concatenate([organic.time, happened.time])[order]
    received = received[order]
    exposure = np.concatenate([none, happened.exposure])[order]
    scenario = np.concatenate([none, exposed.scenario[happened.exposure]])[order]
    names = [scenario.name for scenario in load_scenarios()]
    user = np.concatenate([sessions.user[organic.session], exposed.user[happened.exposure]])[order]
    return {
        C.TIME: time,
        C.USER_ID: users.index[user] + FIRST_USER,
        C.ITEM_ID: np.concatenate([organic.item, slates.item[happened.exposure]])[order] + FIRST_ITEM,
        C.ACTION: labelled(np.concatenate([codes[organic.action], happened.objective])[order], ALL_ACTIONS),
        C.VALUE: np.concatenate([organic.value, happened.value])[order].astype(np.float64),
        C.SCENARIO: labelled(scenario, names),
        C.EXPOSURE_ID: pa.array(exposure + first, mask=exposure < 0),
        C.RECEIVED_TIME: pa.array(received, mask=received == time),
    }
