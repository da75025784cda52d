import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from plait.evaluation import auc, gauc, user_auc
from plait.evaluation.auc import RankedPairs
from plait.evaluation.bootstrap import draw_users


def test_auc_by_hand():
    # Pairs (positive, negative): .8 beats .5 and .2 (2), .5 ties .5 (1/2) and beats .2 (1): 3.5 of 4.
    assert auc(np.array([1, 1, 0, 0]), np.array([0.8, 0.5, 0.5, 0.2])) == 3.5 / 4


def test_auc_extremes_and_one_class():
    scores = np.array([0.1, 0.2, 0.3])
    assert auc(np.array([0, 0, 1]), scores) == 1.0
    assert auc(np.array([1, 0, 0]), scores) == 0.0
    assert auc(np.array([1, 0, 1]), np.full(3, 0.7)) == 0.5
    assert np.isnan(auc(np.ones(3), scores))
    assert np.isnan(auc(np.zeros(0), np.zeros(0)))


@pytest.mark.parametrize("levels", [3, 50, 10**9])
def test_auc_equals_scikit_learn_with_few_many_and_no_ties(levels: int):
    random = np.random.default_rng(levels)
    labels, scores = random.integers(0, 2, 2000), random.integers(0, levels, 2000) / levels
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_user_auc_by_hand():
    users = np.array([0, 0, 0, 1, 1, 2])
    labels = np.array([1, 0, 0, 0, 1, 1])
    scores = np.array([0.5, 0.4, 0.6, 0.3, 0.3, 0.9])
    # User 0: its positive beats one of two negatives; user 1: a tie; user 2: one class; user 3: no rows.
    np.testing.assert_array_equal(user_auc(labels, scores, users, 4), [1 / 2, 1 / 2, np.nan, np.nan])


def test_user_auc_equals_scikit_learn():
    random = np.random.default_rng(1)
    users, labels = random.integers(0, 40, 1500), random.integers(0, 2, 1500)
    scores = random.integers(0, 12, 1500) / 12
    expected = [roc_auc_score(labels[users == user], scores[users == user]) for user in range(40)]
    np.testing.assert_allclose(user_auc(labels, scores, users, 40), expected, atol=1e-12)


def test_gauc_by_hand():
    users = np.array(["ann", "ann", "bob", "bob", "bob", "cy"])
    labels = np.array([1, 0, 0, 1, 0, 1])
    scores = np.array([0.9, 0.1, 0.8, 0.5, 0.4, 0.7])
    # Ann 1 with 2 rows, Bob 1/2 with 3 rows, Cy left out: (2 * 1 + 3 * 1/2) / 5, one user of three left out.
    value, left_out = gauc(labels, scores, users)
    assert value == pytest.approx(3.5 / 5)
    assert left_out == pytest.approx(1 / 3)
    value, left_out = gauc(np.ones(6), scores, users)
    assert np.isnan(value)
    assert left_out == 1.0


def test_auc_under_weights_equals_the_auc_of_the_rows_written_out():
    """The fast path (one sort) against the slow and sure one: repeat every row as often as its user was drawn."""
    random = np.random.default_rng(2)
    users, labels = random.integers(0, 30, 800), random.integers(0, 2, 800)
    scores = random.integers(0, 60, 800) / 60
    weights_RU = draw_users(30, 25, seed=3)
    fast_R = RankedPairs.of(labels, scores, users).auc_under(weights_RU)
    for r, weights_U in enumerate(weights_RU):
        times_B = weights_U[users]
        slow = roc_auc_score(np.repeat(labels, times_B), np.repeat(scores, times_B))
        assert fast_R[r] == pytest.approx(slow, abs=1e-12)
        assert auc(np.repeat(labels, times_B), np.repeat(scores, times_B)) == fast_R[r]


def test_auc_under_weights_is_undefined_where_a_class_was_not_drawn():
    ranked = RankedPairs.of(np.array([1, 0]), np.array([0.6, 0.4]), np.array([0, 1]))
    weights_RU = np.array([[1, 1], [2, 0], [0, 2]], np.uint8)
    np.testing.assert_array_equal(ranked.auc_under(weights_RU), [1.0, np.nan, np.nan])
