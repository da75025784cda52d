"""The whole road on a tiny simulated market: raw tables to a measured ladder, results and a served example."""

import json
import math

import numpy as np
import polars as pl
import pytest

from plait.config import AdsSettings
from plait.errors import ArtifactError, DataError
from plait.features.dataset import EncodedDataset
from plait.pipelines.calibrated_version import calibrated_version
from plait.pipelines.check import checked_tables
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.evaluate import evaluate_model, evaluate_oracle
from plait.pipelines.ladder import Ladder, Rung, climb, write_ladder
from plait.pipelines.oracle import oracle_probabilities
from plait.pipelines.project import Project, open_project
from plait.pipelines.samples import built_samples
from plait.pipelines.serve import served_model
from plait.pipelines.served_example import ask_server
from plait.pipelines.summary import summarise_data
from plait.pipelines.train import train_model
from plait.pipelines.value_rung import measure_value
from plait.schema import Split
from plait.simulation import named_size, simulate

RUNGS = (
    Rung("popularity", "popularity", "rates per item"),
    Rung("dnn", "dnn-small", "interactions"),
    Rung("hstu", "hstu-small", "the sequence"),
)

pytestmark = pytest.mark.slow
SIZE = named_size("tiny")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("market")
    simulate(SIZE, folder, seed=3, media=False, processes=1)
    return open_project(folder)


@pytest.fixture(scope="module")
def ladder(project: Project) -> Ladder:
    return climb(project, rungs=RUNGS, seeds=(1, 2), bootstrap=20, requests=30)


def test_every_rung_is_measured_on_the_same_test_rows(project, ladder):
    dataset = EncodedDataset.open(encoded_dataset(project))
    rows = len(dataset.rows(Split.TEST))
    assert [one.rung.name for one in ladder.rungs] == ["popularity", "dnn", "hstu"]
    assert {evaluation.rows for one in ladder.rungs for evaluation in one.evaluations} == {rows}
    assert ladder.oracle.rows == rows


def test_differences_are_of_the_values_shown(ladder):
    base, *above = ladder.rungs
    assert base.cumulative is None
    assert base.alone is None
    below = base
    for one in above:
        gain = one.estimates["auc"].value - below.estimates["auc"].value
        assert one.cumulative.overall["auc"].difference == pytest.approx(gain, abs=1e-12)
        alone = one.estimates["auc"].value - base.estimates["auc"].value
        assert one.alone.overall["auc"].difference == pytest.approx(alone, abs=1e-12)
        below = one


def test_the_oracle_is_above_every_model(ladder):
    best = max(one.estimates["auc"].value for one in ladder.rungs)
    assert ladder.oracle.overall.auc.value > best


def test_costs_are_measured(ladder):
    assert all(one.train_seconds > 0 for one in ladder.rungs)
    assert all(0 < one.serve_p99_ms < 10_000 for one in ladder.rungs)


def test_the_last_rung_is_worth_money(project, ladder):
    assert ladder.value.model == "ladder-hstu-1@1"
    assert calibrated_version(project, "ladder-hstu-1@1") == "ladder-hstu-1@2"
    assert ladder.value.metrics["oracle.value"].value > ladder.value.metrics["uncalibrated.value"].value
    unknown = project.workspace.model_copy(update={"ads": AdsSettings()})
    assert measure_value(Project(project.root, unknown, project.store), "ladder-hstu-1") is None


def test_a_second_climb_trains_nothing_and_says_the_same(project, ladder):
    again = climb(project, rungs=RUNGS, seeds=(1, 2), bootstrap=20, requests=1)
    for before, after in zip(ladder.rungs, again.rungs, strict=True):
        assert after.train_seconds == before.train_seconds
        assert after.estimates["auc"] == before.estimates["auc"]


