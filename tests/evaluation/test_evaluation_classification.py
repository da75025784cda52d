import json
import math

import numpy as np
import pytest
from sklearn import metrics

from plait.errors import DataError
from plait.evaluation import Evaluation, compare, evaluate, gauc, paired_difference

OBJECTIVES = ("click", "install")
SCENARIOS = ("首页", "search")


def world(rows: int = 3000, users: int = 150, seed: int = 0) -> dict:
    random = np.random.default_rng(seed)
    users_B = random.integers(0, users, rows)
    taste_U = random.normal(0, 0.7, users)
    logits_BT = random.normal(-1.2, 1, (rows, 2)) + taste_U[users_B][:, None]
    truth_BT = 1 / (1 + np.exp(-logits_BT))
    return {
        "labels_BT": (random.random((rows, 2)) < truth_BT).astype(np.float32),
        "mask_BT": random.random((rows, 2)) < 0.8,
        "probabilities_BT": truth_BT,
        "users_B": users_B,
        "scenarios_B": random.integers(0, 2, rows),
        "objectives": OBJECTIVES,
        "scenarios": SCENARIOS,
    }


def test_every_slice_equals_scikit_learn_on_its_mature_rows():
    table = world()
    result = evaluate(**table, bootstrap=0)
    slices = {(None, t): table["mask_BT"][:, t] for t in range(2)}
    slices |= {(s, t): table["mask_BT"][:, t] & (table["scenarios_B"] == s) for s in range(2) for t in range(2)}
    for (s, t), rows in slices.items():
        group = result.by_objective if s is None else result.cells[SCENARIOS[s]]
        scores = group[OBJECTIVES[t]]
        labels, given = table["labels_BT"][rows, t], table["probabilities_BT"][rows, t]
        assert (scores.labels, scores.positives) == (rows.sum(), labels.sum())
        assert scores.users == len(np.unique(table["users_B"][rows]))
        assert scores.auc.value == pytest.approx(metrics.roc_auc_score(labels, given))
        assert scores.logloss.value == pytest.approx(metrics.log_loss(labels, given))
        assert scores.brier.value == pytest.approx(metrics.brier_score_loss(labels, given))
        assert scores.pcoc.value == pytest.approx(given.mean() / labels.mean())
        value, left_out = gauc(labels, given, table["users_B"][rows])
        assert scores.gauc.value == pytest.approx(value)
        assert scores.one_class_share == pytest.approx(left_out)
        assert scores.auc.low is None


def test_overall_is_the_mean_over_objectives_pooled_over_scenarios():
    result = evaluate(**world(), bootstrap=0)
    click, install = (result.by_objective[name].auc.value for name in OBJECTIVES)
    assert result.overall.auc.value == pytest.approx((click + install) / 2)
    click, install = (result.cells["首页"][name].auc.value for name in OBJECTIVES)
    assert result.by_scenario["首页"].auc.value == pytest.approx((click + install) / 2)


def test_labels_that_are_not_mature_are_not_read():
    table = world()
    before = evaluate(**table, bootstrap=30)
    unknown = ~table["mask_BT"]
    table["labels_BT"] = np.where(unknown, np.nan, table["labels_BT"])
    table["probabilities_BT"] = np.where(unknown, np.nan, table["probabilities_BT"])
    assert evaluate(**table, bootstrap=30) == before


def test_undefined_is_nan_and_listed():
    table = world()
    in_search = table["scenarios_B"] == 1
    table["mask_BT"][in_search, 0] = False
    table["labels_BT"][in_search, 1] = 0
    result = evaluate(**table, bootstrap=40)
    click, install = (result.cells["search"][name] for name in OBJECTIVES)
    assert all(math.isnan(one.value) and one.low is None for one in click.metrics().values())
    assert math.isnan(install.auc.value)
    assert install.logloss.value > 0
    found = {(one.scenario, one.objective): one for one in result.undefined}
    assert set(found) == {("search", "click"), ("search", "install")}
    assert found["search", "click"].reason == "no mature rows"
    assert "no positives among" in found["search", "install"].reason
    assert found["search", "install"].metrics == ("auc", "gauc", "normalised_entropy", "pcoc")
    assert math.isnan(result.by_scenario["search"].auc.value)
    assert result.by_scenario["search"].logloss.value == pytest.approx(install.logloss.value)


def test_json_round_trip_with_undefined_parts():
    table = world(rows=300)
    table["mask_BT"][table["scenarios_B"] == 1] = False
    result = evaluate(**table, bootstrap=25)
    text = json.dumps(result.to_json(), allow_nan=False, ensure_ascii=False)
    again = Evaluation.from_json(json.loads(text))
    assert json.dumps(again.to_json(), ensure_ascii=False) == text
    assert again.overall == result.overall
    assert again.reliability == result.reliability
    assert again.undefined == result.undefined
    assert paired_difference(again, result).overall["auc"].difference == 0


def test_names_of_users_do_not_matter_and_order_of_rows_does_not_either():
    table = world(rows=500)
    as_text = {**table, "users_B": np.array([f"user {user:03}" for user in table["users_B"]])}
    assert evaluate(**as_text, bootstrap=20).overall == evaluate(**table, bootstrap=20).overall
    order = np.random.default_rng(0).permutation(500)
    shuffled = {key: value[order] if key.endswith(("_B", "_BT")) else value for key, value in table.items()}
    first, second = (evaluate(**one, bootstrap=20).overall for one in (table, shuffled))
    assert first.auc == second.auc
    assert first.logloss.low == pytest.approx(second.logloss.low)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probabilities_BT": np.full((3000, 2), 1.5)}, "6000|outside"),
        ({"probabilities_BT": np.full((3000, 2), np.nan)}, "NaN"),
        ({"labels_BT": np.full((3000, 2), 4.0)}, "neither 0 nor 1"),
        ({"mask_BT": np.ones((3000, 3), bool)}, r"mask_BT has shape \(3000, 3\), expected \(3000, 2\)"),
        ({"scenarios_B": np.full(3000, 2)}, "scenario codes run from 2 to 2"),
        ({"users_B": np.zeros(7)}, "users_B"),
    ],
)
def test_wrong_input_is_refused(change: dict, message: str):
    with pytest.raises(DataError, match=message):
        evaluate(**{**world(), **change})


def test_compare_is_two_evaluations_and_their_difference():
    table = world()
    a = 0.5 * table["probabilities_BT"] + 0.5 * np.random.default_rng(9).random((3000, 2))
    b = table.pop("probabilities_BT")
    comparison = compare(**table, probabilities_a_BT=a, probabilities_b_BT=b, bootstrap=60, seed=2)
    result_a = evaluate(**table, probabilities_BT=a, bootstrap=60, seed=2)
    result_b = evaluate(**table, probabilities_BT=b, bootstrap=60, seed=2)
    auc = comparison.overall["auc"]
    assert (auc.a, auc.b) == (result_a.overall.auc.value, result_b.overall.auc.value)
    assert auc.difference == pytest.approx(auc.b - auc.a)
    assert auc.low < auc.difference < auc.high
    assert auc.excludes_zero
    assert comparison == paired_difference(result_a, result_b)
