"""What one request costs with a model: the served engine, timed in this process, one thread, without HTTP."""

import time

import numpy as np
import torch

from plait import seeding
from plait.features.dataset import EncodedDataset
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.project import Project
from plait.pipelines.serve import engine_loader
from plait.schema import Split
from plait.serving.answer import Query
from plait.serving.deadline import Deadline
from plait.serving.state import UserStates

_GENEROUS_MS = 10_000.0
"""No request falls back here: the full cost is what is asked for."""
_ITEMS = 10


def request_p99_ms(project: Project, reference: str, *, requests: int = 200, seed: int = 0) -> float:
    """The 99th percentile of the time of one request, in ms, over users and scenarios of the test window.

    Args:
        project: the opened workspace; its serving settings say how many candidates are ranked.
        reference: the registered model.
        requests: how many are timed, after a warm-up.
        seed: of the draw of requests.
    """
    engine = engine_loader(project, project.workspace.serving)(reference)
    queries = _draw_queries(project, requests, seed)
    states = UserStates()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        engine.warm_up()
        spent_ms = []
        for query in queries:
            started = time.perf_counter()
            engine.recommend(query, states, Deadline(_GENEROUS_MS))
            spent_ms.append((time.perf_counter() - started) * 1e3)
    finally:
        torch.set_num_threads(threads)
    return float(np.percentile(spent_ms, 99))


def _draw_queries(project: Project, requests: int, seed: int) -> list[Query]:
    """Requests as logged exposures of the test window asked them: user, scenario and time."""
    dataset = EncodedDataset.open(encoded_dataset(project))
    rows_B = dataset.rows(Split.TEST)
    drawn_B = seeding.generator(seed, "request cost").choice(rows_B, requests, replace=len(rows_B) < requests)
    names, ids = project.workspace.scenario_names(), dataset.tables.users.ids
    facts = (dataset.user_rows(drawn_B), dataset.scenarios(drawn_B), dataset.times(drawn_B))
    asked = zip(*(fact.tolist() for fact in facts), strict=True)
    return [Query(ids.value(user), names[scenario], _ITEMS, time_ms, {}) for user, scenario, time_ms in asked]
