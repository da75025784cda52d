"""States kept between requests: each event runs through the tower once, and what comes out is the whole model's."""

import threading

import numpy as np
import pytest
import torch

from plait.features.history import History
from plait.features.online import OnlineFeatures
from plait.models.batch import Batch
from plait.models.loading import load_model
from plait.serving.split_scoring import SplitScorer
from plait.serving.user_tracks import UserTracks


@pytest.fixture
def model(world):
    return load_model(world.registry.resolve("hstu"))


def count_events(scorer):
    """How many events run through the tower, from now on."""
    tokens = []
    scorer._tower.item.register_forward_hook(lambda _, codes, __: tokens.append(len(codes[0])))
    return tokens


def first(history, count):
    parts = (history.item_N, history.action_N, history.scenario_N, history.time_N)
    return History(*(part[:count] for part in parts))


def test_each_event_runs_through_the_tower_once(world, model):
    """Requests of two users at several moments, to probabilities of the model without the split."""
    dataset, online = world.cut, OnlineFeatures.open(world.cut_data.encoded)
    scorer = SplitScorer(model)
    tokens = count_events(scorer)
    context = online.encode_context("search", 1_701_000_000_000)
    for user, events, expected in (
        (1, 30, [30]),
        (1, 30, []),
        (1, 32, [2]),
        (2, 30, [30]),
        (1, 40, [8]),
        (1, 41, [21]),  # the pass from event 20 on
        (1, 42, [1]),
        (3, 0, []),
    ):
        tokens.clear()
        history = dataset.history(user)
        history = History(
            *(part[:events] for part in (history.item_N, history.action_N, history.scenario_N, history.time_N))
        )
        rows = np.arange(1, 5)
        batch = online.batch(user, rows, rows, history, context, length=scorer.window(events))
        with torch.inference_mode():
            whole = torch.sigmoid(model(Batch.from_features(batch))).numpy()
        np.testing.assert_allclose(scorer.begin(batch)(batch), whole, atol=1e-6, rtol=0)
        assert [count for count in tokens if count] == expected


def test_what_arrives_is_taken_in_before_the_request(world, model):
    """Only for users whose state is kept: nobody else's behaviours cost anything."""
    dataset, online = world.cut, OnlineFeatures.open(world.cut_data.encoded)
    scorer = SplitScorer(model)
    tokens = count_events(scorer)
    known, more = first(dataset.history(1), 20), first(dataset.history(1), 23)
    scorer.arrived(known)
    assert tokens == []
    context = online.encode_context("search", 1_701_000_000_000)
    rows = np.arange(1, 5)
    scorer.begin(online.batch(1, rows, rows, known, context, length=20))
    scorer.arrived(more)
    scorer.begin(online.batch(1, rows, rows, more, context, length=23))
    assert tokens == [20, 3]


def some_history(first_ms, events=10):
    codes = np.ones(events, np.int32)
    return History(codes, codes, codes, first_ms + np.arange(events) * 1000)


def test_memory_is_bounded_and_the_latest_stay(model):
    steps = model.split()[0].steps()
    one = UserTracks(steps)
    one.summary(some_history(0))
    tracks = UserTracks(steps, most_bytes=3 * one.bytes)
    for user in (1, 2, 3, 1, 4):
        tracks.summary(some_history(user))
    assert len(tracks) == 3
    assert tracks.bytes == 3 * one.bytes
    tokens = []
    steps.tower.item.register_forward_hook(lambda _, codes, __: tokens.append(len(codes[0])))
    for user in (4, 1, 3, 2):
        tracks.summary(some_history(user))
    assert tokens == [10]


def test_many_threads_of_one_user(model):
    """Requests at several moments at once: every one gets the state of its own moment."""
    steps = model.split()[0].steps()
    tracks = UserTracks(steps)
    expected = {size: steps.summary(steps.follow(None, some_history(5, size))).state_1D for size in range(1, 30)}
    wrong = []

    def ask(seed):
        for size in np.random.default_rng(seed).integers(1, 30, 40):
            found = tracks.summary(some_history(5, size)).state_1D
            if not torch.allclose(found, expected[size], rtol=1e-5, atol=1e-5):
                wrong.append(size)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(tracks) == 1