def test_result_file_has_the_agreed_names(ladder, tmp_path):
    path = write_ladder(ladder, "ladder_tiny", "plait ladder", folder=tmp_path)
    result = json.loads(path.read_text(encoding="utf-8"))
    assert "(simulated)" in result["data"]
    assert result["seeds"] == [1, 2]
    wanted = {f"{rung}.{metric}" for rung in ("popularity", "dnn", "hstu") for metric in ("auc", "gauc", "logloss")}
    assert wanted | {"oracle.auc", "hstu.gain", "hstu.alone", "value.lift"} <= set(result["metrics"])
    for metric in result["metrics"].values():
        assert metric["low"] is None or metric["low"] <= metric["value"] <= metric["high"]


def test_evaluate_a_registered_model_and_the_oracle(project, ladder):
    evaluation = evaluate_model(project, "ladder-dnn-1", split=Split.TEST, bootstrap=0)
    assert evaluation.overall.auc.value == pytest.approx(ladder.rungs[1].evaluations[0].overall.auc.value, abs=1e-9)
    oracle = evaluate_oracle(project, split=Split.TEST, bootstrap=0)
    assert oracle.overall.pcoc.value == pytest.approx(1.0, abs=0.15)


def test_a_model_of_other_data_is_refused(project, ladder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    simulate(SIZE.model_copy(update={"users": 20}), other, seed=4, media=False, processes=1)
    changed = open_project(other)
    (changed.hidden).mkdir(exist_ok=True)
    (changed.hidden / "registry").symlink_to(project.hidden / "registry")
    with pytest.raises(ArtifactError, match="was trained on data"):
        evaluate_model(changed, "ladder-dnn-1", split=Split.TEST, bootstrap=0)


def test_oracle_probabilities_follow_the_order_asked_for(project):
    dataset = EncodedDataset.open(encoded_dataset(project))
    rows = dataset.rows(Split.TEST)[:50]
    forward = oracle_probabilities(project.root, dataset.exposure_ids(rows), ["click"])
    backward = oracle_probabilities(project.root, dataset.exposure_ids(rows[::-1]), ["click"])
    np.testing.assert_array_equal(forward, backward[::-1])
    with pytest.raises(DataError, match="1 of 1 exposures"):
        oracle_probabilities(project.root, pl.Series([-1]), ["click"])


def test_summary_counts_what_the_tables_hold(project):
    tables, samples = checked_tables(project), built_samples(project)
    summary = summarise_data(project, tables, samples)
    assert summary.users == SIZE.users
    assert sum(summary.splits.values()) == summary.exposures
    assert all(0 < one.positives <= one.labels for one in summary.objectives if one.name == "click")


def test_a_real_server_answers_for_the_report(project, ladder):
    example = ask_server(project, ladder.last_model)
    assert len(example.items) == 8
    assert all(math.isfinite(item.score) and " > " in item.about for item in example.items)
    assert len({item.name for item in example.items}) > 1
    assert example.timings_ms["total"] > 0
    assert example.recent


def test_training_again_with_the_same_seed_gives_the_same_weights(project):
    one = train_model(project, "dnn-small", name="once", register=False, overrides={"training": {"epochs": 1}})
    two = train_model(project, "dnn-small", name="twice", register=False, overrides={"training": {"epochs": 1}})
    for a, b in zip(one.model.state_dict().values(), two.model.state_dict().values(), strict=True):
        assert a.equal(b)


def test_what_is_served_must_be_said_where_there_is_a_choice(project, ladder, tmp_path):
    with pytest.raises(ArtifactError, match=r"models are registered \(ladder-dnn-1, .*say which one"):
        served_model(project, project.workspace.serving)
    empty = Project(tmp_path, project.workspace, project.store)
    with pytest.raises(ArtifactError, match="no model is registered; train one first"):
        served_model(empty, project.workspace.serving)
    (empty.hidden / "registry").mkdir(parents=True)
    (empty.hidden / "registry" / "ladder-dnn-1").symlink_to(project.hidden / "registry" / "ladder-dnn-1")
    assert served_model(empty, project.workspace.serving) == "ladder-dnn-1@production"
    said = project.workspace.serving.model_copy(update={"model": "mine@2"})
    assert served_model(project, said) == "mine@2"
