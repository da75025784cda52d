"""Rank correlations by hand."""

import math

import numpy as np
import pytest

from plait.evaluation.agreement import kendall, mean_ranks, spearman


def test_equal_values_share_their_rank():
    assert mean_ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [2.5, 0.0, 2.5, 1.0]


def test_spearman_is_one_less_six_squared_differences():
    # Ranks 0 1 2 3 4 and 1 0 2 4 3: 1 - 6 (1 + 1 + 0 + 1 + 1) / (5 (25 - 1)) = 0.8.
    assert spearman(np.arange(5.0), np.array([10.0, 3.0, 20.0, 99.0, 50.0])) == pytest.approx(0.8)


def test_kendall_counts_pairs():
    # Of ten pairs two are the other way round: (8 - 2) / 10.
    assert kendall(np.arange(5.0), np.array([10.0, 3.0, 20.0, 99.0, 50.0])) == pytest.approx(0.6)
    # a = 1 1 2, b = 1 2 3: two pairs agree, one is equal in a: 2 / sqrt(2 x 3).
    assert kendall(np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0])) == pytest.approx(2 / math.sqrt(6))


@pytest.mark.parametrize("measure", [spearman, kendall])
def test_ends_and_nothing_to_say(measure):
    a = np.array([0.3, 0.1, 0.7, 0.2])
    assert measure(a, np.exp(a)) == pytest.approx(1.0)
    assert measure(a, -a) == pytest.approx(-1.0)
    assert math.isnan(measure(a, np.ones(4)))
