import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.errors import ServingError
from plait.serving.state import Behaviour, UserStates


def click(available, time=None, item=1, action="click", value=None, scenario=None):
    return Behaviour(available, available if time is None else time, item, action, value, scenario)


def test_events_stand_in_the_order_of_arrival_whenever_they_come():
    states = UserStates()
    late = click(30, time=5)
    for behaviour in (click(20), late, click(10), click(25)):
        assert states.append(7, behaviour)
    assert [each.available_time for each in states.read(7)[1]] == [10, 20, 25, 30]
    assert states.read(7)[1][-1].time == 5


def test_ties_stand_as_in_the_samples():
    """By arrival, then time, item, action, value and scenario; nulls first."""
    states = UserStates()
    expected = [
        click(9, 1, 5), click(9, 2, 1), click(9, 2, 2, "a"), click(9, 2, 2, "b"), click(9, 2, 2, "b", -1.0),
        click(9, 2, 2, "b", 3.0), click(9, 2, 2, "b", 3.0, "home"), click(9, 2, 10),
    ]  # fmt: skip
    for behaviour in reversed(expected):
        states.append("u", behaviour)
    assert list(states.read("u")[1]) == expected


def test_the_same_event_counts_once():
    states = UserStates()
    assert states.append(7, click(10, 5))
    assert not states.append(7, click(99, 5))  # received again later: its content is the same
    assert states.append(7, click(10, 5), "x")
    assert not states.append(7, click(11, 6), "x")
    assert states.append(8, click(10, 5))
    assert (states.users, states.events) == (2, 3)


def test_an_id_as_number_or_text_is_one_user():
    states = UserStates()
    states.append(7, click(1))
    states.append("7", click(2))
    assert len(states.read(7)[1]) == 2


def test_the_version_changes_with_every_event_and_only_then():
    states = UserStates()
    assert states.version(7) == 0
    states.append(7, click(1))
    one = states.version(7)
    states.append(7, click(1))
    states.append(8, click(1))
    assert states.version(7) == one
    states.append(7, click(2))
    assert states.version(7) != one


def test_a_restart_finds_everything(tmp_path):
    journal = tmp_path / "state" / "behaviours.jsonl"
    states = UserStates(journal)
    states.append("用户", click(10, 5, "物品", "rate", 2.5, "首页"))
    states.append(7, click(11), "x")
    states.flush()  # and no close: the server is killed
    again = UserStates(journal)
    assert again.read("用户")[1] == (click(10, 5, "物品", "rate", 2.5, "首页"),)
    assert not again.append(7, click(12), "x")
    states.close()
    again.close()


def test_a_line_that_a_kill_cut_is_left_out_and_the_next_one_is_not(tmp_path):
    journal = tmp_path / "behaviours.jsonl"
    states = UserStates(journal)
    states.append(7, click(10))
    states.close()
    with journal.open("a") as file:
        file.write(json.dumps({"user_id": 7, "key": "y"})[:9])
    second = UserStates(journal)
    second.append(7, click(20))
    second.close()
    third = UserStates(journal)
    assert [each.time for each in third.read(7)[1]] == [10, 20]
    third.close()


def test_a_full_store_says_so():
    states = UserStates(max_events=2)
    states.append(1, click(1))
    states.append(2, click(1))
    with pytest.raises(ServingError, match="its limit"):
        states.append(3, click(1))


def test_threads_lose_nothing():
    states = UserStates()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: states.append(number % 3, click(number)), range(600)))
    assert sum(len(states.read(user)[1]) for user in range(3)) == states.events == 600


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 2)), max_size=12), st.randoms())
def test_any_order_of_arrival_over_the_wire_ends_in_the_same_state(events, random):
    one, two = UserStates(), UserStates()
    shuffled = list(events)
    random.shuffle(shuffled)
    distinct = {(time, item): late for late, time, item in events}
    for states, order in ((one, list(distinct.items())), (two, random.sample(list(distinct.items()), len(distinct)))):
        for (time, item), late in order:
            states.append(1, click(time + late, time, item))
    assert one.read(1)[1] == two.read(1)[1]
