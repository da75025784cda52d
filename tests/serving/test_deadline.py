import pytest

from plait.serving.deadline import Cost, Deadline


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_the_time_in_the_queue_counts():
    """20 of 50 ms are over, the answer should leave after 45: a turn of 25 ms, of which shares are taken."""
    clock = Clock()
    deadline = Deadline(50.0, started=clock.now - 0.020, clock=clock)
    assert deadline.elapsed_ms() == pytest.approx(20.0)
    assert deadline.remaining_ms() == pytest.approx(25.0)
    assert deadline.remaining_ms(0.8) == pytest.approx(20.0)
    clock.now += 0.040
    assert deadline.remaining_ms(0.8) == pytest.approx(-20.0)


def test_a_turn_may_be_shorter_than_what_is_left():
    clock = Clock()
    deadline = Deadline(50.0, started=clock.now - 0.020, clock=clock, turn_ms=6.0)
    clock.now += 0.002
    assert deadline.elapsed_ms() == pytest.approx(22.0)
    assert deadline.remaining_ms(0.5) == pytest.approx(1.0)


def test_stages_add_up_and_are_kept_when_they_fail():
    clock = Clock()
    deadline = Deadline(50.0, clock=clock)
    for spent in (0.002, 0.003):
        with deadline.stage("rank"):
            clock.now += spent

    def fail():
        with deadline.stage("creative"):
            clock.now += 0.001
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    assert deadline.timings_ms == pytest.approx({"rank": 5.0, "creative": 1.0})


def test_the_line_through_two_measurements():
    cost = Cost()
    cost.calibrate((50, 3.0), (500, 12.0))  # 0.02 ms each and 2 ms in any case
    assert cost.expected_ms(100) == pytest.approx(4.0)
    assert cost.affordable(7.0) == 250
    assert cost.affordable(1.9) == 0
    assert cost.affordable(0.0) == 0
    assert cost.affordable(-5.0) == 0


def test_a_line_that_would_fall_is_flat():
    cost = Cost()
    cost.calibrate((50, 3.0), (500, 2.0))
    assert cost.expected_ms(10) == cost.expected_ms(1_000) == pytest.approx(3.0)


def test_a_stage_that_was_never_measured_is_taken_to_be_free():
    assert Cost().affordable(1.0) > 10_000


def test_a_machine_that_slows_down_is_noticed_without_losing_the_shape():
    cost = Cost(fixed_ms=2.0, slope_ms=0.02)
    for _ in range(60):
        cost.observe(100, 8.0)  # twice the 4 ms of the line
    assert cost.expected_ms(100) == pytest.approx(8.0, rel=0.01)
    assert cost.expected_ms(500) == pytest.approx(24.0, rel=0.01)
    assert cost.affordable(14.0) == pytest.approx(250, abs=3)


def test_fewer_candidates_do_not_make_the_stage_look_dearer():
    """What a cost per candidate would do: 10 candidates at 2.2 ms are 0.22 each, so fewer are taken, and so on."""
    cost = Cost(fixed_ms=2.0, slope_ms=0.02)
    for _ in range(100):
        cost.observe(10, 2.2)
    assert cost.affordable(12.0) == 500


def test_a_stage_that_is_skipped_is_tried_again_after_a_while():
    cost = Cost(fixed_ms=2.0, slope_ms=0.02)
    cost.observe(100, 4_000.0)  # one stall: speed about 100
    assert cost.affordable(40.0) == 0
    for _ in range(60):
        cost.forgive()
    assert cost.affordable(40.0) > 500
