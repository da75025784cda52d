"""A named fake engine, and an HTTP client straight into the application."""

import asyncio
import contextlib
import threading
import time

import httpx
import numpy as np
import pytest
from serving_world import make_world

from plait.errors import ArtifactError
from plait.serving.answer import Answer
from plait.serving.app import create_app
from plait.serving.auth import Authoriser
from plait.serving.service import Service, ServiceSettings
from plait.serving.state import UserStates


class FakeEngine:
    """Answers items 1 to k; takes as long as it is told."""

    scenarios = ("home", "search")
    objectives = ("click", "install")
    least_ms = 1.0

    def __init__(self, name="ranker", version="1", seconds=0.0):
        self.name = name
        self.version = version
        self.seconds = seconds
        self.warmed = False
        self.queries = []
        self.turns_ms = []
        self.arrivals = []
        self.most_at_once = 0
        self._lock = threading.Lock()
        self._at_once = 0

    def knows_item(self, item_id):
        return str(item_id) != "404"

    def warm_up(self):
        self.warmed = True

    def arrived(self, user_id, states, time_ms):
        self.arrivals.append((user_id, len(states.read(user_id)[1]), time_ms))

    def recommend(self, query, states, deadline):
        assert self.warmed
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        time.sleep(self.seconds)
        with self._lock:
            self._at_once -= 1
            self.queries.append(query)
            self.turns_ms.append(deadline.turn_ms)
        items = list(range(1, query.k + 1))
        with deadline.stage("rank"):
            probabilities = np.full((query.k, 2), 0.25, np.float32)
        history = len(states.read(query.user_id)[1])
        return Answer(items, [None] * query.k, [0.5] * query.k, probabilities, ["popular"] * query.k,
                      {"popular": query.k, "ranked": query.k}, True, history)  # fmt: skip


class Loader:
    """Loads fake engines by reference; `broken` is none."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds
        self.loaded = []

    def __call__(self, reference):
        if "broken" in reference:
            raise ArtifactError(f"there is no model '{reference}'")
        engine = FakeEngine(version=str(len(self.loaded) + 1), seconds=self.seconds)
        self.loaded.append(engine)
        return engine


@pytest.fixture
def loader():
    return Loader()


@pytest.fixture
def serve(loader):
    """`async with serve() as client`: the application, started and stopped, with its service at `client.service`."""

    @contextlib.asynccontextmanager
    async def start(*, token=None, wait=True, states=None, promises=None, clock_ms=lambda: 1_000_000, **settings):
        values = {"deadline_ms": 50.0, "max_k": 200, "model": "ranker@production", **settings}
        service = Service(
            ServiceSettings(**values), loader, states or UserStates(), promises=promises, clock_ms=clock_ms
        )
        app = create_app(service, Authoriser(token))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        json_body = {"content-type": "application/json"}
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://x", headers=json_body) as client,
        ):
            client.service = service
            while wait and service.engine is None and service.failure is None:
                await asyncio.sleep(0.005)
            yield client

    return start


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("serving_world"))
