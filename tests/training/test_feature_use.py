"""A recipe says which derived feature groups its model reads: from the recipe to registry, evaluation and serving."""

import numpy as np
import pytest
import torch
from test_train_pipeline import root  # noqa: F401 (the small shop)

from plait.errors import ArtifactError, ConfigError
from plait.features.dataset import EncodedDataset
from plait.features.groups import FeatureGroup
from plait.features.vectors import DatedVectors
from plait.models.loading import load_model, load_spec
from plait.pipelines import feature_groups
from plait.pipelines.evaluate import evaluate_model
from plait.pipelines.feature_groups import dataset_with, group_stage, registered_groups
from plait.pipelines.ladder import Rung, climb
from plait.pipelines.project import open_project
from plait.pipelines.serve import engine_loader
from plait.pipelines.train import train_model
from plait.registry import Registry
from plait.schema import Split
from plait.serving.answer import Query
from plait.serving.deadline import Deadline
from plait.serving.state import UserStates
from plait.training.recipe import load_recipe_by_name, parse_recipe

USE = {"features": {"use": ["mood"]}, "training": {"epochs": 1}}


@pytest.fixture
def project(root, monkeypatch):  # noqa: F811
    """The shop, with a group of vectors: one of 3 numbers for every user, made before anything else happened."""

    def make(project, encoded):
        def write(out):
            users = np.arange(1, len(EncodedDataset.open(encoded).tables.users))
            values = np.random.default_rng(0).normal(size=(len(users), 3))
            vectors = DatedVectors.fit(users, np.zeros(len(users), np.int64), values, train_end=1)
            FeatureGroup.of_vectors("mood", "user", vectors).save(out)

        return project.store.build(group_stage("mood"), {"encoded": encoded.name}, write)

    def lacking(project, encoded):
        raise ArtifactError("no scents yet; run plait sniff")

    monkeypatch.setitem(feature_groups.GROUPS, "mood", make)
    monkeypatch.setitem(feature_groups.GROUPS, "scent", lacking)
    return open_project(root)


@pytest.mark.parametrize("recipe", ["lr", "dnn-small", "hstu-small"])
def test_training_evaluation_and_serving_read_the_same_columns(project, recipe):
    trained = train_model(project, recipe, name=f"moody-{recipe}", overrides=USE)
    registered = Registry(project.hidden / "registry").resolve(trained.reference)
    dataset = dataset_with(project, ["mood"])
    assert load_spec(registered) == dataset.spec
    assert dataset.spec.groups == ("mood",)
    (folder,) = registered_groups(project, registered)
    assert registered.manifest.details["feature_groups"] == {"mood": folder.name}
    assert registered.manifest.config["features"] == {"use": ["mood"]}
    assert np.isfinite(evaluate_model(project, trained.reference, split=Split.TEST, bootstrap=0).overall.auc.value)
    engine = engine_loader(project, project.workspace.serving)(trained.reference)
    answer = engine.recommend(Query(3, "home", 5, 1_703_000_000_000, {}), UserStates(), Deadline(10_000.0))
    assert len(answer.items) == 5
    assert answer.probabilities_KT is not None


def test_a_model_without_groups_is_what_it_was(project):
    plain = train_model(project, "lr", name="plain", overrides={"training": {"epochs": 1}})
    registered = Registry(project.hidden / "registry").resolve(plain.reference)
    assert load_spec(registered).groups == ()
    assert "features" not in registered.manifest.config
    moody = train_model(project, "lr", name="plain", overrides=USE)
    assert not moody.reused
    assert load_model(Registry(project.hidden / "registry").resolve(moody.reference)).numbers.shape[0] == (
        load_model(registered).numbers.shape[0] + 3
    )


def test_what_is_not_there_is_said(project):
    with pytest.raises(ConfigError, match="no feature group 'moods'; did you mean 'mood'"):
        train_model(project, "lr", overrides={"features": {"use": ["moods"]}})
    with pytest.raises(ArtifactError, match="plait sniff"):
        train_model(project, "lr", overrides={"features": {"use": ["scent"]}})
    with pytest.raises(ConfigError, match=r"\[features\]: next-item models"):
        train_model(project, "sasrec-next", overrides=USE)


def test_a_recipe_is_the_same_in_whatever_order_groups_are_named(tmp_path):
    chosen = load_recipe_by_name("lr", tmp_path, {"features": {"use": ["b", "a", "b"]}})
    assert chosen.features.use == ("a", "b")
    assert parse_recipe(chosen.to_dict(), "again") == chosen


def test_the_ladder_trains_with_and_without(project):
    """A rung of a group on a recipe below; a recipe that starts from another one does so with the same groups."""
    rungs = (
        Rung("dnn", "dnn-small", "interactions"),
        Rung("mood", "dnn-small", "moods", ("mood",)),
        Rung("hstu", "hstu-small", "the sequence"),
    )
    torch.manual_seed(0)
    climbed = climb(project, rungs=rungs, bootstrap=10, requests=2)
    names = set(Registry(project.hidden / "registry").names())
    assert {"ladder-dnn-7", "ladder-mood-7", "ladder-hstu-7", "ladder-hstu-alone-7"} <= names
    _, mood, hstu = climbed.rungs
    assert mood.alone.overall["auc"].difference == mood.cumulative.overall["auc"].difference
    base = climbed.rungs[0].estimates["auc"].value
    assert mood.alone.overall["auc"].difference == pytest.approx(mood.estimates["auc"].value - base, abs=1e-12)
    gain = hstu.estimates["auc"].value - mood.estimates["auc"].value
    assert hstu.cumulative.overall["auc"].difference == pytest.approx(gain, abs=1e-12)
