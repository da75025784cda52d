"""`plait embed` on a tiny simulated market with a fake encoder: what is encoded, when, and for whom."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from plait.errors import ArtifactError, DataError
from plait.pipelines import embed
from plait.pipelines.check import checked_tables
from plait.pipelines.embed import TextDesk, build_embeddings, creative_text, item_text, item_vectors, user_vectors
from plait.pipelines.project import open_project
from plait.pipelines.samples import built_samples
from plait.pipelines.simulate import simulate_world
from plait.testing.encoders import HashedWords


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("market")
    simulate_world(folder, size="tiny", seed=5, users=40, media=False, processes=1)
    return open_project(folder)


@pytest.fixture
def encoder(monkeypatch):
    fake = HashedWords()
    monkeypatch.setattr(embed, "open_encoder", lambda *_: fake)
    return fake


def test_vectors_are_those_of_texts_and_never_made_twice(project, encoder):
    with pytest.raises(ArtifactError, match="plait embed"):
        user_vectors(project)
    made = build_embeddings(project)
    first = len(encoder.asked)
    assert made.encoder == "hashed-words"
    _, users = user_vectors(project)
    desk = TextDesk.open(project)
    for row in range(0, len(users.user_R), 97):
        user, time = users.users[int(users.user_R[row])], int(users.time_R[row])
        expected_D = HashedWords().encode([desk.text_of(str(user), time)])[0]
        np.testing.assert_array_equal(users.vectors_MD[users.text_R[row]], expected_D)
    _, items = item_vectors(project)
    assert len(items.items) == len(items.vectors_VD) == len(desk.texts._catalogue.words)
    assert build_embeddings(project) == made
    assert len(encoder.asked) == first, "nothing is encoded twice"


def test_training_snapshots_are_what_training_exposures_see(project, encoder):
    """The reference: each training exposure's latest snapshot before it, by brute force."""
    build_embeddings(project)
    _, users = user_vectors(project)
    exposures = pl.read_parquet(built_samples(project) / "exposures" / "part-*.parquet").filter(split="train")
    places = {user: place for place, user in enumerate(users.users)}
    seen = set()
    for user, time in exposures.select("user_id", "time").iter_rows():
        own_R = np.flatnonzero((users.user_R == places[user]) & (users.time_R < time))
        if len(own_R):
            seen.add(int(own_R[users.time_R[own_R].argmax()]))
    assert set(np.flatnonzero(users.training_R).tolist()) == seen


def test_texts_of_items_and_creatives(project):
    tables = checked_tables(project)
    creative, item = pl.read_parquet(tables / "creatives" / "*.parquet").select("creative_id", "item_id").row(0)
    shown = item_text(project, str(item))
    assert shown.split("，")[0] in creative_text(project, str(creative))
    for text, kind in ((item_text, "item"), (creative_text, "creative")):
        with pytest.raises(DataError, match=f"no {kind} 'nothing'"):
            text(project, "nothing")


def test_vectors_of_some_users_only(project, encoder):
    """Three of forty, and only what samples see of them."""
    embedding = project.workspace.embedding.model_copy(update={"users": 3})
    some = replace(project, workspace=project.workspace.model_copy(update={"embedding": embedding}))
    with embed.passing_embeddings(project):
        made = build_embeddings(some, items=False)
        assert made.items is None
        _, users = user_vectors(some)
    everyone = user_vectors(project)[1]
    assert len(np.unique(users.user_R)) == 3
    whole = set(zip(everyone.user_R.tolist(), everyone.time_R.tolist(), strict=True))
    assert set(zip(users.user_R.tolist(), users.time_R.tolist(), strict=True)) <= whole


def test_unknown_user(project):
    with pytest.raises(DataError, match="neither exposures nor behaviour"):
        TextDesk.open(project).text_of("nobody")
