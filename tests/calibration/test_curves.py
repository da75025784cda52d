"""Curves by hand, and against independent implementations."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from plait.calibration import CalibrationRows, Curves, Outcomes, fit_curves, logit
from plait.calibration.affine import fit_affine
from plait.calibration.cells import fit_shifts
from plait.calibration.curves import Curve, sigmoid
from plait.calibration.isotonic import fit_isotonic, pool_adjacent
from plait.models.calibrated import curve_layer

RNG = np.random.default_rng(0)


def drawn(logits_B, seed=1):
    return np.random.default_rng(seed).random(len(logits_B)) < sigmoid(logits_B)


def test_a_curve_by_hand():
    """Knots at 0 and 2 with values 1 and 2: slope 1/2 between them, 1 outside."""
    curve = Curve.through(np.array([0.0, 2.0]), np.array([1.0, 2.0]))
    np.testing.assert_allclose(curve(np.array([-1.0, 0.0, 1.0, 2.0, 5.0])), [0.0, 1.0, 1.5, 2.0, 5.0])
    np.testing.assert_allclose(Curve.affine(2.0, 3.0)(np.array([-1.0, 0.5])), [1.0, 4.0])


def test_pooling_by_hand():
    """1, 3, 2, 4 with weights 1, 1, 3, 1: the 3 and the 2 become (3 + 3 * 2) / 4 = 2.25."""
    value_K, start_K = pool_adjacent(np.array([1.0, 3.0, 2.0, 4.0]), np.array([1.0, 1.0, 3.0, 1.0]))
    assert value_K.tolist() == [1.0, 2.25, 4.0]
    assert start_K.tolist() == [0, 1, 3]


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1)), st.integers(0, 1000))
def test_pooling_is_what_scikit_learn_does(value_K, seed):
    sklearn = pytest.importorskip("sklearn.isotonic")
    weight_K = np.random.default_rng(seed).uniform(0.5, 3.0, len(value_K))
    found_K, start_K = pool_adjacent(value_K, weight_K)
    lengths_K = np.diff(np.append(start_K, len(value_K)))
    expected_K = sklearn.isotonic_regression(value_K, sample_weight=weight_K)
    np.testing.assert_allclose(np.repeat(found_K, lengths_K), expected_K, atol=1e-9)
    assert (np.diff(found_K) > 0).all()


def test_platt_finds_the_line_that_labels_were_drawn_from():
    logits_B = RNG.normal(-1.0, 1.5, 200_000)
    slope, bias = fit_affine(logits_B, Outcomes.final(drawn(0.7 * logits_B - 0.4)), bias=True)
    assert slope == pytest.approx(0.7, abs=0.02)
    assert bias == pytest.approx(-0.4, abs=0.02)


def test_platt_is_scikit_learns_logistic_regression():
    linear = pytest.importorskip("sklearn.linear_model")
    logits_B = RNG.normal(0.0, 2.0, 20_000)
    labels_B = drawn(1.3 * logits_B + 0.5)
    theirs = linear.LogisticRegression(C=np.inf).fit(logits_B[:, None], labels_B)
    slope, bias = fit_affine(logits_B, Outcomes.final(labels_B), bias=True)
    assert slope == pytest.approx(theirs.coef_[0, 0], abs=2e-3)
    assert bias == pytest.approx(theirs.intercept_[0], abs=2e-3)


def test_temperature_leaves_the_bias_alone():
    logits_B = RNG.normal(0.0, 2.0, 100_000)
    slope, bias = fit_affine(logits_B, Outcomes.final(drawn(logits_B / 2)), bias=False)
    assert bias == 0.0
    assert slope == pytest.approx(0.5, abs=0.01)  # temperature 2


def test_without_labels_a_line_is_the_identity():
    assert fit_affine(np.zeros(0), Outcomes.final(np.zeros(0, bool)), bias=True) == (1.0, 0.0)


def test_isotonic_finds_a_bent_curve():
    logits_B = RNG.normal(-1.0, 1.5, 400_000)
    true_B = np.where(logits_B > -1, -1 + 0.3 * (logits_B + 1), logits_B)
    curve = fit_isotonic(logits_B, Outcomes.final(drawn(true_B)))
    middle_B = np.linspace(-3, 1, 9)
    expected_B = np.where(middle_B > -1, -1 + 0.3 * (middle_B + 1), middle_B)
    np.testing.assert_allclose(sigmoid(curve(middle_B)), sigmoid(expected_B), atol=0.015)
    assert (np.diff(curve(np.linspace(-12, 12, 200))) > 0).all()


def test_isotonic_needs_outcomes_of_both_kinds():
    assert fit_isotonic(RNG.normal(size=1000), Outcomes.final(np.zeros(1000, bool))) is None


def test_shifts_shrink_as_the_data_says():
    """Two of three large cells differ by +-0.5; a cell of ten rows takes only part of what its labels say."""
    cell_B = np.repeat([0, 1, 2, 3], [40_000, 40_000, 40_000, 10])
    logits_B = RNG.normal(-1.0, 1.0, len(cell_B))
    labels_B = drawn(logits_B + np.array([0.5, -0.5, 0.0, 0.0])[cell_B])
    labels_B[-10:] = np.arange(10) < 7
    shift_C = fit_shifts(logits_B, Outcomes.final(labels_B), cell_B, 5)
    np.testing.assert_allclose(shift_C[:3], [0.5, -0.5, 0.0], atol=0.04)
    at_G = np.linspace(-2, 6, 4001)
    alone = np.interp(7, sigmoid(logits_B[-10:, None] + at_G).sum(0), at_G)  # as many as happened
    assert 0 < shift_C[3] < 0.6 * alone
    assert shift_C[4] == 0.0


def test_cells_that_differ_by_chance_only_get_next_to_nothing():
    cell_B = np.repeat(np.arange(60), 300)
    logits_B = RNG.normal(-2.0, 0.5, len(cell_B))
    shift_C = fit_shifts(logits_B, Outcomes.final(drawn(logits_B)), cell_B, 60)
    alone_C = np.bincount(cell_B, weights=drawn(logits_B) - sigmoid(logits_B)) / np.bincount(
        cell_B, weights=sigmoid(logits_B) * (1 - sigmoid(logits_B))
    )
    assert np.abs(shift_C).max() < 0.35 * np.abs(alone_C).max()


def rows(seed=3, exposures=60_000):
    rng = np.random.default_rng(seed)
    scenario_B = rng.integers(-1, 3, exposures)
    logits_BT = rng.normal([-0.5, -2.0], 1.0, (exposures, 2))
    off_ST = np.array([[0.0, 0.0], [0.3, -0.4], [-0.3, 0.0], [0.0, 0.6]])
    labels_BT = rng.random((exposures, 2)) < sigmoid(0.8 * logits_BT + off_ST[scenario_B + 1])
    return CalibrationRows(logits_BT, labels_BT, rng.random((exposures, 2)) < 0.9, scenario_B, 3)


@pytest.mark.parametrize(
    ("method", "tolerance"),
    [("temperature", 0.35), ("platt", 0.01), ("isotonic", 0.01), ("field", 0.01), ("field-isotonic", 0.01)],
)
def test_every_method_calibrates_on_another_draw(method, tolerance):
    curves = fit_curves(rows(3), method)
    later = rows(4)
    layer = curve_layer(curves)
    calibrated_BT = layer(torch.from_numpy(later.logits_BT).float(), torch.from_numpy(later.scenario_B)).numpy()
    ratio_T = sigmoid(calibrated_BT).mean(0) / later.labels_BT.mean(0)
    np.testing.assert_allclose(ratio_T, 1.0, atol=tolerance + 0.02)
    if method.startswith("field"):
        for scenario in range(3):
            own_B = later.scenario_B == scenario
            ratio_T = sigmoid(calibrated_BT[own_B]).mean(0) / later.labels_BT[own_B].mean(0)
            np.testing.assert_allclose(ratio_T, 1.0, atol=0.06)


def test_immature_labels_have_no_say():
    known = rows()
    turned = CalibrationRows(
        known.logits_BT, known.labels_BT ^ ~known.mask_BT, known.mask_BT, known.scenario_B, known.scenarios
    )
    for method in ("platt", "field-isotonic"):
        one, other = fit_curves(known, method), fit_curves(turned, method)
        for name in Curves.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("method", ["field", "field-isotonic"])
def test_the_layer_computes_the_curves(method):
    fitted = rows()
    curves = fit_curves(fitted, method)
    scenario_B = np.repeat([-1, 0, 1, 2], 50)
    logits_BT = np.tile(np.linspace(-9, 9, 50), 4)[:, None].repeat(2, axis=1)
    found_BT = curve_layer(curves)(torch.from_numpy(logits_BT).float(), torch.from_numpy(scenario_B)).numpy()
    for row, (scenario, logit_T) in enumerate(zip(scenario_B, logits_BT, strict=True)):
        expected = [curves.cell(scenario + 1, t)(logit_T[t : t + 1])[0] for t in range(2)]
        np.testing.assert_allclose(found_BT[row], expected, atol=1e-5)


def test_logits_of_probabilities():
    np.testing.assert_allclose(logit(np.array([0.5, 0.8])), [0.0, np.log(4.0)])
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()


def test_labels_that_are_still_coming_in_calibrate_like_final_ones():
    """A third of the positives of every second row is known: the curve is that of the truth, not of what is known."""
    logits_B = RNG.normal(-1.0, 1.0, 300_000)
    share_B = np.where(np.arange(len(logits_B)) % 2, 1.0, 1 / 3)
    known_B = drawn(0.8 * logits_B - 0.3) & (RNG.random(len(logits_B)) < share_B)
    outcomes = Outcomes(known_B, share_B, np.ones(len(logits_B)))
    slope, bias = fit_affine(logits_B, outcomes, bias=True)
    assert slope == pytest.approx(0.8, abs=0.02)
    assert bias == pytest.approx(-0.3, abs=0.02)
    shift_C = fit_shifts(0.8 * logits_B, outcomes, np.arange(len(logits_B)) // 2 % 3, 3)
    np.testing.assert_allclose(shift_C, -0.3, atol=0.03)


def test_rows_without_weight_say_nothing():
    logits_B = RNG.normal(-1.0, 1.0, 50_000)
    labels_B, old_B = drawn(logits_B), np.arange(len(logits_B)) % 2 == 0
    turned = Outcomes(labels_B ^ old_B, np.ones(len(logits_B)), np.where(old_B, 0.0, 1.0))
    alone = Outcomes.final(labels_B[~old_B])
    np.testing.assert_allclose(
        fit_affine(logits_B, turned, bias=True), fit_affine(logits_B[~old_B], alone, bias=True), atol=1e-6
    )


def test_derivatives_are_those_of_the_loss():
    score_B, share_B = np.array([-2.0, 0.3, 1.0, -1.0]), np.array([1.0, 0.4, 0.7, 0.2])
    outcomes = Outcomes(np.array([True, False, True, False]), share_B, np.array([1.0, 2.0, 0.5, 1.0]))
    slope_B, information_B = outcomes.derivatives(score_B)
    step = 1e-5
    for row in range(4):
        moved = step * (np.arange(4) == row)
        numeric = (outcomes.loss(score_B + moved) - outcomes.loss(score_B - moved)) / (2 * step)
        assert -slope_B[row] == pytest.approx(numeric, abs=1e-6)
    assert (information_B > 0).all()
