"""History numbers: against values by hand, against plain Python, and between the two layouts."""

import math

import numpy as np
import pytest

from plait import seeding
from plait.features.history import WINDOW, History, HistoryNumbers, gather_window
from plait.features.spec import Action

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
ACTIONS = (Action("click"), Action("rate", (3.0,)))
NUMBERS = HistoryNumbers.of_columns(ACTIONS, ("item_id", "price_band", "category_1", "category_2"))
ITEM_FIELDS_VI = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [2, 2, 1, 2], [3, 1, 2, 0]], np.int32)
NOW = 1_700_000_000_000


def events(*rows: tuple[int, int, int, int]) -> History:
    item, action, scenario, time = np.array(rows, np.int64).reshape(-1, 4).T
    return History(item.astype(np.int32), action.astype(np.int32), scenario.astype(np.int32), time)


def by_name(history: History, candidate: int, scenario: int = 0) -> dict[str, float]:
    window = gather_window(history, np.array([0]), np.array([len(history)]))
    facts = NUMBERS.facts(
        window, np.array([NOW]), np.array([scenario], np.int32), ITEM_FIELDS_VI[[candidate]], ITEM_FIELDS_VI
    )
    return dict(zip(NUMBERS.names, NUMBERS.numbers(facts)[0].tolist(), strict=True))


def test_numbers_by_hand() -> None:
    history = events(
        (2, 1, 2, NOW - 10 * DAY_MS),
        (1, 3, 1, NOW - 2 * DAY_MS),
        (1, 1, 0, NOW - 2 * HOUR_MS),
        (3, 4, 1, NOW - 60_000),
    )
    numbers = by_name(history, candidate=1, scenario=0)
    expected = {
        "history.events": math.log(1 + 4),
        "history.events.1h": math.log(1 + 1),
        "history.events.1d": math.log(1 + 2),
        "history.events.7d": math.log(1 + 3),
        "history.scenario": math.log(1 + 2),
        "history.action.click": math.log(1 + 2),
        "history.action.rate.none": 0.0,
        "history.action.rate.0": math.log(1 + 1),
        "history.action.rate.1": math.log(1 + 1),
        "history.item": math.log(1 + 2),
        "history.item.click": math.log(1 + 1),
        "history.item.rate.none": 0.0,
        "history.item.rate.0": math.log(1 + 1),
        "history.item.rate.1": 0.0,
        "history.category_1": math.log(1 + 3),
        "history.category_2": math.log(1 + 2),
        "history.since.event": math.log(1 + 60),
        "history.since.item": math.log(1 + 7_200),
        "history.since.category_1": math.log(1 + 7_200),
        "history.since.category_2": math.log(1 + 7_200),
        "history.share.category_1": 3 / 4,
        "history.share.category_2": 2 / 4,
    }
    assert numbers == pytest.approx(expected, rel=1e-6)


def test_without_events_everything_is_never() -> None:
    never = math.log(1 + 90 * 86_400)
    for name, value in by_name(History.empty(), candidate=1).items():
        assert value == pytest.approx(never if ".since." in name else 0.0), name


def test_unknown_candidates_and_categories_match_nothing() -> None:
    history = events((0, 1, 0, NOW - 1_000), (3, 1, 0, NOW - 1_000))
    unknown = by_name(history, candidate=0)
    assert unknown["history.item"] == 0.0
    assert unknown["history.category_1"] == 0.0
    # Item 3 has no second level: it is not "the same second level" as itself.
    itself = by_name(history, candidate=3)
    assert itself["history.item"] == pytest.approx(math.log(2))
    assert itself["history.category_2"] == 0.0


def test_unknown_actions_count_as_events_only() -> None:
    numbers = by_name(events((1, 0, 0, NOW - 1_000)), candidate=1)
    assert numbers["history.events"] == pytest.approx(math.log(2))
    assert numbers["history.action.click"] == numbers["history.item.click"] == 0.0


def test_only_the_last_events_count() -> None:
    old = [(2, 1, 0, NOW - DAY_MS)] * 5
    new = [(1, 1, 0, NOW - 1_000)] * WINDOW
    assert by_name(events(*old, *new), candidate=2) == by_name(events(*new), candidate=2)


def test_window_by_hand() -> None:
    history = events(*[(index, 1, 0, NOW + index) for index in range(6)])
    window = gather_window(history, np.array([0, 2, 4]), np.array([2, 6, 4]), width=3)
    np.testing.assert_array_equal(window.item_RW, [[1, 0, 0], [5, 4, 3], [0, 0, 0]])
    np.testing.assert_array_equal(window.time_RW[1], [NOW + 5, NOW + 4, NOW + 3])
    np.testing.assert_array_equal(window.length_R, [2, 3, 0])


