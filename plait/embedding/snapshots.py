"""Which snapshots of users there are: at set times, of whom something new is known, and never of what came later.

Let `every` be the time between snapshots, with boundaries at its multiples. At boundary S the refresh looks at every
user of whom an event became available in `[S - every, S)`: the user's text is made of all events available strictly
before S, and its vector may be used strictly after S. So an exposure at time t sees the latest such vector with S < t,
and each event it is made of was available before S.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plait.embedding.events import TextEvents


@dataclass(frozen=True, slots=True)
class Snapshots:
    """R snapshots, by user and time."""

    user_R: NDArray[np.int64]
    """Place among the events' users."""
    known_R: NDArray[np.int64]
    """How many of the user's events they are made of."""
    time_R: NDArray[np.int64]
    """The boundary, epoch milliseconds."""

    def __len__(self) -> int:
        return len(self.user_R)


def seen_snapshots(
    events: TextEvents, user_B: NDArray[np.int64], time_B: NDArray[np.int64], every: int
) -> tuple[Snapshots, NDArray[np.int64]]:
    """The snapshots that B exposures see, each once, and the place of each exposure's; -1 where there is none yet.

    A refresh makes more than these; the others reach no sample.

    Args:
        events: that enter texts.
        user_B: users of the exposures, as places among the events' users.
        time_B: times of the exposures, epoch milliseconds.
        every: time between snapshots, ms.
    """
    boundary_B = (time_B - 1) // every * every
    known_B = events.known_before(user_B, boundary_B)
    some_B = known_B > 0
    pairs_B = np.stack([user_B[some_B], known_B[some_B]], axis=1)
    pairs_R, place_B = np.unique(pairs_B, axis=0, return_inverse=True)
    seen_B = np.full(len(user_B), -1)
    seen_B[some_B] = place_B.reshape(-1)
    return _made(events, pairs_R[:, 0], pairs_R[:, 1], every), seen_B


def last_snapshots(events: TextEvents, every: int) -> Snapshots:
    """The last snapshot of every user that has one: what a server reads."""
    users_U = np.flatnonzero(events.lengths_U)
    return _made(events, users_U, events.lengths_U[users_U], every)


def refreshed_snapshots(events: TextEvents, boundary: int, every: int) -> Snapshots:
    """The snapshots that the refresh at one boundary makes: of users with new behaviour since the one before."""
    users_U = np.arange(len(events.users))
    known_U = events.known_before(users_U, np.full(len(users_U), boundary))
    before_U = events.known_before(users_U, np.full(len(users_U), boundary - every))
    fresh_U = users_U[known_U > before_U]
    return Snapshots(fresh_U, known_U[fresh_U], np.full(len(fresh_U), boundary))


def joined(first: Snapshots, second: Snapshots) -> Snapshots:
    """The snapshots of both, each once; those of `first` come first and keep their places."""
    known = set(zip(first.user_R.tolist(), first.time_R.tolist(), strict=True))
    pairs = zip(second.user_R.tolist(), second.time_R.tolist(), strict=True)
    new_R = np.array([pair not in known for pair in pairs], np.bool_)
    return Snapshots(
        np.concatenate([first.user_R, second.user_R[new_R]]),
        np.concatenate([first.known_R, second.known_R[new_R]]),
        np.concatenate([first.time_R, second.time_R[new_R]]),
    )


def _made(events: TextEvents, user_R: NDArray[np.int64], known_R: NDArray[np.int64], every: int) -> Snapshots:
    """Snapshots of so many events: made at the first boundary after the last of these, with all known by then."""
    last_R = events.available_N[events.offsets_U1[user_R] + known_R - 1]
    time_R = (last_R // every + 1) * every
    return Snapshots(user_R, known_R, time_R)
