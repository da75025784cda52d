"""From behaviour to a trained ranker: the groups, the sweep and the cold-start table, with a fake encoder."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from plait.console.sweep_page import sweep_page
from plait.embedding.reduction import Projection
from plait.embedding.supervised import Outcomes, fit_supervised
from plait.features.dataset import EncodedDataset
from plait.pipelines import embed
from plait.pipelines.cold_start import measure_cold_start, write_cold_start
from plait.pipelines.embed import TextDesk, build_embeddings, user_vectors
from plait.pipelines.embed_sweep import sweep_widths, write_sweep
from plait.pipelines.embedding_groups import PROJECTION_FILE, USER_EMBEDDING, user_embedding_group
from plait.pipelines.embedding_views import EmbeddingViews, keep_sweep, kept_views
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.feature_groups import dataset_with
from plait.pipelines.project import open_project
from plait.pipelines.simulate import simulate_world
from plait.schema import Split
from plait.testing.encoders import HashedWords


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("market")
    simulate_world(folder, size="tiny", seed=5, users=60, media=False, processes=1)
    opened = open_project(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embed, "open_encoder", lambda *_: HashedWords(24))
        build_embeddings(opened)
    return opened


def with_settings(project, **values):
    embedding = project.workspace.embedding.model_copy(update=values)
    return replace(project, workspace=project.workspace.model_copy(update={"embedding": embedding}))


def test_numbers_are_the_reduced_vector_of_the_users_past(project):
    small = with_settings(project, width=4)
    dataset = dataset_with(small, [USER_EMBEDDING])
    folder = user_embedding_group(small, encoded_dataset(small))
    projection = Projection.load(folder / PROJECTION_FILE)
    desk, every = TextDesk.open(small), small.workspace.embedding.every
    names = [number.name for number in dataset.spec.numbers[-4:]]
    assert names == [f"{USER_EMBEDDING}.{place}" for place in range(4)]
    rows_B = dataset.rows(Split.TEST)[::50]
    numbers_BX = dataset.impression_batch(rows_B, 1).numeric_BG[:, -4:]
    _, vectors = user_vectors(small)
    scale = projection(vectors.vectors_MD)[vectors.text_R]
    train = vectors.time_R <= dataset.times(dataset.rows(Split.TRAIN)).max()
    mean_X, std_X = scale[train].mean(axis=0), scale[train].std(axis=0)
    for row, numbers_X in zip(rows_B, numbers_BX, strict=True):
        user_id = dataset.tables.users.ids.value(int(dataset.user_rows(np.array([row]))[0]))
        boundary = (int(dataset.times(np.array([row]))[0]) - 1) // every * every
        user = desk.events.users.index(user_id)
        known = int(desk.events.known_before(np.array([user]), np.array([boundary]))[0])
        if not known:
            assert not numbers_X.any()
            continue
        last = int(desk.events.available_N[desk.events.offsets_U1[user] + known - 1])
        text = desk.texts.at(desk.events, user, known, (last // every + 1) * every)
        expected_X = (projection(HashedWords(24).encode([text]))[0] - mean_X) / std_X
        np.testing.assert_allclose(numbers_X, expected_X.clip(-8, 8), atol=1e-3)


def test_what_comes_later_reaches_no_text(project, tmp_path):
    """Drop all that arrives at or after an exposure from the log: the text that it sees stays as it was."""
    dataset = EncodedDataset.open(encoded_dataset(project))
    desk, every = TextDesk.open(project), project.workspace.embedding.every
    row = dataset.rows(Split.TEST)[:1]
    time = int(dataset.times(row)[0])
    simulate_world(tmp_path, size="tiny", seed=5, users=60, media=False, processes=1)
    for file in (tmp_path / "behaviours").glob("*.parquet"):
        frame = pl.read_parquet(file)
        frame.filter(pl.max_horizontal("time", "received_time") < time).write_parquet(file)
    altered = TextDesk.open(open_project(tmp_path))
    boundary = (time - 1) // every * every
    user_id = str(dataset.tables.users.ids.value(int(dataset.user_rows(row)[0])))
    assert altered.text_of(user_id, boundary) == desk.text_of(user_id, boundary)


@pytest.mark.parametrize("reduction", ["whiten", "random", "truncate", "supervised"])
def test_every_reduction_gives_a_group(project, reduction):
    dataset = dataset_with(with_settings(project, width=3, reduction=reduction), [USER_EMBEDDING])
    numbers_BX = dataset.impression_batch(dataset.rows(Split.TRAIN), 1).numeric_BG[:, -3:]
    assert np.isfinite(numbers_BX).all()
    assert (numbers_BX.std(axis=0) > 0.1).all()


def test_a_supervised_projection_finds_what_outcomes_depend_on():
    random = np.random.default_rng(1)
    vectors_BD = random.standard_normal((8000, 6)).astype(np.float32)
    labels_BT = (random.random((8000, 2)) < 1 / (1 + np.exp(-3 * vectors_BD[:, 2:3]))).astype(np.float32)
    outcomes = Outcomes(vectors_BD, random.integers(0, 20, 8000), labels_BT, np.ones((8000, 2), np.bool_))
    weight_D = fit_supervised(outcomes, 1)[:, 0]
    assert abs(weight_D[2]) / np.linalg.norm(weight_D) > 0.95


def test_sweep(project, tmp_path):
    found = sweep_widths(project, recipe="dnn-small", widths=(2, 4), seeds=(1,), bootstrap=20)
    assert [point.width for point in found.points] == [0, 2, 4]
    result = json.loads(write_sweep(found, "sweep", "plait embed sweep", folder=tmp_path).read_text())
    assert set(result["metrics"]) == {"auc_without", "auc_d2", "auc_d4", "gain_d2", "gain_d4"}
    assert "hashed-words" in result["notes"]
    page = sweep_page(found)
    assert page.count('<circle class="dot"') == 2
    assert f"{found.points[0].auc.value:.4f}" in page
    keep_sweep(project, found)
    assert kept_views(project).sweep == found
    assert kept_views(project).alignment is None


def test_a_kept_sweep_is_not_of_other_tables(project):
    views = EmbeddingViews(tables="of-earlier-tables", alignment=None)
    (project.hidden / "embedding-views.json").write_text(views.model_dump_json(), encoding="utf-8")
    assert kept_views(project).tables != "of-earlier-tables"
    (project.hidden / "embedding-views.json").write_text("{half", encoding="utf-8")
    assert kept_views(project).sweep is None


def test_served_candidates_come_from_texts_too(project):
    from plait.pipelines.models import model_registry
    from plait.pipelines.serve import served_data
    from plait.pipelines.train import train_model
    from plait.retrieval.vector_index import TextNeighbours

    trained = train_model(with_settings(project, width=4), "lr", overrides={"features": {"use": [USER_EMBEDDING]}})
    data = served_data(project, model_registry(project).resolve(trained.reference))
    dataset = EncodedDataset.open(data.encoded)
    source = TextNeighbours.load(data.retrieval / "text")
    items = dataset.tables.items.ids.encode(embed.item_vectors(project)[1].items)
    assert source._vectors_VD[items].any(axis=1).all()
    assert not source._vectors_VD[0].any(), "no text for the unknown item"


def test_cold_start(project, tmp_path):
    found = measure_cold_start(with_settings(project, width=4), recipe="dnn-small", seeds=(1,), bootstrap=20)
    path = write_cold_start(found, "cold", "plait embed cold-start", folder=tmp_path)
    metrics = json.loads(path.read_text())["metrics"]
    assert {f"auc_{bucket}.{kind}" for bucket in ("0", "1_5", "6_20") for kind in ("with", "without")} <= set(metrics)
    dataset = EncodedDataset.open(encoded_dataset(project))
    shown = dataset.item_rows(dataset.rows(Split.TRAIN)).tolist()
    tested = dataset.item_rows(dataset.rows(Split.TEST)).tolist()
    for bucket, wanted in (("0", {0}), ("1_5", {1, 2, 3, 4, 5})):
        rows = sum(shown.count(item) in wanted for item in tested)
        assert metrics[f"rows_{bucket}"]["value"] == rows
