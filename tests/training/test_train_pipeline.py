"""`plait train` from raw tables to a registered model, on a small made-up workspace."""

import json
import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from typer.testing import CliRunner

from plait.cli.app import register_commands
from plait.config.workspace import ModelSettings
from plait.console.alignment_page import alignment_page
from plait.errors import ArtifactError, ConfigError
from plait.features.dataset import EncodedDataset
from plait.models.batch import Batch
from plait.models.config import AlignmentConfig
from plait.models.loading import load_model, load_spec
from plait.models.text_tower import TextTower, TokenStates
from plait.pipelines.alignment_map import alignment_map
from plait.pipelines.bench_ctrl import CtrlOptions, measure_ctrl
from plait.pipelines.bench_ctrl_ablation import AblationOptions, measure_ablation
from plait.pipelines.bench_encoders import EncoderOptions, measure_encoders
from plait.pipelines.bench_text_methods import METHODS, MethodOptions, measure_methods
from plait.pipelines.embed import build_embeddings, user_vectors
from plait.pipelines.embedding_views import keep_alignment, kept_views
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.project import open_project
from plait.pipelines.sample_texts import aligned_texts
from plait.pipelines.train import train_model
from plait.registry import Registry
from plait.schema import Split
from plait.testing.encoders import HashedWords, LayeredWords

WORKSPACE = """
name = "small shop"
time_unit = "ms"

[tables.users]
path = "users.parquet"
[tables.items]
path = "items.parquet"
[tables.exposures]
path = "exposures.parquet"
[tables.behaviours]
path = "behaviours.parquet"

[[scenarios]]
name = "home"

[[objectives]]
name = "click"
action = "click"
attribution = "exposure_id"
window = "1h"

[models.mine]
recipe = "dnn-small"
[models.mine.overrides.training]
epochs = 1
batch_size = 128
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """30 users, 12 items, 40 exposures a user over forty days; item 1 to 4 are clicked often, the others rarely."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(5)
    users, per_user = 30, 40
    size = users * per_user
    user_B = np.repeat(np.arange(1, users + 1), per_user)
    item_B = rng.integers(1, 13, size)
    day_B = np.tile(np.arange(per_user), users)
    time_B = 1_700_000_000_000 + day_B * 86_400_000 + rng.integers(0, 80_000_000, size)
    clicked_B = rng.random(size) < np.where(item_B <= 4, 0.7, 0.1)
    exposures = pl.DataFrame(
        {
            "exposure_id": np.arange(size),
            "request_id": np.arange(size),
            "time": time_B,
            "user_id": user_B,
            "item_id": item_B,
            "scenario": ["home"] * size,
        }
    )
    clicks = exposures.filter(pl.Series(clicked_B)).select(
        pl.col("time") + 5_000, "user_id", "item_id", pl.lit("click").alias("action"), "scenario", "exposure_id"
    )
    pl.DataFrame({"user_id": np.arange(1, users + 1)}).write_parquet(folder / "users.parquet")
    items = {"item_id": np.arange(1, 13), "category_1": [f"shelf {index % 3}" for index in range(12)]}
    pl.DataFrame(items).write_parquet(folder / "items.parquet")
    exposures.write_parquet(folder / "exposures.parquet")
    clicks.write_parquet(folder / "behaviours.parquet")
    (folder / "plait.toml").write_text(WORKSPACE)
    return folder


def test_a_run_is_trained_once_and_registered(root):
    project = open_project(root)
    first = train_model(project, "dnn-small", overrides={"training": {"epochs": 2}})
    assert first.reference == "dnn-small@1"
    assert not first.reused
    again = train_model(project, "dnn-small", overrides={"training": {"epochs": 2}})
    assert again.reused
    assert again.reference == "dnn-small@1"
    assert again.result == first.result
    other = train_model(project, "dnn-small", overrides={"training": {"epochs": 1}})
    assert not other.reused
    assert other.reference == "dnn-small@2"
    assert Registry(root / ".plait" / "registry").resolve("dnn-small@production").version == 1
    third = train_model(project, "dnn-small", overrides={"training": {"epochs": 1}}, resume=False)
    assert not third.reused
    assert third.result.curve == other.result.curve


@pytest.fixture
def embedded(root, monkeypatch):
    """The shop with text vectors of a made-up encoder."""
    for module in ("plait.pipelines.embed", "plait.pipelines.sample_texts", "plait.llm.tunable"):
        monkeypatch.setattr(f"{module}.open_encoder", lambda *_: LayeredWords(width=40))
    project = open_project(root)
    build_embeddings(project)
    return project


