"""Curves fitted anew on a schedule see the past only."""

import numpy as np

from plait.pipelines.calibration_refits import _Log

HOUR = 3_600_000


def log():
    """Six exposures an hour apart; windows of 1 and 2 hours; the third is known late, the fifth never."""
    after = np.full((6, 2), np.iinfo(np.int64).max)
    after[[0, 2], 0] = [HOUR // 2, HOUR * 5]
    after[1, 1] = HOUR
    return _Log(
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
    rows = log().known_at(4 * HOUR, 10 * HOUR)
    assert rows.mask_BT.tolist() == [[True, True], [True, True], [True, True], [True, False]]
    assert rows.labels_BT[:, 0].tolist() == [True, False, False, False]
    assert rows.labels_BT[:, 1].tolist() == [False, True, False, False]
    np.testing.assert_array_equal(rows.logits_BT, log().logits_BT[:4])
    later = log().known_at(7 * HOUR, 10 * HOUR)
    assert later.labels_BT[2, 0]  # known at hour 2 + 5


def test_the_trail_forgets():
    """Two hours before the last mature one: exposures 2 and 3 of the first objective, 1 and 2 of the second."""
    rows = log().known_at(4 * HOUR, 2 * HOUR)
    assert rows.mask_BT.tolist() == [[False, True], [True, True], [True, False]]
    np.testing.assert_array_equal(rows.logits_BT, log().logits_BT[1:4])
