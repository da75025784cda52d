"""Features of a trained model ranked on a small market, and the recipe that keeps the best."""

import json

import numpy as np
import pytest

from plait.config.writing import toml_text
from plait.console.ranking_plot import ranking_plot
from plait.errors import ArtifactError
from plait.pipelines.bench_screening import ScreeningOptions, measure_screening
from plait.pipelines.feature_ranking import (
    FeatureRanking,
    RankingOptions,
    earlier_donors,
    rank_features,
    write_pruned,
)
from plait.pipelines.project import Project, open_project
from plait.pipelines.train import train_model, workspace_recipe
from plait.simulation import named_size, simulate

RANKING = FeatureRanking(
    model="made@1",
    exposures=9,
    features=("a", "b", "c", "d"),
    worth={"permutation": (0.1, 0.4, 0.0, 0.2), "gates": (1.5, 1.5, 0.0, -0.3)},
    experts={"permutation": ((0.1, 0.0, 0.0, 0.2), (0.0, 0.4, 0.0, 0.0))},
)


def test_donors_are_other_users_before():
    users = np.random.default_rng(0).integers(0, 5, 400)
    donor = earlier_donors(users, 1, window=50)
    place = np.arange(400)
    moved = donor != place
    assert moved[20:].mean() > 0.99
    assert (donor[moved] < place[moved]).all()
    assert (place - donor <= 50).all()
    assert (users[donor[moved]] != users[moved]).all()
    np.testing.assert_array_equal(donor, earlier_donors(users, 1, window=50))
    np.testing.assert_array_equal(earlier_donors(np.zeros(5, np.int64), 1), np.arange(5))


def test_the_best_share_in_the_features_own_order(tmp_path):
    assert RANKING.best("permutation", 0.5) == ("b", "d")
    assert RANKING.best("permutation", 0.51) == ("a", "b", "d")
    assert RANKING.best("gates", 0.25) == ("a",)  # equal ones: the first
    assert RANKING.places("permutation") == [3, 1, 4, 2]
    with pytest.raises(ArtifactError, match="has permutation, gates, not gradient"):
        RANKING.best("gradient", 0.5)
    path = RANKING.save(tmp_path)
    assert FeatureRanking.load(tmp_path) == RANKING
    agreement = json.loads(path.read_text(encoding="utf-8"))["agreement"]
    assert agreement["spearman"]["gates"]["gates"] == pytest.approx(1.0)
    with pytest.raises(ArtifactError, match="plait features rank makes it"):
        FeatureRanking.load(tmp_path / "nowhere")


def test_the_plot_names_features_and_escapes_them():
    odd = FeatureRanking("m@1", 1, ("<b>", "c"), {"permutation": (0.2, 0.1)}, {})
    plot = ranking_plot(odd)
    assert "&lt;b&gt;" in plot
    assert "<b>" not in plot
    assert plot.count("<rect") == 2


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("market")
    simulate(named_size("tiny"), folder, seed=3, media=False, processes=1)
    return open_project(folder)


SMALL = {"training": {"epochs": 1}, "model": {"hidden": [32, 16], "embedding_dim": 4}}


@pytest.mark.slow
def test_from_a_trained_model_to_a_recipe_with_fewer_features(project, tmp_path):
    train_model(project, "dnn-small", name="all", overrides=SMALL)
    ranking, _ = rank_features(project, "all", RankingOptions(exposures=500, repeats=1))
    assert set(ranking.worth) == {"permutation", "gradient", "gates"}
    assert all(len(values) == len(ranking.features) for values in ranking.worth.values())
    assert all(np.isfinite(values).all() and np.std(values) > 0 for values in ranking.worth.values())
    out = tmp_path / "few.toml"
    kept = write_pruned(project, "all", keep=0.2, method="gates", recipe=None, out=out)
    few = train_model(project, str(out), name="few")
    assert few.recipe.model.deep_inputs == list(kept)
    assert few.recipe.model.hidden == [32, 16]
    assert few.model.head.first_of_all().weight.count_nonzero() < 0.5 * few.model.head.first_of_all().weight.numel()
    laid_over = write_pruned(
        project, "all", keep=0.2, method="gates", recipe=workspace_recipe(project, "moe-dense").to_dict(), out=out
    )
    assert laid_over == kept
    assert workspace_recipe(project, str(out)).model.experts.shared == 4


@pytest.mark.slow
def test_the_comparison_has_the_agreed_names(project, tmp_path, monkeypatch):
    small = "base = 'dnn-small.toml'\n[training]\nepochs = 1\n[model]\nhidden = [32, 16]\n[model.experts]\n"
    matched = "hidden = [32, 16]\nmatch_flops = true\n"
    base = toml_text(workspace_recipe(project, "dnn-small").to_dict())
    (tmp_path / "dnn-small.toml").write_text(base, encoding="utf-8")
    for name, experts in (("one", "shared = 1\n"), ("four", "shared = 4\n")):
        (tmp_path / f"{name}.toml").write_text(small + experts + matched, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    options = ScreeningOptions(
        seeds=(1, 2),
        curve=(1.0,),
        unsplit=str(tmp_path / "one.toml"),
        split=str(tmp_path / "four.toml"),
        gates=0.0,
        test_exposures=100_000,
        bootstrap=30,
        overrides={"training": {"patience": 1}},
        settings=("training.patience=1",),
    )
    metrics, path = measure_screening(project, options)
    wanted = {"unsplit.auc", "unsplit.flops", "split4_screened.auc", "split4_screened.flops", "difference_low"}
    assert wanted <= set(metrics)
    assert metrics["split4_screened.flops"].value <= metrics["unsplit.flops"].value
    assert metrics["difference_low"].value == metrics["difference"].low
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["name"] == "feature_screening"
    assert result["command"].endswith("--users-share 1 --test-exposures 100000 --set 'training.patience=1'")
    assert wanted <= set(result["metrics"])