def test_what_ctrl_leaves_behind_is_the_backbone(embedded):
    """Same tensors, same bytes, same specification; and nothing of the text tower."""
    once = {"training": {"epochs": 1, "tensorboard": False}}
    trained = [train_model(embedded, recipe, overrides=once) for recipe in ("autoint", "ctrl-autoint")]
    registry = Registry(embedded.hidden / "registry")
    plain, aligned = (registry.resolve(one.reference) for one in trained)
    assert plain.file("model.safetensors").stat().st_size == aligned.file("model.safetensors").stat().st_size
    shapes = [{name: (each.shape, each.dtype) for name, each in one.model.state_dict().items()} for one in trained]
    assert shapes[0] == shapes[1]
    assert not [name for name in shapes[1] if "text" in name or "align" in name]
    assert plain.file("spec.json").read_bytes() == aligned.file("spec.json").read_bytes()
    described = [json.loads(one.file("model.json").read_text()) for one in (plain, aligned)]
    assert described[0]["model"] == described[1]["model"]
    assert type(load_model(aligned)) is type(load_model(plain))
    stage_one = train_model(embedded, "ctrl-autoint-align")
    with pytest.raises(ArtifactError, match="family 'ctrl'"):
        load_model(registry.resolve(stage_one.reference))


def test_a_text_tower_that_learns_leaves_the_backbone_behind_too(embedded):
    """Its layer moves, it reads the texts that the vectors were made of, and what is served has no trace of it."""
    once = {"training": {"epochs": 1, "tensorboard": False}}
    plain, tuned = (train_model(embedded, recipe, overrides=once).model for recipe in ("dcnv2", "ctrl-dcnv2-tuned"))
    assert list(plain.state_dict()) == list(tuned.state_dict())
    stage_one = train_model(embedded, "ctrl-dcnv2-tuned-align", overrides=once).model
    learnt = {name: value for name, value in stage_one.of_text.top.state_dict().items() if "up" in name}
    assert learnt, "B begins at zero"
    assert all(float(value.abs().max()) > 0 for value in learnt.values())


def test_what_learning_layers_read_is_what_was_encoded(embedded):
    """Untouched, the layers make of every exposure's states the vectors that the frozen tower is given."""
    align = AlignmentConfig(tuned_layers=1)
    (folder, frozen), (tuned_folder, tuned) = (aligned_texts(embedded, each) for each in (AlignmentConfig(), align))
    assert folder != tuned_folder
    assert aligned_texts(embedded, align)[0] == tuned_folder, "made once"
    rows = np.arange(0, 1200, 7)
    tower = TextTower(align, tuned.width, LayeredWords(width=40).top(1))
    vectors = [tower._vectors(part).detach() for part in tuned.batch(rows)]
    assert len(vectors) == len(frozen.parts) == 2
    for vector_BW, expected_BW in zip(vectors, frozen.batch(rows), strict=True):
        torch.testing.assert_close(vector_BW, expected_BW, atol=1e-3, rtol=0)
        assert float(expected_BW.abs().sum()) > 0
    items_only = aligned_texts(embedded, align.model_copy(update={"tuned_parts": ["item"]}))[1].batch(rows)
    assert [type(part) for part in items_only] == [torch.Tensor, TokenStates]
    with pytest.raises(ConfigError, match=r"tuned_parts is \['context'\]: .* parts \['user', 'item'\]"):
        aligned_texts(embedded, align.model_copy(update={"tuned_parts": ["context"]}))


def test_alignment_without_texts_says_what_to_run(root, tmp_path):
    shutil.copytree(root, tmp_path / "bare", ignore=shutil.ignore_patterns(".plait"))
    with pytest.raises(ArtifactError, match="plait embed"):
        train_model(open_project(tmp_path / "bare"), "ctrl-dcnv2")


def test_the_table_of_ctrl(embedded):
    options = CtrlOptions(recipes=("autoint", "ctrl-autoint"), seeds=(1,), bootstrap=40, requests=0, write=False)
    metrics, path = measure_ctrl(embedded, options)
    assert path is None
    gain = metrics["ctrl_autoint.auc"].value - metrics["autoint.auc"].value
    assert metrics["ctrl_autoint.gain"].value == pytest.approx(gain)
    assert metrics["ctrl_autoint.bytes"] == metrics["autoint.bytes"]
    known = [name for name in metrics if name.endswith("items_21_100")]  # 1,200 exposures of 12 items, most to train
    assert known == ["autoint.auc.items_21_100", "ctrl_autoint.auc.items_21_100", "ctrl_autoint.gain.items_21_100"]
    half = replace(options, settings=("training.share=0.5",))
    assert measure_ctrl(embedded, half)[0]["autoint.auc"] != metrics["autoint.auc"]
    assert measure_ctrl(embedded, options)[0] == metrics, "runs of other settings have other names"


