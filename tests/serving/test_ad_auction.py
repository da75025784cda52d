"""Scenarios that sell their places: order by eCPM, prices, and who takes part."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from serving_world import CUT_MS

from plait.config import AdsSettings, ScenarioSettings
from plait.retrieval.build import build_retrieval
from plait.serving.answer import Query
from plait.serving.deadline import Deadline
from plait.serving.loading import ServedData, load_engine
from plait.serving.state import UserStates

K = 30


@pytest.fixture(scope="module")
def bids(world):
    """Creative ids and their bids; every third creative does not bid."""
    creatives = sorted(pl.read_parquet(world.made.tables / "creatives" / "*.parquet")["creative_id"].to_list())
    return {creative: 0.5 + 0.25 * (place % 7) for place, creative in enumerate(creatives) if place % 3}


@pytest.fixture(scope="module")
def engine(world, bids, tmp_path_factory):
    root = tmp_path_factory.mktemp("ads")
    tables = root / "tables"
    (tables / "creatives").mkdir(parents=True)
    frame = pl.read_parquet(world.made.tables / "creatives" / "*.parquet")
    frame = frame.with_columns(bid=pl.Series([bids.get(each) for each in frame["creative_id"]], dtype=pl.Float64))
    frame.write_parquet(tables / "creatives" / "part-00000.parquet")
    workspace = world.made.workspace
    build_retrieval(
        world.cut, world.made.samples.parent / "cut_samples", tables, workspace=workspace, out=root / "retrieval"
    )
    scenarios = [
        ScenarioSettings(name=each.name, kind="ads" if each.name == "search" else "recommendation")
        for each in workspace.scenarios
    ]
    selling = workspace.model_copy(update={"scenarios": scenarios, "ads": AdsSettings(objective="install")})
    data = ServedData(world.cut_data.encoded, root / "retrieval")
    return load_engine(world.registry.resolve("dnn"), data, selling, candidates=K, log=True)


def ask(engine, **changes):
    return engine.recommend(
        dataclasses.replace(Query("u1", "search", 5, CUT_MS, {}), **changes), UserStates(), Deadline(60_000.0)
    )


def test_ads_come_by_what_they_pay_and_pay_what_keeps_their_place(engine, bids):
    answer = ask(engine)
    more = ask(engine, k=6)
    assert list(answer.items) == list(more.items[:5])
    ecpm = [
        1000 * bids[creative] * float(row[1])
        for creative, row in zip(more.creatives, more.probabilities_KT, strict=True)
    ]
    assert ecpm == sorted(ecpm, reverse=True)
    np.testing.assert_allclose(answer.scores, ecpm[:5], rtol=1e-6)
    expected = [bids[answer.creatives[place]] * ecpm[place + 1] / ecpm[place] for place in range(5)]
    np.testing.assert_allclose(answer.prices, expected, rtol=1e-6)
    assert [row["price"] for row in answer.rows(engine.objectives)] == answer.prices


def test_every_ad_comes_in_its_dearest_creative_that_bids(engine, bids):
    answer = ask(engine)
    record = answer.record
    for item, creative in zip(answer.items, answer.creatives, strict=True):
        own = [row for row, other in enumerate(record.items_R) if other == item and record.creatives_R[row] in bids]
        best = max(own, key=lambda row: bids[record.creatives_R[row]] * record.probabilities_RT[row, 1])
        assert record.creatives_R[best] == creative


def test_no_auction_elsewhere_or_where_one_objective_is_asked_for(engine):
    for answer in (ask(engine, scenario="首页"), ask(engine, objective="install")):
        assert answer.prices is None
        assert answer.scores == sorted(answer.scores, reverse=True)
        assert {row["price"] for row in answer.rows(engine.objectives)} == {None}
