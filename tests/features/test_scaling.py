"""Scales: means and deviations by hand."""

import math

import numpy as np
import pytest

from plait.features.scaling import fit_number, standardise
from plait.features.spec import Number

NAN = float("nan")


def test_weighted_mean_and_deviation() -> None:
    number = fit_number("age", "user", np.array([10.0, 20.0, NAN, 99.0]), np.array([3.0, 1.0, 5.0, 0.0]))
    # Three times 10 and once 20: mean 12.5, variance (3 * 2.5^2 + 7.5^2) / 4 = 18.75. 99 was never seen.
    assert (number.mean, number.log) == (12.5, False)
    assert number.std == pytest.approx(math.sqrt(18.75))


def test_wide_non_negative_numbers_go_on_a_log_scale() -> None:
    number = fit_number("price", "item", np.array([0.0, 0.0, 0.0, math.e**4 - 1]), np.ones(4))
    # log1p gives 0, 0, 0, 4: mean 1, variance (3 * 1 + 9) / 4 = 3.
    assert number.log
    assert number.mean == pytest.approx(1.0)
    assert number.std == pytest.approx(math.sqrt(3))


def test_negative_values_keep_their_scale() -> None:
    assert not fit_number("delta", "item", np.array([-1.0, 0.0, 0.0, 100.0]), np.ones(4)).log


def test_a_constant_has_deviation_one() -> None:
    assert fit_number("same", "item", np.full(3, 0.5), np.ones(3)) == Number("same", "item", 0.5, 1.0, log=False)


def test_nothing_seen_leaves_the_scale_alone() -> None:
    assert fit_number("none", "item", np.array([NAN, 1.0]), np.array([1.0, 0.0])) == Number("none", "item")


def test_standardise_by_hand() -> None:
    number = Number("age", "user", mean=10.0, std=5.0)
    values = np.array([20.0, NAN, 10.0, 1e9, -1e9])
    np.testing.assert_array_equal(standardise(values, number), np.array([2, 0, 0, 8, -8], np.float32))
    log = Number("price", "item", mean=1.0, std=2.0, log=True)
    np.testing.assert_allclose(standardise(np.array([math.e**3 - 1, -5.0]), log), [1.0, -0.5], rtol=1e-6)
