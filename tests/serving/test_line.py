"""Turns by hand: 45 ms each from arrival."""

import pytest

from plait.serving.line import Line

WITHIN_MS = 45.0


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def line_at(clock, ages_ms, workers=1):
    """A line of requests that arrived so many milliseconds ago."""
    line = Line(workers, WITHIN_MS, clock)
    return line, [line.join(clock.now - age / 1e3) for age in ages_ms]


@pytest.mark.parametrize(
    ("own_age", "ages", "workers", "expected"),
    [
        (0, [], 1, 45.0),
        (20, [], 1, 25.0),
        (0, [0, 0], 1, 15.0),  # three equal turns
        (30, [5], 1, 15.0),  # its own 15 ms are less than half of the other's 40
        (15, [15, 15, 15, 15], 1, 6.0),  # 30 ms for five
        (15, [15, 15, 15, 15], 2, 10.0),  # two at a time: three rounds
        (50, [0], 1, -5.0),  # late: the least there is
    ],
)
def test_turns_are_the_longest_equal_ones_with_which_all_are_in_time(own_age, ages, workers, expected):
    clock = Clock()
    line, _ = line_at(clock, ages, workers)
    assert line.turn_ms(clock.now - own_age / 1e3) == pytest.approx(expected)


def test_who_leaves_does_not_count():
    clock = Clock()
    line, tickets = line_at(clock, [0, 0])
    line.leave(tickets[0])
    line.leave(tickets[0])
    assert len(line) == 1
    assert line.turn_ms(clock.now) == pytest.approx(22.5)


def test_room_for_answers_of_the_least_kind():
    """At 10 ms each: four are done within 45 ms, so that three may stand before the last that is let in."""
    clock = Clock()
    assert line_at(clock, [0] * 3)[0].has_room(10.0)
    assert not line_at(clock, [0] * 4)[0].has_room(10.0)
    assert line_at(clock, [0] * 7, workers=2)[0].has_room(10.0)
    assert not line_at(clock, [0] * 8, workers=2)[0].has_room(10.0)
