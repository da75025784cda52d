import math
import re

import pytest

from plait.console import formatting
from plait.console.plots import learning_plot, reliability_plot
from plait.console.scales import linear, square_root
from plait.console.strips import Line, Value, strips
from plait.evaluation import Difference, Estimate, ReliabilityBin
from plait.pipelines.report_data import CurvePoint, LearningCurve


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (formatting.count(1234567), "1,234,567"),
        (formatting.short_count(1_234_567), "1.23M"),
        (formatting.short_count(999_900), "1M"),
        (formatting.short_count(240_000), "240k"),
        (formatting.short_count(12), "12"),
        (formatting.fixed(0.71236), "0.7124"),
        (formatting.fixed(-0.5, 1), "−0.5"),
        (formatting.fixed(math.nan), "–"),
        (formatting.fixed(None), "–"),
        (formatting.signed(0.0123), "+0.0123"),
        (formatting.signed(-0.0123), "−0.0123"),
        (formatting.signed(-0.00001), "0.0000"),
        (formatting.signed(math.nan), "–"),
        (formatting.interval(Estimate(0.5, 0.4, 0.6)), "0.4000 to 0.6000"),
        (formatting.interval(Difference(0.5, 0.6, 0.1, -0.1, 0.3)), "−0.1000 to +0.3000"),
        (formatting.interval(Estimate(0.5)), ""),
        (formatting.share(0.1234), "12.3 %"),
        (formatting.share(0.0123), "1.23 %"),
        (formatting.share(0.00042), "0.0420 %"),
        (formatting.share(0.0), "0.00 %"),
        (formatting.tick_share(0.02), "2 %"),
        (formatting.seconds(0.42), "0.42 s"),
        (formatting.seconds(12.34), "12.3 s"),
        (formatting.seconds(59.97), "1 min 0 s"),
        (formatting.seconds(200), "3 min 20 s"),
        (formatting.seconds(7260), "2 h 1 min"),
        (formatting.seconds(None), "–"),
        (formatting.milliseconds(12.34), "12.3 ms"),
    ],
)
def test_formatting(shown: str, expected: str):
    assert shown == expected


def test_linear_scale_has_round_ticks_inside_and_room_at_the_ends():
    scale = linear([0.61, math.nan, 0.78])
    # 6 % of .17 on either side: from .5998 to .7902, in five parts of .038: the next round step is .05.
    assert scale.ticks == (0.6, 0.65, 0.7, 0.75)
    assert scale.low < 0.61
    assert scale.high > 0.78
    assert 0 < scale.place(0.61) < scale.place(0.78) < 1
    assert scale.digits() == 2
    assert linear([0.01, 0.02], around=0.0).place(0.0) > 0
    assert linear([]).ticks
    assert linear([0.5]).ticks


def test_square_root_scale_gives_rare_outcomes_room():
    scale = square_root(0.64)
    assert scale.place(0.16) == 0.5  # sqrt(.16) / sqrt(.64) = .4 / .8
    assert (scale.place(0.0), scale.place(0.64), scale.place(2.0)) == (0.0, 1.0, 1.0)
    # Thirds of the axis are .64 * (.36, .68, 1)^2 = .083, .296, .64; rounded down to one digit.
    assert scale.ticks == (0.0, 0.08, 0.2, 0.6)


def test_strips_put_marks_where_their_values_are():
    plot = strips(
        [
            Line("a", "", (Value("main", "model", Difference(0.5, 0.6, 0.1, 0.05, 0.15)),)),
            Line("b", "", (Value("main", "model", None), Value("alone", "alone", Difference(0.5, 0.5, 0.0)))),
        ],
        differences=True,
    )
    first, second = plot.rows
    (mark,) = first.marks
    assert mark.low < mark.at < mark.high
    assert mark.at - mark.low == pytest.approx(mark.high - mark.at)
    assert (first.text, first.below) == ("+0.1000", "+0.0500 to +0.1500")
    assert second.text == "–"
    assert [mark.kind for mark in second.marks] == ["alone"]
    assert second.marks[0].at == pytest.approx(plot.zero)


def test_undefined_values_have_no_mark():
    plot = strips([Line("a", "", (Value("main", "model", Estimate(math.nan)),))])
    assert (plot.rows[0].marks, plot.rows[0].text) == ((), "–")


def test_reliability_plot_puts_calibrated_bins_on_the_diagonal():
    curve = [ReliabilityBin(100, share, share, share * 0.8, share * 1.2) for share in (0.01, 0.1, 0.4)]
    drawing = str(reliability_plot(curve, "click"))
    x1, y1, x2, y2 = (
        float(part)
        for part in re.search(r'class="diagonal" x1="(.*?)" y1="(.*?)" x2="(.*?)" y2="(.*?)"', drawing).groups()
    )
    dots = [(float(x), float(y)) for x, y in re.findall(r'class="dot" cx="(.*?)" cy="(.*?)"', drawing)]
    assert len(dots) == 3
    for x, y in dots:
        assert y == pytest.approx(y1 + (y2 - y1) * (x - x1) / (x2 - x1), abs=0.11)  # rounded to a tenth of a pixel
    assert "predicted 10.0 %, observed 10.0 %, 100 rows" in drawing


def test_names_in_plots_are_escaped():
    hostile = '"><script>'
    assert "<script" not in reliability_plot([ReliabilityBin(1, 0.5, 0.5)], hostile)
    curve = LearningCurve(hostile, (CurvePoint(10, 0.5, 0.6),))
    assert "<script" not in learning_plot(curve, [curve])


def test_learning_plot_with_one_point_and_an_undefined_one():
    curve = LearningCurve("popularity", (CurvePoint(10, 0.5, math.nan), CurvePoint(20, 0.4, 0.6)))
    drawing = str(learning_plot(curve, []))
    assert drawing.count('class="dot"') == 1
    assert "nan" not in drawing
