"""Users' states between requests: each behaviour runs through the tower once, not once per request."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from plait.features.history import History
from plait.models.tower import TowerSteps, UserSummary, UserTrack

_FirstEvent = tuple[int, int, int, int]


@dataclass(slots=True)
class _Kept:
    lock: threading.Lock = field(default_factory=threading.Lock)
    track: UserTrack | None = None
    bytes: int = 0


class UserTracks:
    """The states of users who were asked for lately.

    A history is found by its first event and then compared as a whole, so that what comes out is right whoever asks: a
    late event, another pass, or another user whose history begins alike start anew.

    Args:
        steps: the tower.
        most_bytes: memory of all states; beyond it those that were not asked for longest are dropped.
    """

    def __init__(self, steps: TowerSteps, most_bytes: int = 512 << 20) -> None:
        self._steps = steps
        self._most_bytes = most_bytes
        self._kept: OrderedDict[_FirstEvent, _Kept] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """Memory that they hold."""
        return self._bytes

    def summary(self, events: History) -> UserSummary:
        """What the tower says of a user.

        Args:
            events: the whole of a pass: the last `UserTower.window(before)` of the user's `before` events.
        """
        if not len(events):
            return self._steps.summary(self._steps.begin())
        return self._advanced(self._found(events), events)

    def arrived(self, events: History) -> None:
        """Go on to `events` now where the user's state is kept: the next request need not."""
        if len(events):
            with self._lock:
                kept = self._kept.get(_first(events))
            if kept is not None:
                self._advanced(kept, events)

    def _found(self, events: History) -> _Kept:
        with self._lock:
            kept = self._kept.setdefault(_first(events), _Kept())
            self._kept.move_to_end(_first(events))
        return kept

    def _advanced(self, kept: _Kept, events: History) -> UserSummary:
        with kept.lock:
            kept.track = self._steps.follow(kept.track, events)
            summary = self._steps.summary(kept.track)
            self._account(kept, _first(events), kept.track.state.bytes)
        return summary

    def _account(self, kept: _Kept, first: _FirstEvent, size: int) -> None:
        with self._lock:
            if self._kept.get(first) is kept:
                self._bytes += size - kept.bytes
                kept.bytes = size
            while self._bytes > self._most_bytes and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].bytes


def _first(events: History) -> _FirstEvent:
    return int(events.item_N[0]), int(events.action_N[0]), int(events.scenario_N[0]), int(events.time_N[0])
