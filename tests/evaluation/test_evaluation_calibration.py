import math

import numpy as np
import pytest
from sklearn import metrics

from plait.evaluation import (
    brier,
    expected_calibration_error,
    field_rce,
    log_loss,
    normalised_entropy,
    pcoc,
    reliability_curve,
)
from plait.evaluation.calibration import equal_mass_bins

LABELS = np.array([1, 0, 0, 1])
GIVEN = np.array([0.8, 0.4, 0.2, 0.5])


def test_by_hand():
    loss = -(math.log(0.8) + math.log(0.6) + math.log(0.8) + math.log(0.5)) / 4
    assert log_loss(LABELS, GIVEN) == pytest.approx(loss)
    assert normalised_entropy(LABELS, GIVEN) == pytest.approx(loss / math.log(2))  # half are positive: entropy log 2
    assert pcoc(LABELS, GIVEN) == pytest.approx((0.8 + 0.4 + 0.2 + 0.5) / 2)
    assert brier(LABELS, GIVEN) == pytest.approx((0.2**2 + 0.4**2 + 0.2**2 + 0.5**2) / 4)
    # Two bins: {.2, .4} promised .6 and got 0; {.5, .8} promised 1.3 and got 2.
    assert expected_calibration_error(LABELS, GIVEN, bins=2) == pytest.approx((0.6 + 0.7) / 4)


def test_field_rce_by_hand():
    """Value 0 has rows 1 and 2: 1.2 promised, 1 got; value 1 has row 4: .5 and 1; value 2 (row 3) has no positive."""
    field = np.array([0, 0, 2, 1])
    assert field_rce(LABELS, GIVEN, field) == pytest.approx((2 * 0.2 / 1 + 1 * 0.5 / 1) / 3)
    assert math.isnan(field_rce(np.zeros(3), np.full(3, 0.5), np.zeros(3, int)))


def test_equal_scikit_learn():
    random = np.random.default_rng(4)
    given = random.beta(1, 6, 3000)
    labels = (random.random(3000) < given).astype(int)
    assert log_loss(labels, given) == pytest.approx(metrics.log_loss(labels, given))
    assert brier(labels, given) == pytest.approx(metrics.brier_score_loss(labels, given))
    base = np.full(3000, labels.mean())
    assert normalised_entropy(labels, given) == pytest.approx(
        metrics.log_loss(labels, given) / metrics.log_loss(labels, base)
    )


def test_reliability_curve_equals_scikit_learn():
    from sklearn.calibration import calibration_curve

    random = np.random.default_rng(5)
    given = random.permutation(np.linspace(0.001, 0.4, 1000))
    labels = (random.random(1000) < given).astype(int)
    predicted, observed, rows = reliability_curve(labels, given, bins=10)
    expected_observed, expected_predicted = calibration_curve(labels, given, n_bins=10, strategy="quantile")
    np.testing.assert_allclose(predicted, expected_predicted)
    np.testing.assert_allclose(observed, expected_observed)
    assert rows.tolist() == [100] * 10


def test_a_constant_answer_fills_one_bin():
    given = np.array([0.1, 0.3, 0.3, 0.3, 0.3, 0.9])
    # Rows below: 0, 1, 1, 1, 1, 5; times 3 bins over 6 rows, floored.
    assert equal_mass_bins(given, 3).tolist() == [0, 0, 0, 0, 0, 2]
    predicted, observed, rows = reliability_curve(np.array([1, 0, 0, 1]), np.full(4, 0.3))
    assert (predicted.tolist(), observed.tolist(), rows.tolist()) == ([0.3], [0.5], [4])


def test_undefined_is_nan_not_a_number_that_looks_fine():
    nothing = np.zeros(0)
    for metric in (log_loss, normalised_entropy, pcoc, brier, expected_calibration_error):
        assert math.isnan(metric(nothing, nothing)), metric
    assert math.isnan(normalised_entropy(np.zeros(3), np.full(3, 0.1)))
    assert math.isnan(normalised_entropy(np.ones(3), np.full(3, 0.1)))
    assert math.isnan(pcoc(np.zeros(3), np.full(3, 0.1)))


def test_sure_and_wrong_costs_much_but_not_everything():
    assert log_loss(np.array([1]), np.array([0.0])) == pytest.approx(7 * math.log(10))
    assert log_loss(np.array([0]), np.array([1.0])) == pytest.approx(7 * math.log(10), rel=1e-6)
