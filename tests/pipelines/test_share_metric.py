"""Wilson's interval against values of the literature."""

import pytest

from plait.pipelines.results import share_metric


def test_wilson_interval():
    """Newcombe 1998, table I: 81 of 263 gives .2553 to .3662; 15 of 148 .0624 to .1605; 0 of 20 0 to .1611."""
    for count, rows, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        found = share_metric(count, rows)
        assert (found.value, found.low, found.high) == pytest.approx((count / rows, low, high), abs=1e-4)
