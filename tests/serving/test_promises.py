"""What first places were promised against what came of them, by hand."""

import asyncio
import math

import pytest

from plait.config import ObjectiveSettings
from plait.serving.promises import Promises
from plait.serving.state import Behaviour

HOUR, DAY = 3_600_000, 86_400_000
NOON = 20_000 * DAY + 12 * HOUR
CLICK = ObjectiveSettings(name="click", action="click", window=HOUR)
PAY = ObjectiveSettings(name="pay", action="pay", parent="click", window=2 * DAY, min_value=5.0)
NAMED = ObjectiveSettings(name="named", action="click", window=HOUR, attribution="exposure_id")


def shown(time, exposure=1, item=5):
    return Behaviour(time, time, item, "exposure", exposure_id=exposure)


def did(action, time, value=None, exposure=None, item=5):
    return Behaviour(time, time, item, action, value, exposure_id=exposure)


def promises(objectives=(CLICK, PAY), chances=None):
    watch = Promises(objectives)
    watch.promised(7, 5, chances or {"click": 0.4, "pay": 0.1}, NOON)
    return watch


def test_an_outcome_counts_once_its_windows_are_over():
    watch = promises()
    watch.arrived(7, shown(NOON + 1000))
    watch.arrived(7, did("click", NOON + 2000))
    assert watch.kept(NOON + HOUR)["click"].promised == 0.0
    kept = watch.kept(NOON + HOUR + 1000)
    assert (kept["click"].promised, kept["click"].observed, kept["click"].pcoc) == (0.4, 1.0, 0.4)
    assert kept["pay"].promised == 0.0
    assert math.isnan(kept["pay"].pcoc)
    watch.arrived(7, did("pay", NOON + DAY, 6.0))
    assert watch.kept(NOON + 2 * DAY + 1000)["pay"].observed == 1.0


@pytest.mark.parametrize(
    ("events", "happened"),
    [
        ([did("pay", NOON + DAY, 6.0)], 0.0),  # no click before it
        ([did("pay", NOON + 2000, 6.0), did("click", NOON + 3000)], 0.0),  # the click came later
        ([did("click", NOON + 3000), did("pay", NOON + 4000, 6.0)], 1.0),
        ([did("pay", NOON + 4000, 6.0), did("click", NOON + 3000)], 1.0),  # arrived out of order
        ([did("click", NOON + 3000), did("pay", NOON + 4000, 4.0)], 0.0),  # too small
        ([did("click", NOON + 3000), did("pay", NOON + 3 * DAY, 6.0)], 0.0),  # too late
        ([did("click", NOON + 3000, item=6), did("pay", NOON + 4000, 6.0)], 0.0),  # of another item
    ],
)
def test_outcomes_are_attributed_as_samples_are(events, happened):
    watch = promises()
    watch.arrived(7, shown(NOON + 1000))
    for event in events:
        watch.arrived(7, event)
    assert watch.kept(NOON + 4 * DAY)["pay"].observed == happened


def test_by_exposure_id_only_behaviours_that_name_it_count():
    watch = promises((NAMED,), {"named": 0.5})
    watch.arrived(7, shown(NOON + 1000))
    watch.arrived(7, did("click", NOON + 2000))
    watch.promised(7, 5, {"named": 0.5}, NOON + 5000)
    watch.arrived(7, shown(NOON + 6000, exposure=2))
    watch.arrived(7, did("click", NOON + 7000, exposure=2))
    kept = watch.kept(NOON + DAY)["named"]
    assert (kept.promised, kept.observed) == (1.0, 1.0)


@pytest.mark.parametrize(("clicked_at", "observed"), [(NOON + 2000, 1.0), (NOON + 6000, 0.0)])
def test_a_later_exposure_that_was_promised_nothing_takes_what_comes_after_it(clicked_at, observed):
    """Last touch, as in samples: the item was shown again, further down another answer."""
    watch = promises((CLICK,), {"click": 0.4})
    watch.arrived(7, shown(NOON + 1000))
    watch.arrived(7, shown(NOON + 5000, exposure=2))
    watch.arrived(7, shown(NOON + 5000, exposure=2))  # reported twice
    watch.arrived(7, did("click", clicked_at))
    kept = watch.kept(NOON + DAY)["click"]
    assert (kept.promised, kept.observed) == (0.4, observed)
    assert watch._shown == {}
    assert watch._latest == {}


def test_what_was_not_shown_or_not_promised_counts_for_nothing():
    watch = promises()
    watch.arrived(8, shown(NOON + 1000))  # another user
    watch.arrived(7, shown(NOON + 1000, item=6))  # another item
    watch.arrived(7, shown(NOON + 2 * HOUR))  # too long after the answer
    assert watch.kept(NOON + 9 * DAY)["click"].promised == 0.0


def test_old_outcomes_and_those_of_an_old_model_are_forgotten():
    watch = promises()
    watch.arrived(7, shown(NOON + 1000))
    assert watch.kept(NOON + DAY)["click"].promised == 0.4
    assert watch.kept(NOON + 8 * DAY)["click"].promised == 0.0
    watch.restart()
    assert watch.kept(NOON + DAY)["click"].promised == 0.0


@pytest.mark.parametrize(("chance", "side"), [(0.9, 1), (0.5, 0), (0.1, -1)])
def test_drift_needs_the_whole_interval_outside(chance, side):
    """200 exposures of which every second is clicked."""
    watch = Promises((CLICK,))
    for number in range(200):
        watch.promised(number, 5, {"click": chance}, NOON)
        watch.arrived(number, shown(NOON + 1000, exposure=number))
        if number % 2:
            watch.arrived(number, did("click", NOON + 2000))
    assert watch.kept(NOON + DAY)["click"].side == side
    assert watch._shown == {}
    assert watch._latest == {}


def test_prometheus_sees_it(serve):
    """The fake engine promises 1/4 of everything; one of two exposures is clicked: .5 promised, 1 observed."""
    objectives = (CLICK, ObjectiveSettings(name="install", action="install", parent="click", window=HOUR))
    times = iter([NOON] * 20)

    async def check():
        async with serve(promises=Promises(objectives), clock_ms=lambda: next(times, NOON + DAY)) as client:
            for user in (1, 2):
                await client.post("/v1/recommend", json={"user_id": user, "scenario": "home", "k": 3, "time": NOON})
                event = {"user_id": user, "item_id": 1, "action": "exposure", "exposure_id": user, "time": NOON + 10}
                await client.post("/v1/behaviours", json={"behaviours": [event]})
            click = {"user_id": 1, "item_id": 1, "action": "click", "time": NOON + 20}
            await client.post("/v1/behaviours", json={"behaviours": [click]})
            list(times)
            text = (await client.get("/metrics")).text
            assert 'plait_promised{objective="click"} 0.5' in text
            assert 'plait_observed{objective="click"} 1.0' in text
            assert 'plait_pcoc{objective="click"} 0.5' in text
            assert 'plait_pcoc{objective="install"} NaN' in text
            assert 'plait_calibration_drift{objective="click"} 0.0' in text

    asyncio.run(check())
