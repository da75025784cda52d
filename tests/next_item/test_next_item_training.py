"""Next-item models in the training loop and through the commands: they learn, go on exactly, and are measured."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from next_item_worlds import cycling_log, sequences, write_club
from safetensors.torch import load_file
from typer.testing import CliRunner

from plait.cli.app import register_commands
from plait.errors import ArtifactError, DataError, TrainingError
from plait.models.loading import load_model, load_next_item_model
from plait.models.next_item import NextItemModel
from plait.models.words import item_words
from plait.pipelines.bench_next_item import exact_users
from plait.pipelines.evaluate import evaluate_next_item
from plait.pipelines.project import open_project
from plait.pipelines.train import train_model, trained_so_far
from plait.registry import Registry
from plait.schema import Split
from plait.training import NextItemTask, load_recipe_by_name, recipe_names, train_task
from plait.training.log import read_log

RECIPES = [name for name in recipe_names() if "-next" in name]
SMALL = {"width": 8, "heads": 1, "head_width": 8, "hidden": 8, "blocks": 1, "max_events": 8, "dropout": 0.1}
QUICK = {"epochs": 3, "batch_size": 16, "log_steps": 1, "threads": 1, "tensorboard": False, "evaluation_epochs": 1}


def small_run(found, recipe: str, folder: Path, **training):
    chosen = load_recipe_by_name(recipe, Path(), {"model": SMALL, "training": {**QUICK, **training}})
    torch.manual_seed(0)
    words = item_words(found.items) if chosen.model.item_text else None
    model = NextItemModel(chosen.model, len(found.items), found.actions, words)
    return model, train_task(NextItemTask(found, model, chosen.training), chosen.training, folder)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return sequences(tmp_path_factory.mktemp("log"), cycling_log(users=120))


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_learns(recipe, found, tmp_path):
    """The next item of a cycle is among the first three of twelve far more often than by chance (1 in 4 at least)."""
    _, result = small_run(found, recipe, tmp_path, epochs=25, learning_rate=0.01, patience=25)
    losses = [line["loss"] for line in read_log(tmp_path, "step")]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    if not recipe.endswith("published"):  # that protocol has no validation item
        assert max(point.metrics["mrr"] for point in result.curve) > 0.4


@pytest.mark.parametrize("recipe", ["hstu-next-time", "sasrec-next"])
def test_resume_is_exact(recipe, found, tmp_path, monkeypatch):
    """A run that dies between checkpoints and goes on has the weights and losses of one that did not."""
    whole, result = small_run(found, recipe, tmp_path / "whole", checkpoint_steps=3)

    class KilledError(Exception): ...

    batches = NextItemTask.batches

    def dying(self, epoch, first):
        for number, batch in enumerate(batches(self, epoch, first)):
            if epoch == 1 and number == 4:
                raise KilledError
            yield batch

    monkeypatch.setattr(NextItemTask, "batches", dying)
    with pytest.raises(KilledError):
        small_run(found, recipe, tmp_path / "killed", checkpoint_steps=3)
    monkeypatch.undo()
    assert list((tmp_path / "killed" / "checkpoints").glob("step-*"))
    resumed, again = small_run(found, recipe, tmp_path / "killed", checkpoint_steps=3)
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name
    assert again.curve == result.curve
    steps = [[(line["step"], line["loss"]) for line in read_log(tmp_path / run, "step")] for run in ("whole", "killed")]
    assert steps[0] == steps[1]


def test_evaluations_come_every_so_many_epochs(found, tmp_path):
    _, result = small_run(found, "hstu-next", tmp_path, epochs=5, evaluation_epochs=2)
    per_epoch = -(-120 // 16)
    assert [point.step for point in result.curve] == [2 * per_epoch, 4 * per_epoch, 5 * per_epoch]


def test_under_the_published_protocol_the_last_weights_count(found, tmp_path):
    _, result = small_run(found, "hstu-next-published", tmp_path, epochs=3)
    assert result.best_step == result.curve[-1].step
    assert all(np.isnan(point.metrics["ndcg@10"]) for point in result.curve)


def test_nothing_to_learn_from_is_said(tmp_path):
    short = sequences(tmp_path, [("ann", "a", 1, 3), ("ann", "b", 2, 3), ("bob", "b", 2, 3)])
    with pytest.raises(TrainingError, match="of 2 users none has two events before what is held out"):
        small_run(short, "hstu-next", tmp_path / "run")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_club(tmp_path_factory.mktemp("club"))


def overrides(root: Path, name: str) -> str:
    """A recipe of the workspace, small enough for a test."""
    path = root / f"{name}.toml"
    model = "".join(f"{key} = {value}\n" for key, value in SMALL.items())
    path.write_text(
        f'base = "{Path(__file__).parents[2]}/plait/recipes/{name}.toml"\n[model]\n{model}'
        "[training]\nepochs = 3\nbatch_size = 16\ntensorboard = false\nthreads = 1\n"
    )
    return path.name


def test_train_evaluate_and_load(root):
    project = open_project(root)
    trained = train_model(project, overrides(root, "hstu-next-time"))
    assert trained.reference == "hstu-next-time@1"
    assert train_model(project, "hstu-next-time.toml").reused
    registered = Registry(project.hidden / "registry").resolve("hstu-next-time")
    assert pl.read_parquet(registered.file("items.parquet"))["item_id"].to_list() == [f"item {k:02}" for k in range(12)]
    loaded = load_next_item_model(registered)
    for name, weight in trained.model.state_dict().items():
        assert torch.equal(weight, loaded.state_dict()[name])
    valid = evaluate_next_item(project, "hstu-next-time", split=Split.VALID, bootstrap=0)
    assert registered.manifest.metrics["hr@10"] == valid.metrics["hr@10"].value
    with pytest.raises(ArtifactError, match="is of family 'next-item', expected a ranker"):
        load_model(registered)
    with pytest.raises(ArtifactError, match="holds out no train items"):
        evaluate_next_item(project, "hstu-next-time", split=Split.TRAIN, bootstrap=0)


def test_the_commands(root, monkeypatch):
    recipe = overrides(root, "sasrec-next")
    result = CliRunner().invoke(register_commands(), ["train", recipe, "-w", str(root)])
    assert result.exit_code == 0, result.output
    assert "ndcg@10" in result.output
    result = CliRunner().invoke(register_commands(), ["evaluate", "sasrec-next", "-w", str(root)])
    assert result.exit_code == 0, result.output
    assert "on the test items of 60 users" in result.output
    result = CliRunner().invoke(register_commands(), ["evaluate", "sasrec-next", "-w", str(root), "--json"])
    assert set(json.loads(result.output)["metrics"]) >= {"hr@1", "hr@10", "hr@200", "ndcg@10", "ndcg@200", "mrr"}


def test_the_table(root, tmp_path, monkeypatch):
    """Two recipes, two seeds; a second call trains nothing; unfinished runs can be left out."""
    monkeypatch.chdir(tmp_path)
    flags = tmp_path / "exact.parquet"
    lines = pl.read_parquet(root / "behaviours.parquet").height
    pl.DataFrame({"exact": [True] * (lines // 2) + [False] * (lines - lines // 2)}).write_parquet(flags)
    recipes = [overrides(root, name) for name in ("hstu-next", "sasrec-next")]
    arguments = ["bench", "next-item", "-w", str(root), "--name", "table", "--exact-times", str(flags)]
    for recipe in recipes:
        arguments += ["--recipes", recipe]
    result = CliRunner().invoke(register_commands(), [*arguments, "--seeds", "1", "--seeds", "2"])
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "benchmarks" / "results" / "table.json").read_text())
    assert content["seeds"] == [1, 2]
    metric = content["metrics"]["hstu_no_time.hr10"]
    assert metric["low"] <= metric["value"] <= metric["high"]
    assert "sasrec.exact_clock.ndcg10" in content["metrics"]
    assert content["metrics"]["hstu_no_time.seeds"]["value"] == 2
    validation = {row: content["metrics"][f"{row}.validation.ndcg10"]["value"] for row in ("hstu_no_time", "sasrec")}
    best = max(validation, key=validation.get)
    assert content["metrics"]["best.hr200"] == content["metrics"][f"{best}.hr200"]
    more = ["--seeds", "1", "--seeds", "3", "--no-train"]
    result = CliRunner().invoke(register_commands(), [*arguments, *more])
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "benchmarks" / "results" / "table.json").read_text())
    assert content["seeds"] == [1]
    assert "PARTIAL" not in content["notes"]


def test_a_run_that_has_not_ended_counts_with_its_best_weights(root, monkeypatch):
    project, recipe, changes = open_project(root), overrides(root, "hstu-next"), {"training": {"epochs": 9}}
    assert trained_so_far(project, recipe, "stopped", changes) is None
    batches = NextItemTask.batches

    def interrupted(self, epoch, first):
        if epoch == 2:
            raise KeyboardInterrupt
        return batches(self, epoch, first)

    monkeypatch.setattr(NextItemTask, "batches", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_model(
            project, recipe, name="stopped", overrides=changes | {"training": {"epochs": 9, "evaluation_epochs": 1}}
        )
    changes["training"]["evaluation_epochs"] = 1
    found = trained_so_far(project, recipe, "stopped", changes)
    assert not found.finished
    assert [point.step for point in found.result.curve] == [4, 8]
    best = load_file(found.run / "best.safetensors")
    assert torch.equal(found.model.state_dict()["item.weight"], best["item.weight"])
    changes["training"]["epochs"] = 8
    assert trained_so_far(project, recipe, "stopped", changes) is None


def test_users_whose_times_are_exact(tmp_path):
    """Ann's last two events are lines 3 and 4; bob's 1 and 2."""
    rows = [("bob", "a", 1, 3), ("bob", "b", 2, 3), ("ann", "a", 3, 3), ("ann", "b", 4, 3), ("dave", "a", 1, 3)]
    known = sequences(tmp_path, rows)
    flags = tmp_path / "flags.parquet"
    pl.DataFrame({"exact": [False, True, True, True, True]}).write_parquet(flags)
    assert exact_users(known, flags).tolist() == [True, False, False]
    pl.DataFrame({"exact": [True]}).write_parquet(flags)
    with pytest.raises(DataError, match="holds 1 flags, expected one for each line"):
        exact_users(known, flags)
