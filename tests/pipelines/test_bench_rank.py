"""`plait bench rank` on small sizes: every cell is there, and the ways of ranking that should agree do."""

import numpy as np
import pytest
import torch

from plait.pipelines import rank_desk
from plait.pipelines.bench_rank import RankOptions, measure_ranking
from plait.pipelines.rank_desk import Desk, TowerSizes


@pytest.fixture(autouse=True)
def few_items(monkeypatch):
    monkeypatch.setattr(rank_desk, "ITEMS", 50)


@pytest.mark.parametrize("candidates", [7, 300])
def test_the_kept_state_and_the_light_head_have_the_logits_of_the_whole_model(candidates, monkeypatch):
    """Few candidates and enough for oneDNN; the memory of items in rows of those that occur."""
    monkeypatch.setattr("plait.models.memory._ROW_EACH", 40)
    desk = Desk(TowerSizes(8, 2, 2), 20, seed=1)
    batch = desk.request(candidates)
    with torch.inference_mode():
        whole_KT = desk.recompute(batch)
        torch.testing.assert_close(desk.score(batch), whole_KT, rtol=1e-5, atol=1e-5)
        assert desk.m_falcon(batch).shape == whole_KT.shape == (candidates, 3)
    assert (whole_KT.std(0) > 1e-3).all()


def test_every_cell_is_measured(monkeypatch):
    monkeypatch.setattr("plait.pipelines.bench_rank.head_versions", lambda *_: ({}, ["none here"]))
    monkeypatch.setattr("plait.pipelines.bench_rank._BAR_EVENTS", 20)
    threads = torch.get_num_threads()
    options = RankOptions(TowerSizes(8, 2, 1), (10, 20), (3, 4), (1,), seconds=0.0, write=False)
    measured = measure_ranking(options)
    cells = [f"{way}_l{events}_k{k}" for way in ("recompute", "head", "mfalcon") for events in (10, 20) for k in (3, 4)]
    cells += [f"{way}_l{events}" for way in ("append", "restart") for events in (10, 20)]
    cells += ["head_k3", "head_k4", "head_k1000"]
    bars = {"head_p99_ms_k1000", "append_p99_ms_l20", "state_max_abs_diff"}
    assert set(measured.metrics) == {f"{cell}.p{p}_ms" for cell in cells for p in (50, 99)} | bars
    assert measured.metrics["head_p99_ms_k1000"] == measured.metrics["head_k1000.p99_ms"]
    assert 0 <= measured.metrics.pop("state_max_abs_diff").value < 1e-5
    assert all(metric.low <= metric.value and np.isfinite(metric.value) for metric in measured.metrics.values())
    assert measured.notes[-1] == "none here"
    assert torch.get_num_threads() == threads
