"""The order in which creatives are worth a label, against doing the same without any shortcut."""

import numpy as np
import pytest

from plait.content.labelling.coverage import coverage_order, first_of_each


def _plainly(alike: np.ndarray, weight: np.ndarray, known: list[int]) -> list[int]:
    order: list[int] = []
    for _ in range(len(alike) - len(known)):
        stood = alike[known + order].max(axis=0) if known + order else np.full(alike.shape[1], -1.0)
        left = [row for row in range(len(alike)) if row not in known + order]
        gains = {row: np.maximum(alike[row] - stood, 0) @ weight for row in left}
        order.append(max(gains, key=lambda row: (round(gains[row], 9), -row)))
    return order


@pytest.mark.parametrize("seed", range(5))
def test_lazy_order_is_the_greedy_one(seed: int) -> None:
    draw = np.random.default_rng(seed)
    feature = draw.normal(size=(40, 6)).astype(np.float32)
    covered, known = np.sort(draw.permutation(40)[:25]), draw.permutation(40)[: seed * 2].tolist()
    weight = draw.random(25).astype(np.float32)
    unit = (feature - feature.mean(axis=0)).astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    expected = _plainly(unit @ unit[covered].T, weight.astype(np.float64), known)
    order = coverage_order(feature, covered, weight, known)
    assert order.tolist()[:12] == expected[:12]
    assert sorted([*order.tolist(), *known]) == list(range(40))


def test_one_of_every_group_comes_first_and_the_largest_group_leads() -> None:
    draw = np.random.default_rng(3)
    group = np.repeat(np.arange(4), [50, 30, 15, 5])
    feature = (np.eye(4)[group] * 5 + draw.normal(size=(100, 4)) * 0.3).astype(np.float32)
    first = group[coverage_order(feature)[:4]]
    assert sorted(first.tolist()) == [0, 1, 2, 3]
    assert first[0] == 0


def test_what_is_known_or_does_not_count_need_not_be_stood_for() -> None:
    group = np.repeat(np.arange(3), 10)
    feature = (np.eye(3)[group] + np.random.default_rng(1).normal(size=(30, 3)) / 50).astype(np.float32)
    assert sorted(group[coverage_order(feature, known=[0])[:2]].tolist()) == [1, 2]
    weight = np.where(group == 2, 1, 0).astype(np.float32)
    assert group[coverage_order(feature, weight_M=weight)[0]] == 2


def test_alike_rows_and_none_at_all() -> None:
    assert sorted(coverage_order(np.ones((5, 2), np.float32)).tolist()) == [0, 1, 2, 3, 4]
    assert coverage_order(np.zeros((0, 3), np.float32)).tolist() == []


def test_first_of_each_label_in_an_order() -> None:
    label, order = np.array([1, 0, 1, 1, 0, 2, 1]), np.array([6, 4, 3, 0, 2, 1])
    assert first_of_each(label, order, 2).tolist() == [6, 4, 3, 1]
    assert first_of_each(label, order[:0], 2).tolist() == []