def test_the_ablation_of_ctrl(embedded):
    """Every variant starts from an alignment of its own; what is laid over all alignments is not laid over rankers."""
    variants = ("as_shipped", "m_4", "to_text_only")
    options = AblationOptions(variants=variants, bootstrap=40, align=("training.batch_size=128",), write=False)
    metrics, path = measure_ablation(embedded, options)
    assert path is None
    assert {name.split(".")[0] for name in metrics} == {"dcnv2", *variants}
    assert len({metrics[f"{variant}.alignment"].value for variant in variants}) == len(variants)
    assert all(0 < metrics[f"{variant}.alignment"].value <= 1 for variant in variants)
    gain = metrics["m_4.auc"].value - metrics["dcnv2.auc"].value
    assert metrics["m_4.gain"].value == pytest.approx(gain)
    known = measure_ctrl(embedded, CtrlOptions(("dcnv2",), (1,), bootstrap=40, requests=0, write=False))[0]
    assert metrics["dcnv2.auc"] == known["dcnv2.auc"]


def test_the_ablation_sees_what_the_workspace_lets_its_models_see(embedded):
    """The variant without a change is the CTRL of the table, in a workspace that keeps inputs from its models too."""
    narrow = {"model": {"inputs": ["user", "item"]}}
    models = {
        name: ModelSettings(recipe=name, overrides=narrow) for name in ("dcnv2", "ctrl-dcnv2", "ctrl-dcnv2-align")
    }
    project = replace(embedded, workspace=embedded.workspace.model_copy(update={"models": models}))
    options = AblationOptions(variants=("as_shipped",), bootstrap=40, write=False)
    metrics, _ = measure_ablation(project, options)
    table = CtrlOptions(("dcnv2", "ctrl-dcnv2"), (1,), bootstrap=40, requests=0, write=False)
    known, _ = measure_ctrl(project, table)
    assert metrics["as_shipped.auc"] == known["ctrl_dcnv2.auc"]
    assert metrics["as_shipped.bytes"] == known["dcnv2.bytes"]


def test_the_table_of_text_methods(embedded):
    """Every method is there with quality and costs; who reads no text serves no more than the backbone."""
    options = MethodOptions(seeds=(1,), bootstrap=40, requests=2, write=False)
    metrics, path = measure_methods(embedded, options)
    assert path is None
    assert {name.split(".")[0] for name in metrics} == set(METHODS)
    for method in METHODS:
        assert metrics[f"{method}.p99_ms"].value > 0
        assert metrics[f"{method}.train_s"].value > 0
        assert 0 < metrics[f"{method}.auc"].value < 1
    size = {method: metrics[f"{method}.bytes"].value for method in METHODS}
    assert size["ctrl"] == size["distillation"] == size["none"] < size["user_embedding"] < size["kar"]
    assert metrics["distillation.train_s"].value > metrics["text_alone.train_s"].value / 2


def test_encoders_are_compared_on_some_users(embedded, monkeypatch):
    """Fakes by the kinds' names; only the drawn users' texts are encoded, and what was embedded before counts after."""

    def fake(settings, *_):
        encoder = HashedWords(width=40, version=settings.kind)
        encoder.name = settings.kind
        opened.append(encoder)
        return encoder

    opened = []
    for module in ("plait.pipelines.embed", "plait.pipelines.bench_encoders"):
        monkeypatch.setattr(f"{module}.open_encoder", fake)
    before = user_vectors(embedded)[0]
    asked = ("minilm", "gguf:model.gguf")
    options = EncoderOptions(asked, 20, every="5d", recipe="dnn-small", seeds=(1,), bootstrap=40, write=False)
    metrics, path = measure_encoders(embedded, options)
    assert path is None
    assert user_vectors(embedded)[0] == before
    for key in ("encoder.minilm", "llm.gguf"):
        gain = metrics[f"{key}.auc"].value - metrics["without.auc"].value
        assert metrics[f"{key}.gain"].value == pytest.approx(gain)
    apart = metrics["llm.gguf.auc"].value - metrics["encoder.minilm.auc"].value
    assert metrics["llm.gguf.gain_over_encoder"].value == pytest.approx(apart)
    texts = metrics["texts"].value
    assert len(set(opened[0].asked)) == texts <= 20 * 8, "of 20 users, one in five days of forty"
    with pytest.raises(ConfigError, match="expected one of"):
        measure_encoders(embedded, EncoderOptions(("gpt",)))


