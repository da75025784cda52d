import json
import math

import numpy as np
import pytest

from plait.errors import DataError
from plait.evaluation import Comparison, compare, compare_over_seeds, evaluate, over_seeds, paired_difference
from plait.evaluation.bootstrap import draw_users, interval
from plait.evaluation.comparison import student_quantile


def table(users: int, rows_each: int, seed: int) -> dict:
    random = np.random.default_rng(seed)
    users_B = np.repeat(np.arange(users), rows_each)
    level_U = random.beta(2, 2, users)
    labels_BT = (random.random(len(users_B)) < level_U[users_B]).astype(float)[:, None]
    return {
        "labels_BT": labels_BT,
        "mask_BT": np.ones_like(labels_BT, bool),
        "users_B": users_B,
        "scenarios_B": np.zeros(len(users_B), int),
        "objectives": ("click",),
        "scenarios": ("feed",),
    }


def test_each_resample_draws_as_many_users_as_there_are():
    weights_RU = draw_users(500, 80, seed=1)
    assert (weights_RU.sum(axis=1) == 500).all()
    assert (weights_RU == draw_users(500, 80, seed=1)).all()
    assert (weights_RU != draw_users(500, 80, seed=2)).any()
    # A user is in a resample with probability 1 - (1 - 1/500)^500 = 0.6325; 40,000 draws: 4 sigma is under 0.01.
    assert (weights_RU > 0).mean() == pytest.approx(1 - (1 - 1 / 500) ** 500, abs=0.01)


def test_interval_is_the_middle_of_the_resamples():
    assert interval(np.arange(1001.0)) == pytest.approx((25, 975))
    assert interval(np.where(np.arange(1001) % 3, np.arange(1001.0), np.nan)) != (None, None)
    assert interval(np.where(np.arange(100) < 60, np.nan, 1.0)) == (None, None)
    assert interval(np.zeros(0)) == (None, None)


def test_interval_of_a_mean_equals_theory_with_users_as_the_unit():
    """With as many rows for every user, the Brier score is a mean of user means: its error is known in closed form."""
    data = table(users=400, rows_each=25, seed=3)
    given = np.full_like(data["labels_BT"], 0.3)
    result = evaluate(**data, probabilities_BT=given, bootstrap=1000, seed=4)
    user_means_U = ((given - data["labels_BT"]) ** 2)[:, 0].reshape(400, 25).mean(axis=1)
    error = user_means_U.std() / math.sqrt(400)
    width = result.overall.brier.high - result.overall.brier.low
    assert width == pytest.approx(2 * 1.96 * error, rel=0.12)
    # Rows as the unit would claim far too much: users differ from each other.
    assert width > 2 * (2 * 1.96 * ((given - data["labels_BT"]) ** 2).std() / math.sqrt(400 * 25))


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    """PCOC of the true rate is 1; of 60 worlds, 95 % intervals miss it in about 3 (12 or more: chance < 1e-4)."""
    missed = 0
    for seed in range(60):
        data = table(users=120, rows_each=5, seed=seed)
        half = np.full_like(data["labels_BT"], 0.5)  # the mean of beta(2, 2)
        pcoc = evaluate(**data, probabilities_BT=half, bootstrap=200, seed=seed).overall.pcoc
        missed += not pcoc.low <= 1 <= pcoc.high
    assert missed < 12


def test_pairing_makes_a_small_steady_gain_visible():
    data = table(users=300, rows_each=20, seed=5)
    random = np.random.default_rng(6)
    labels = data["labels_BT"]
    a = np.clip(0.5 + 0.2 * (labels - 0.5) + random.normal(0, 0.15, labels.shape), 0.01, 0.99)
    b = np.clip(a + 0.01 * (labels - 0.5), 0.01, 0.99)
    result_a, result_b = (evaluate(**data, probabilities_BT=one, bootstrap=200) for one in (a, b))
    auc = paired_difference(result_a, result_b).overall["auc"]
    assert auc.excludes_zero
    assert auc.difference > 0
    # The two intervals by themselves overlap: only the pairing shows it.
    assert result_b.overall.auc.low < result_a.overall.auc.high


