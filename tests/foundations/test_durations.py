"""Durations: each unit by hand, and there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from plait.config import Duration, Settings, format_duration, parse_duration


class Timer(Settings):
    window: Duration


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("250ms", 250),
        ("30s", 30 * 1000),
        ("30m", 30 * 60 * 1000),
        ("24h", 24 * 60 * 60 * 1000),
        ("7d", 7 * 24 * 60 * 60 * 1000),
        ("1.5h", 90 * 60 * 1000),
        (" 2 d ", 2 * 24 * 60 * 60 * 1000),
        (1500, 1500),
        (0, 0),
    ],
)
def test_what_people_write(text, milliseconds):
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize("text", ["7", "d", "7 days", "-1d", "1e3s", "", "七天", -5, 1.5, True, None, ["1d"]])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="expected a duration such as"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(86_400_000, "1d"), (90_000, "90s"), (5_400_000, "90m"), (1_001, "1001ms"), (0, "0ms")]
)
def test_the_shortest_spelling(milliseconds, text):
    assert format_duration(milliseconds) == text


@given(st.integers(min_value=0, max_value=10**14))
def test_there_and_back(milliseconds):
    assert parse_duration(format_duration(milliseconds)) == milliseconds


def test_as_a_setting():
    timer = Timer.model_validate({"window": "36h"})
    assert timer.window == 36 * 3_600_000
    assert timer.model_dump() == {"window": "36h"}
    assert Timer.model_validate(timer.model_dump()) == timer
    with pytest.raises(ValidationError, match="expected a duration"):
        Timer.model_validate({"window": "soon"})
