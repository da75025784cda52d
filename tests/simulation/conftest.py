import os
from pathlib import Path

import pytest

from plait.simulation import simulate
from plait.simulation.outcomes import Truth, calibrate
from plait.simulation.sizes import Size
from plait.simulation.strengths import Strengths
from plait.simulation.world import World, make_world

os.environ.setdefault("OMP_NUM_THREADS", "1")

SMALL = Size(users=40, days=14, items=150, media=12, exposures_per_user=40, chunk_users=15)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped `tiny` world, without its media."""
    folder = tmp_path_factory.mktemp("tiny_world")
    simulate("tiny", folder, media=False, processes=1)
    return folder


@pytest.fixture(scope="session")
def small_world() -> World:
    return make_world(SMALL, 11, Strengths())


@pytest.fixture(scope="session")
def small_truth(small_world: World) -> Truth:
    return calibrate(small_world)


@pytest.fixture(scope="session")
def small_size() -> Size:
    return SMALL
