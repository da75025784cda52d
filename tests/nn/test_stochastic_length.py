"""Stochastic length against its formula: how many events stay, which, and what exposures see of them."""

import dataclasses

import numpy as np
import pytest
import torch

from plait.models.batch import Batch
from plait.models.builder import build_model
from plait.models.config import parse_model
from plait.nn.jagged import share_passes
from plait.nn.stochastic_length import kept_events
from plait.testing.batches import random_batch, random_item_fields, small_spec

SPEC = small_spec()
ITEM_FIELDS = random_item_fields(SPEC)


def valid(*lengths: int) -> torch.Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def test_short_sequences_stay_whole_and_long_ones_have_two_lengths():
    """N = 100, alpha = 1.5: up to 100^.75 = 31.6 events stay; 60 events are all or 31."""
    torch.manual_seed(0)
    whole_W = [kept_events(valid(0, 1, 31, 60), 100, 1.5).sum(1).tolist() for _ in range(200)]
    assert {tuple(lengths[:3]) for lengths in whole_W} == {(0, 1, 31)}
    assert {lengths[3] for lengths in whole_W} == {31, 60}


def test_whole_with_the_published_probability():
    """N^alpha / n^2 = 100^1.5 / 50^2 = 0.4; of 20,000 within four standard deviations (.014)."""
    torch.manual_seed(0)
    kept_W = kept_events(valid(50).expand(20_000, 50), 100, 1.5).sum(1)
    assert (kept_W == 50).double().mean().item() == pytest.approx(0.4, abs=0.014)


def test_every_event_but_the_first_is_as_likely():
    """100 events, N = 100, alpha = 1.2: 15 of them stay, the first always, each other with 14 of 99 (whole: N^-.8)."""
    torch.manual_seed(0)
    kept_WL = kept_events(valid(100).expand(20_000, 100), 100, 1.2)
    whole = 100**-0.8
    expected = whole + (1 - whole) * 14 / 99
    assert kept_WL[:, 0].all()
    np.testing.assert_allclose(kept_WL[:, 1:].double().mean(0).numpy(), expected, atol=0.012)
    assert kept_WL[0].tolist() != kept_WL[1].tolist()


def test_exposures_see_what_is_kept_before_them_in_order():
    """One pass over events 0 to 5, of which 0, 2, 3 and 5 stay: whoever saw 0, 1, 2, 4, 6 events sees 0, 1, 1, 3, 4."""
    before_B = torch.tensor([0, 1, 2, 4, 6])
    passes = share_passes(torch.tensor([0, 6]), torch.zeros(5, dtype=torch.int64), before_B, 8)
    thinned = passes.thinned(torch.tensor([[True, False, True, True, False, True]]))
    row_N, offsets_P1 = thinned.windows.flat()
    assert row_N.tolist() == [0, 2, 3, 5]
    assert offsets_P1.tolist() == [0, 4]
    assert thinned.seen_B.tolist() == [0, 1, 1, 3, 4]


def ranker(**sequence):
    config = {"family": "hstu", "embedding_dim": 4, "hidden": [8], "attention": {"events": 5}}
    sizes = {"width": 8, "heads": 2, "blocks": 2, "max_events": 64, "dropout": 0.0, "hidden": [8]}
    torch.manual_seed(0)
    model = build_model(parse_model({**config, "sequence": {**sizes, **sequence}}, "test"), SPEC, ITEM_FIELDS)
    for weight in model.parameters():
        weight.data.normal_(std=0.3)
    return model


def states(model, features) -> np.ndarray:
    """User states in training, the same events drawn every time."""
    batch = Batch.from_features(features)
    torch.manual_seed(5)
    with torch.no_grad():
        return model.user_state(batch, model.trunk(batch)).numpy()


def test_only_training_is_thinned_and_nothing_of_the_future_is_seen():
    """All exposures keep their targets; altering every event after one, times included, does not change its state."""
    features = random_batch(SPEC, ITEM_FIELDS, users=6, exposures_per_user=5, seed=2, max_history=60)
    thinned, plain = ranker(stochastic_length=1.2), ranker()
    thinned.trunk.unknown_rate = plain.trunk.unknown_rate = 0.0
    with torch.no_grad():
        batch = Batch.from_features(features)
        torch.testing.assert_close(thinned.eval()(batch), plain.eval()(batch), rtol=0, atol=0)
    thinned.train()
    state_BD = states(thinned, features)
    assert len(state_BD) == len(features)
    assert np.abs(state_BD - states(plain.train(), features)).max() > 1e-3
    np.testing.assert_array_equal(states(thinned, features), state_BD)
    rng = np.random.default_rng(0)
    for exposure in range(0, len(features), 3):
        first = features.history_offsets_U1[features.user_B[exposure]]
        later_N = np.ones(len(features.history_item_N), bool)
        later_N[first : first + features.before_B[exposure]] = False
        items_N, times_N = features.history_item_N.copy(), features.history_time_N.copy()
        items_N[later_N] = rng.integers(0, len(ITEM_FIELDS), later_N.sum())
        times_N[later_N] += rng.integers(0, 10**9, later_N.sum())
        altered = dataclasses.replace(features, history_item_N=items_N, history_time_N=times_N)
        np.testing.assert_allclose(states(thinned, altered)[exposure], state_BD[exposure], atol=1e-5)
