"""The drift alarm, by hand and against chance."""

import numpy as np
import pytest

from plait.calibration import DriftRule, drift_windows

HOUR = 3_600_000


def test_windows_by_hand():
    """Two hours of 4 rows: 2 of 4 happen at a promise of 0.5 each, then 1 of 4 at a promise of 1 each."""
    time_B = np.array([0, 1, 2, 3, HOUR, HOUR + 1, HOUR + 2, HOUR + 3])
    labels_B = np.array([1, 1, 0, 0, 1, 0, 0, 0], bool)
    first, second = drift_windows(time_B, labels_B, np.repeat([0.5, 1.0], 4), width_ms=HOUR)
    assert (first.start_ms, first.rows, first.positives, first.pcoc) == (0, 4, 2, 1.0)
    assert first.low == pytest.approx(2 / (2 + 1.959964 * 2**0.5))
    assert first.high == float("inf")  # two outcomes could as well have been none
    assert (second.start_ms, second.pcoc) == (HOUR, 4.0)
    assert not first.alarm
    assert not second.alarm


def drifting(shift_W, rows=20_000, rate=0.1, seed=0):
    rng = np.random.default_rng(seed)
    time_B = np.repeat(np.arange(len(shift_W)) * HOUR, rows)
    labels_B = rng.random(len(time_B)) < rate
    return time_B, labels_B, rate * np.repeat(shift_W, rows)


def test_the_alarm_needs_windows_in_a_row_on_one_side():
    found = drift_windows(*drifting([1.0, 1.4, 1.0, 1.4, 0.6, 0.6, 1.4, 1.4, 1.4]), width_ms=HOUR)
    assert [window.side for window in found] == [0, 1, 0, 1, -1, -1, 1, 1, 1]
    assert [window.alarm for window in found] == [False] * 5 + [True, False, True, True]


def test_true_probabilities_raise_no_alarm():
    found = drift_windows(*drifting([1.0] * 400, rows=2_000), width_ms=HOUR, rule=DriftRule(band=0.0))
    assert sum(window.side != 0 for window in found) < 40  # about 5 % of 400
    assert sum(window.alarm for window in found) <= 3


def test_windows_without_positives_say_nothing():
    (window,) = drift_windows(np.zeros(5, np.int64), np.zeros(5, bool), np.full(5, 0.1), width_ms=HOUR)
    assert np.isnan(window.pcoc)
    assert (window.side, window.alarm) == (0, False)
