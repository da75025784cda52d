"""Expected revenue in a small simulated market."""

import json

import numpy as np
import pytest

from plait.ads import hold_auctions
from plait.config import AdsSettings
from plait.errors import ConfigError, DataError
from plait.pipelines import bench_revenue
from plait.pipelines.ads_market import ads_market, market_bids, model_probabilities
from plait.pipelines.bench_revenue import RevenueOptions, measure_revenue
from plait.pipelines.project import Project, open_project
from plait.pipelines.train import train_model
from plait.simulation import named_size, simulate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("market")
    simulate(named_size("tiny"), folder, seed=3, media=False, processes=1)
    project = open_project(folder)
    train_model(project, "dnn-small", name="small", overrides={"training": {"epochs": 1}})
    return project


@pytest.fixture(scope="module")
def market(project: Project):
    return ads_market(project, requests=40, candidates=8)


def test_the_first_slot_is_what_candidates_are_known_by(project, market):
    bids = market_bids(project, market, ["download"])
    outcome = hold_auctions(bids.bid_RK, np.ones_like(bids.bid_RK), 2)
    objective_RS = outcome.of_winners(bids.objective_RK)
    true_RS = market.true_of(outcome, objective_RS)
    first_RS = outcome.of_winners(bids.chosen(market.true_RKT))
    np.testing.assert_allclose(true_RS[:, 0], first_RS[:, 0], rtol=1e-6)
    assert (true_RS[:, 1] <= first_RS[:, 1]).all()


def test_bids_of_several_objectives_are_worth_the_same_on_the_whole(project, market):
    download, mixed = (market_bids(project, market, names) for names in (["download"], ["download", "click"]))
    places = [project.workspace.objective_names().index(name) for name in ("download", "click")]
    assert set(np.unique(mixed.objective_RK)) == set(places)
    same = mixed.objective_RK == places[0]
    np.testing.assert_array_equal(mixed.bid_RK[same], download.bid_RK[same])
    factor = mixed.bid_RK[~same] / download.bid_RK[~same]
    np.testing.assert_allclose(factor, factor[0])
    assert factor[0] < 1  # a click is worth less than the download that it may lead to


def test_what_a_model_says_of_ads_is_a_probability(project, market):
    found = model_probabilities(project, "small", market)
    assert found.shape == market.true_RKT.shape
    assert ((found > 0) & (found < 1)).all()


def test_the_result_has_the_agreed_names(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = RevenueOptions(
        "small", AdsSettings(), "small", ["download"], requests=40, candidates=8, slots=2, bootstrap=50
    )
    metrics, path = measure_revenue(project, options)
    assert metrics["lift"].value == 0.0  # the same model twice
    assert metrics["oracle.believed"].value == pytest.approx(1.0)
    assert metrics["oracle.value"].value > metrics["uncalibrated.value"].value
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["name"] == "revenue_simulated"
    assert "(simulated)" in result["data"]
    assert {"lift", "uncalibrated.revenue", "calibrated.revenue", "oracle.revenue"} <= set(result["metrics"])


def test_at_first_price_the_truth_earns_what_ads_are_worth(project):
    options = RevenueOptions(
        "small",
        AdsSettings(pricing="first_price"),
        objectives=["download"],
        requests=40,
        candidates=8,
        slots=1,
        bootstrap=20,
        write=False,
    )
    metrics, path = measure_revenue(project, options)
    assert path is None
    assert metrics["oracle.revenue"].value == pytest.approx(metrics["oracle.value"].value)


def test_it_must_be_known_what_a_bid_pays_for(project):
    with pytest.raises(ConfigError, match="expected which of impression, click"):
        measure_revenue(project, RevenueOptions("small", AdsSettings()))


def test_only_a_simulated_workspace_knows_what_other_ads_would_earn(project, monkeypatch):
    monkeypatch.setattr("plait.pipelines.ads_market.has_oracle", lambda root: False)
    with pytest.raises(DataError, match="not a simulated workspace"):
        bench_revenue.ads_market(project, requests=1, candidates=1)