def naive(history: History, time: int, scenario: int, candidate: np.ndarray, fields_VI: np.ndarray) -> dict[str, float]:
    """The definition, an event at a time."""
    rows = list(zip(history.item_N, history.action_N, history.scenario_N, history.time_N, strict=True))[-WINDOW:]
    codes = {"click": 1, "rate.none": 2, "rate.0": 3, "rate.1": 4}
    same = {
        kind: [row for row in rows if candidate[column] != 0 and fields_VI[row[0]][column] == candidate[column]]
        for kind, column in (("item", 0), ("category_1", 2), ("category_2", 3))
    }

    def since(chosen: list) -> float:
        seconds = (time - int(chosen[-1][3])) / 1000 if chosen else math.inf
        return math.log1p(min(seconds, 90 * 86_400))

    counts = {
        "events": len(rows),
        **{f"events.{name}": sum(time - row[3] <= span for row in rows) for name, span in SPANS.items()},
        "scenario": sum(row[2] == scenario + 1 for row in rows),
        **{f"action.{name}": sum(row[1] == code for row in rows) for name, code in codes.items()},
        **{kind: len(chosen) for kind, chosen in same.items()},
        **{f"item.{name}": sum(row[1] == code for row in same["item"]) for name, code in codes.items()},
    }
    gaps = {"since.event": since(rows), **{f"since.{kind}": since(chosen) for kind, chosen in same.items()}}
    shares = {f"share.{kind}": len(same[kind]) / max(len(rows), 1) for kind in ("category_1", "category_2")}
    logs = {name: math.log1p(count) for name, count in counts.items()}
    return {f"history.{name}": value for name, value in (logs | gaps | shares).items()}


SPANS = {"1h": HOUR_MS, "1d": DAY_MS, "7d": 7 * DAY_MS}


def random_histories(users: int) -> tuple[History, np.ndarray, np.ndarray]:
    """Events of `users` users behind one another: item, action and scenario codes, times and where each user's are."""
    rng = seeding.generator(1, "histories")
    lengths = rng.integers(0, 2 * WINDOW, users)
    lengths[0] = 0
    total = int(lengths.sum())
    stops = np.cumsum(lengths)
    fields_VI = rng.integers(0, 4, (10, 4)).astype(np.int32)
    fields_VI[:, 0] = np.arange(10)
    fields_VI[0] = 0
    history = History(
        rng.integers(0, 10, total).astype(np.int32),
        rng.integers(0, 5, total).astype(np.int32),
        rng.integers(0, 3, total).astype(np.int32),
        NOW - rng.integers(1, 20 * DAY_MS, total),
    )
    return history, np.stack([stops - lengths, stops]), fields_VI


def test_against_plain_python() -> None:
    users = 30
    history, (starts, stops), fields_VI = random_histories(users)
    rng = seeding.generator(2, "candidates")
    candidates, scenarios = rng.integers(0, 10, users), rng.integers(0, 2, users).astype(np.int32)
    times = np.full(users, NOW)
    facts = NUMBERS.facts(gather_window(history, starts, stops), times, scenarios, fields_VI[candidates], fields_VI)
    numbers_BG = NUMBERS.numbers(facts)
    for user in range(users):
        part = slice(starts[user], stops[user])
        own = History(history.item_N[part], history.action_N[part], history.scenario_N[part], history.time_N[part])
        expected = naive(own, NOW, int(scenarios[user]), fields_VI[candidates[user]], fields_VI)
        assert dict(zip(NUMBERS.names, numbers_BG[user].tolist(), strict=True)) == pytest.approx(expected, rel=1e-6)


def test_one_shared_window_equals_a_window_each() -> None:
    history, (starts, stops), fields_VI = random_histories(6)
    candidates = np.arange(10)
    for user in range(6):
        shared = gather_window(history, starts[[user]], stops[[user]])
        each = gather_window(history, np.repeat(starts[user], 10), np.repeat(stops[user], 10))
        scenario = np.array([1], np.int32)
        one = NUMBERS.facts(shared, np.array([NOW]), scenario, fields_VI[candidates], fields_VI)
        many = NUMBERS.facts(each, np.full(10, NOW), np.repeat(scenario, 10), fields_VI[candidates], fields_VI)
        np.testing.assert_array_equal(NUMBERS.numbers(one), NUMBERS.numbers(many))
