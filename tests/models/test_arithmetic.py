"""The arithmetic of a training step, against counts by hand."""

import pytest

from plait.models.arithmetic import hstu_flops, training_flops
from plait.models.config import NextItemConfig
from plait.nn.hstu import HstuSizes

SIZES = HstuSizes(width=3, heads=2, query_width=1, value_width=4, blocks=5, max_events=10)


def test_an_encoder_by_hand():
    """Lengths 1 and 3: 4 tokens, 1 + 6 pairs.

    The first layer has 3 x 2 (2 * 1 + 2 * 4) = 60 weights, the last 2 * 4 x 3 = 24: forward and both gradients take
    3 * 2 * 84 a token. A pair takes a product of width 1 for its score and one of width 4 for its value, and backward
    three of width 1 (score again, gradients of query and key) and two of width 4: 2 (4 * 1 + 3 * 4) by head.
    """
    assert hstu_flops(SIZES, [1, 3]) == 5 * (4 * 3 * 2 * 84 + 7 * 2 * 2 * (4 * 1 + 3 * 4))


def test_scores_come_on_top_and_other_encoders_are_refused():
    config = NextItemConfig(width=3, heads=2, head_width=4, blocks=1)
    without = training_flops(config, [5], 0)
    assert training_flops(config, [5], 7) - without == 3 * 2 * 5 * 3 * 7
    with pytest.raises(ValueError, match="sasrec"):
        training_flops(NextItemConfig(encoder="sasrec"), [5], 1)