def test_a_model_against_itself_differs_by_nothing():
    data = table(users=50, rows_each=10, seed=7)
    given = np.random.default_rng(8).random(data["labels_BT"].shape)
    same = compare(**data, probabilities_a_BT=given, probabilities_b_BT=given, bootstrap=50)
    assert {one.difference for one in same.overall.values()} == {0.0}
    assert not any(one.excludes_zero for one in same.overall.values())


def test_other_rows_are_not_compared():
    data = table(users=50, rows_each=10, seed=7)
    given = np.random.default_rng(8).random(data["labels_BT"].shape)
    first = evaluate(**data, probabilities_BT=given, bootstrap=20)
    others = [
        evaluate(**data, probabilities_BT=given, bootstrap=20, seed=1),
        evaluate(**data, probabilities_BT=given, bootstrap=21),
        evaluate(**{**data, "labels_BT": 1 - data["labels_BT"]}, probabilities_BT=given, bootstrap=20),
        evaluate(**{**data, "users_B": data["users_B"][::-1]}, probabilities_BT=given, bootstrap=20),
    ]
    for other in others:
        with pytest.raises(DataError, match="different rows, outcomes or resamples"):
            paired_difference(first, other)


def test_over_seeds_adds_what_seeds_vary_to_what_users_vary():
    data = table(users=200, rows_each=10, seed=9)
    labels = data["labels_BT"]
    results = []
    for seed in range(4):
        noise = np.random.default_rng(seed).normal(0, 0.2, labels.shape)
        given = np.clip(0.5 + 0.1 * (labels - 0.5) + noise, 0.01, 0.99)
        results.append(evaluate(**data, probabilities_BT=given, bootstrap=150))
    values = np.array([one.overall.auc.value for one in results])
    auc = over_seeds(results)["auc"]
    assert auc.value == pytest.approx(values.mean())
    mean_of_resamples = np.mean([one.replicates["overall"]["auc"] for one in results], axis=0)
    of_users, of_seeds = mean_of_resamples.var(ddof=1), values.var(ddof=1) / 4
    freedom = (of_users + of_seeds) ** 2 / (of_seeds**2 / 3)
    reach = student_quantile(freedom) * math.sqrt(of_users + of_seeds)
    assert (auc.low, auc.high) == (pytest.approx(values.mean() - reach), pytest.approx(values.mean() + reach))
    one_seed = over_seeds(results[:1])["auc"]
    assert (one_seed.low, one_seed.high) == (results[0].overall.auc.low, results[0].overall.auc.high)


def test_comparison_over_seeds_pairs_seed_by_seed():
    data = table(users=100, rows_each=10, seed=10)
    results = [
        evaluate(**data, probabilities_BT=np.random.default_rng(seed).random(data["labels_BT"].shape), bootstrap=40)
        for seed in range(4)
    ]
    comparison = compare_over_seeds(results[:2], results[2:])
    values = [one.overall.auc.value for one in results]
    assert comparison.seeds == 2
    expected = (values[2] + values[3] - values[0] - values[1]) / 2
    assert comparison.overall["auc"].difference == pytest.approx(expected)
    assert Comparison.from_json(json.loads(json.dumps(comparison.to_json(), allow_nan=False))) == comparison
    with pytest.raises(DataError, match="2 evaluations of A and 1 of B"):
        compare_over_seeds(results[:2], results[:1])


def test_student_quantile_equals_scipy():
    stats = pytest.importorskip("scipy.stats")
    for freedom in (1, 2, 3.5, 5.2, 10, 17, 100, 1e9, math.inf):
        expected = 1.959964 if math.isinf(freedom) else stats.t.ppf(0.975, freedom)
        assert student_quantile(freedom) == pytest.approx(expected, rel=0.03 if freedom < 4 else 0.006)
