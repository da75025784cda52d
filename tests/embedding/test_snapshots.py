"""Snapshots: by hand, and as a property: nothing from a snapshot's time on reaches what an exposure sees."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from plait.embedding.events import TextEvents
from plait.embedding.snapshots import joined, last_snapshots, refreshed_snapshots, seen_snapshots

EVERY = 10


def events_of(*available):
    """Events by user, as their times of arrival."""
    flat = np.array([time for user in available for time in sorted(user)], np.int64)
    zeros = np.zeros(len(flat), np.int32)
    offsets_U1 = np.concatenate([[0], np.cumsum([len(user) for user in available])]).astype(np.int64)
    return TextEvents(list(range(len(available))), offsets_U1, zeros, zeros, flat, flat)


def test_by_hand():
    events = events_of([3, 10, 25], [])
    user_B = np.array([0, 0, 0, 0, 0, 1])
    # At 10 the boundary 10 is not yet strictly before; at 11 it is, with the event of 3 but not that of 10.
    time_B = np.array([10, 11, 20, 21, 45, 99])
    snapshots, seen_B = seen_snapshots(events, user_B, time_B, EVERY)
    assert seen_B.tolist() == [-1, 0, 0, 1, 2, -1]
    assert snapshots.known_R.tolist() == [1, 2, 3]
    assert snapshots.time_R.tolist() == [10, 20, 30]
    last = last_snapshots(events, EVERY)
    assert (last.user_R.tolist(), last.known_R.tolist(), last.time_R.tolist()) == ([0], [3], [30])
    both = joined(snapshots, last)
    assert both.time_R.tolist() == [10, 20, 30]


def test_refresh_takes_users_with_new_behaviour():
    fresh = refreshed_snapshots(events_of([3, 10, 25], [9], [19]), 20, EVERY)
    assert (fresh.user_R.tolist(), fresh.known_R.tolist(), fresh.time_R.tolist()) == ([0, 2], [2, 1], [20, 20])


ARRIVALS = st.lists(st.lists(st.integers(1, 80), max_size=8), min_size=1, max_size=4)
EXPOSURES = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 100)), min_size=1, max_size=12)


def seen(arrivals, exposures):
    user_B = np.array([user % len(arrivals) for user, _ in exposures])
    time_B = np.array([time for _, time in exposures])
    snapshots, seen_B = seen_snapshots(events_of(*arrivals), user_B, time_B, EVERY)
    return user_B, time_B, snapshots, seen_B


@given(ARRIVALS, EXPOSURES)
def test_an_exposure_sees_what_the_daily_refreshes_made(arrivals, exposures):
    """The reference: run the refresh at every boundary, then take each exposure's latest from strictly before it."""
    events = events_of(*arrivals)
    made = [refreshed_snapshots(events, boundary, EVERY) for boundary in range(0, 101, EVERY)]
    user_B, time_B, snapshots, seen_B = seen(arrivals, exposures)
    for user, time, place in zip(user_B, time_B, seen_B, strict=True):
        own = [
            (int(each.time_R[row]), int(each.known_R[row]))
            for each in made
            for row in np.flatnonzero((each.user_R == user) & (each.time_R < time))
        ]
        found = (int(snapshots.time_R[place]), int(snapshots.known_R[place])) if place >= 0 else None
        assert found == (max(own) if own else None)


@given(ARRIVALS, EXPOSURES, st.lists(st.integers(0, 200), min_size=4, max_size=4), st.data())
def test_what_comes_later_changes_nothing(arrivals, exposures, later, data):
    """Replace every event that arrives at or after an exposure: what that exposure sees stays."""
    user, time = data.draw(st.sampled_from(exposures))
    altered = [[each for each in own if each < time] + [time + extra for extra in later] for own in arrivals]
    before, after = seen(arrivals, [(user, time)]), seen(altered, [(user, time)])
    assert (before[3][0] >= 0) == (after[3][0] >= 0)
    if before[3][0] >= 0:
        assert before[2].known_R.tolist() == after[2].known_R.tolist()
        assert before[2].time_R.tolist() == after[2].time_R.tolist()
        known = int(before[2].known_R[0])
        assert all(arrival < before[2].time_R[0] < time for arrival in sorted(arrivals[user % len(arrivals)])[:known])
