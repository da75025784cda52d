"""Curves fitted anew on a schedule see the past only."""

import numpy as np
import pytest

from plait.calibration import fit_curves
from plait.pipelines.calibration_log import CalibrationLog, Evidence
from plait.pipelines.feedback import UNKNOWN

HOUR = 3_600_000


def log():
    """Six exposures an hour apart; windows of 1 and 2 hours; the third is known late, the fifth never."""
    after = np.full((6, 2), np.iinfo(np.int64).max)
    after[[0, 2], 0] = [HOUR // 2, HOUR * 5]
    after[1, 1] = HOUR
    return CalibrationLog(
        rows_B=np.arange(6),
        time_B=np.arange(6) * HOUR,
        scenario_B=np.array([0, 1, 0, 1, 0, 1]),
        logits_BT=np.arange(12.0).reshape(6, 2),
        after_BT=after,
        window_T=np.array([HOUR, 2 * HOUR]),
        scenarios=2,
    )


def test_at_a_moment_only_mature_labels_as_known_then():
    """At hour 4 exposures 0 to 3 are mature for the first objective, 0 to 2 for the second; the late label is a 0."""
    rows, time_B = log().known_at(4 * HOUR, Evidence(10 * HOUR, young=False))
    assert rows.mask_BT.tolist() == [[True, True], [True, True], [True, True], [True, False]]
    assert rows.labels_BT[:, 0].tolist() == [True, False, False, False]
    assert rows.labels_BT[:, 1].tolist() == [False, True, False, False]
    np.testing.assert_array_equal(rows.logits_BT, log().logits_BT[:4])
    np.testing.assert_array_equal(time_B, np.arange(4) * HOUR)
    later, _ = log().known_at(7 * HOUR, Evidence(10 * HOUR, young=False))
    assert later.labels_BT[2, 0]  # known at hour 2 + 5


def test_the_trail_forgets():
    """Two hours before the last mature one: exposures 2 and 3 of the first objective, 1 and 2 of the second."""
    rows, _ = log().known_at(4 * HOUR, Evidence(2 * HOUR, young=False))
    assert rows.mask_BT.tolist() == [[False, True], [True, True], [True, False]]
    np.testing.assert_array_equal(rows.logits_BT, log().logits_BT[1:4])


def test_young_labels_count_from_the_beginning_with_the_share_that_is_in():
    """Of 100 exposures an hour, 40 will be clicked: half of these within half an hour, the rest half an hour later."""
    hours = 6
    time_B = np.repeat(np.arange(hours) * HOUR, 100)
    after_B = np.tile(np.repeat([HOUR // 2, HOUR, UNKNOWN], [20, 20, 60]), hours)
    world = CalibrationLog(
        rows_B=np.arange(len(time_B)),
        time_B=time_B,
        scenario_B=np.zeros(len(time_B), np.int64),
        logits_BT=np.zeros((len(time_B), 1)),
        after_BT=after_B[:, None],
        window_T=np.array([HOUR]),
        scenarios=1,
    )
    moment = 4 * HOUR + HOUR * 3 // 4
    rows, seen_B = world.known_at(moment, Evidence())
    assert seen_B.max() == 4 * HOUR  # three quarters of an hour old, and not mature
    young_B = seen_B == 4 * HOUR
    np.testing.assert_allclose(rows.share_BT[young_B], 0.5)
    np.testing.assert_allclose(rows.share_BT[~young_B], 1.0)
    assert rows.labels_BT[young_B].sum() == 20
    rate = 1 / (1 + np.exp(-fit_curves(rows, "platt").value_ST[0, 0]))
    assert rate == pytest.approx(0.4, abs=0.002)
    mature, _ = world.known_at(moment, Evidence(young=False))
    assert mature.share_BT is None
    assert len(mature.labels_BT) == 400


def test_old_exposures_count_less():
    rows, time_B = log().known_at(5 * HOUR, Evidence(half_life_ms=2 * HOUR, young=False))
    np.testing.assert_allclose(rows.weight_B, 0.5 ** ((5 * HOUR - time_B) / (2 * HOUR)))
