import json
import math

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from plait.errors import DataError
from plait.evaluation import RankingEvaluation, evaluate_ranking, ranks_from_scores


def test_by_hand():
    result = evaluate_ranking(np.array([1, 3, 8, np.inf]), np.arange(4), ks=(2, 5), bootstrap=0)
    values = {name: one.value for name, one in result.metrics.items()}
    assert values["hr@2"] == 1 / 4
    assert values["hr@5"] == 2 / 4
    assert values["ndcg@2"] == pytest.approx((1 / math.log2(2)) / 4)
    assert values["ndcg@5"] == pytest.approx((1 + 1 / math.log2(4)) / 4)
    assert values["mrr"] == pytest.approx((1 + 1 / 3 + 1 / 8 + 0) / 4)


def test_ndcg_equals_scikit_learn():
    random = np.random.default_rng(0)
    scores = random.permutation(200 * 40).reshape(200, 40).astype(float)
    target = random.integers(0, 40, 200)
    relevance = np.eye(40)[target]
    others = np.where(relevance > 0, -np.inf, scores)
    ranks = ranks_from_scores(scores[np.arange(200), target], others)
    for k in (1, 10):
        ours = evaluate_ranking(ranks, np.arange(200), ks=(k,), bootstrap=0).metrics[f"ndcg@{k}"].value
        assert ours == pytest.approx(ndcg_score(relevance, scores, k=k))


def test_ties_by_hand():
    target = np.array([0.5, 0.5])
    others = np.array([[0.9, 0.5, 0.5, 0.1], [0.5, -np.inf, 0.4, 0.3]])
    assert ranks_from_scores(target, others).tolist() == [1 + 1 + 2, 1 + 0 + 1]
    assert ranks_from_scores(target, others, ties="mean").tolist() == [1 + 1 + 2 / 2, 1 + 0 + 1 / 2]


def test_a_model_that_scores_all_alike_does_not_look_good():
    ranks = ranks_from_scores(np.zeros(5), np.zeros((5, 100)))
    assert evaluate_ranking(ranks, np.arange(5), ks=(10,), bootstrap=0).metrics["hr@10"].value == 0


def test_interval_by_user_and_json_round_trip():
    random = np.random.default_rng(1)
    result = evaluate_ranking(random.integers(1, 30, 500), np.repeat([f"u{i}" for i in range(100)], 5), seed=3)
    hit = result.metrics["hr@10"]
    assert hit.low < hit.value < hit.high
    assert RankingEvaluation.from_json(json.loads(json.dumps(result.to_json()))) == result


def test_wrong_input_is_refused():
    with pytest.raises(DataError, match="each a number from 1"):
        evaluate_ranking(np.array([0, 1]), np.arange(2))
    with pytest.raises(DataError, match="0 ranks"):
        evaluate_ranking(np.array([]), np.array([]))
    with pytest.raises(DataError, match="NaN"):
        ranks_from_scores(np.array([np.nan]), np.zeros((1, 2)))
