"""Logged requests once more: the replay of what was logged says what truth/ says."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from plait.schema import Columns as C
from plait.simulation.catalogue import FIRST_CREATIVE, FIRST_ITEM
from plait.simulation.chunk_tables import first_id
from plait.simulation.generate import open_world
from plait.simulation.outcomes import calibrate
from plait.simulation.replay import ChunkReplay
from plait.simulation.scenarios import load_scenarios

OBJECTIVES = ("pay", "click", "download")


@pytest.fixture(scope="module")
def replay(tiny_folder: Path) -> ChunkReplay:
    world = open_world(tiny_folder)
    return ChunkReplay(world, calibrate(world), 0, OBJECTIVES)


@pytest.fixture(scope="module")
def log(tiny_folder: Path) -> pl.DataFrame:
    exposures = pl.read_parquet(tiny_folder / "exposures" / "part-00000.parquet")
    return exposures.join(pl.read_parquet(tiny_folder / "truth" / "exposures" / "part-00000.parquet"), on=C.EXPOSURE_ID)


def test_what_was_shown_has_the_probabilities_that_truth_tells(replay: ChunkReplay, log: pl.DataFrame) -> None:
    request, item, creative, position = (
        log[name].to_numpy() - first
        for name, first in (
            (C.REQUEST_ID, first_id(0)),
            (C.ITEM_ID, FIRST_ITEM),
            (C.CREATIVE_ID, FIRST_CREATIVE),
            (C.POSITION, 1),
        )
    )
    found = replay.probabilities(request, item, creative, position)
    np.testing.assert_allclose(found, log.select([f"p_{name}" for name in OBJECTIVES]).to_numpy(), rtol=1e-5)


def test_requests_are_found_in_the_log(replay: ChunkReplay, log: pl.DataFrame) -> None:
    names = [scenario.name for scenario in load_scenarios()]
    rows = replay.requests(np.array([names.index("store_search_ads"), names.index("lock_screen")]))
    first = log.filter(pl.col(C.POSITION) == 1, pl.col(C.SCENARIO).is_in(["store_search_ads", "lock_screen"]))
    assert replay.first_exposures(rows).tolist() == first[C.EXPOSURE_ID].to_list()


def test_proposals_are_ads_that_do_not_repeat(replay: ChunkReplay, tiny_folder: Path) -> None:
    ads = np.array([place for place, scenario in enumerate(load_scenarios()) if scenario.kind == "ads"])
    proposals = replay.propose(replay.requests(ads), 12, 0)
    assert proposals.item_RK.shape == (len(proposals.request_R), 12)
    assert all(len(set(row)) == 12 for row in proposals.item_RK.tolist())
    creatives = pl.read_parquet(tiny_folder / "creatives.parquet")
    shown = creatives[(proposals.creative_RK.ravel()).tolist()]
    assert shown[C.ITEM_ID].to_list() == (proposals.item_RK.ravel() + FIRST_ITEM).tolist()
    assert shown[C.BID].is_not_null().all()


def test_lower_places_get_less_attention(replay: ChunkReplay) -> None:
    names = [scenario.name for scenario in load_scenarios()]
    request = replay.requests(np.array([names.index("store_search_ads")]))[:5]
    item, creative = np.zeros(5, np.int64), np.zeros(5, np.int64)
    top, lower = (replay.probabilities(request, item, creative, np.full(5, place)) for place in (0, 3))
    assert (lower < top).all()