def test_the_map_of_an_alignment(embedded):
    """What is far from its partner before is near it after; the page has a dot for each and a line for each pair."""
    found = alignment_map(embedded, "ctrl-autoint-align", seed=3, rows=12)
    assert len(found.names) == 12
    for plane in (found.before, found.after):
        together = np.concatenate([plane.row_N2, plane.text_N2])
        assert together.shape == (24, 2)
        np.testing.assert_allclose(together.mean(0), 0, atol=1e-9)
        assert 0 <= plane.found <= 1
    page = alignment_page(found)
    assert page.count("<circle") == 2 * page.count('<line class="pair"') == 48
    keep_alignment(embedded, found)
    assert kept_views(embedded).alignment == found
    with pytest.raises(ConfigError, match="stage one"):
        alignment_map(embedded, "autoint", seed=3)


def test_a_student_learns_what_its_teacher_says(embedded):
    """With all the weight on the teacher, labels do not matter: the student's mean is the teacher's, not the rate."""
    once = {"epochs": 2, "tensorboard": False}
    taught = {"training": once | {"teacher_weight": 1.0}}
    student = train_model(embedded, "distil-dcnv2", name="student", overrides=taught)
    assert train_model(embedded, "distil-dcnv2", name="student", overrides=taught).reused
    assert not train_model(
        embedded, "distil-dcnv2", name="student", overrides={"training": once | {"teacher_weight": 0.5}}
    ).reused
    assert student.recipe.features.use == ()
    with pytest.raises(ConfigError, match="is no ranker"):
        train_model(embedded, "dcnv2", overrides={"training": {"teacher": "ctrl-dcnv2-align"}})


@pytest.mark.parametrize("family", ["popularity", "lr", "dnn-small", "hstu-small"])
def test_a_loaded_model_gives_the_logits_of_the_trained_one(root, family):
    project = open_project(root)
    trained = train_model(project, family, name=f"loaded-{family}", overrides={"training": {"epochs": 1}})
    registered = Registry(root / ".plait" / "registry").resolve(f"loaded-{family}@latest")
    dataset = EncodedDataset.open(encoded_dataset(project))
    model = load_model(registered)
    assert load_spec(registered) == dataset.spec
    batch = Batch.from_features(dataset.impression_batch(dataset.rows(Split.TEST), model.history))
    with torch.inference_mode():
        assert torch.equal(model(batch), trained.model(batch))
    assert registered.manifest.metrics["auc"] == pytest.approx(
        next(point.auc for point in trained.result.curve if point.step == trained.result.best_step)
    )


def test_files_that_do_not_fit_are_refused(root):
    project = open_project(root)
    trained = train_model(project, "lr", name="broken", register=False, overrides={"training": {"epochs": 1}})
    assert trained.version is None
    registry = Registry(root / ".plait" / "registry")
    other = registry.resolve(train_model(project, "popularity", name="whole").reference)
    files = {name: other.path / name for name in ("model.json", "spec.json")}
    registry.register("broken", {**files, "model.safetensors": trained.run / "best.safetensors"}, {})
    with pytest.raises(ArtifactError, match="broken@1: its files do not fit each other"):
        load_model(registry.resolve("broken"))


def test_models_of_the_workspace_file(root):
    trained = train_model(open_project(root), "mine")
    assert trained.reference == "mine@1"
    assert trained.recipe.training.batch_size == 128
    with pytest.raises(ConfigError, match="no recipe 'mined'"):
        train_model(open_project(root), "mined")


def test_the_command(root):
    arguments = ["train", "lr", "-w", str(root), "--name", "by-hand", "--set", "training.epochs=1"]
    result = CliRunner().invoke(register_commands(), arguments)
    assert result.exit_code == 0, result.output
    assert "by-hand@1" in result.output


RATES = {"training.embedding_learning_rate": [1e-9, 0.05], "training.embedding_l2": [0.0]}


def searched(project, rates=RATES, **training):
    return train_model(
        project,
        "lr",
        name="tried" if rates else "alone",
        overrides={"training": {"epochs": 1, "tensorboard": False, "learning_rate": 1e-9, **training}, "search": rates},
    )


def test_the_validation_window_chooses_among_values(root):
    """With next to no learning rate nothing is learnt; the other candidate finds out what is clicked."""
    project = open_project(root)
    tried = searched(project)
    assert tried.recipe.training.embedding_learning_rate == 0.05
    slow, fast = (searched(project, {}, embedding_learning_rate=rate, embedding_l2=0.0) for rate in (1e-9, 0.05))
    assert tried.best_value == fast.best_value < slow.best_value
    assert tried.seconds > tried.result.seconds, "the cost is that of all candidates"
    manifest = Registry(root / ".plait" / "registry").resolve("tried").manifest
    assert manifest.config["training"]["embedding_learning_rate"] == 0.05
    assert "search" not in manifest.config


def test_a_second_search_trains_nothing(root):
    first, again = (searched(open_project(root)) for _ in range(2))
    assert again.reused
    assert (again.reference, again.result, again.seconds) == (first.reference, first.result, first.seconds)
