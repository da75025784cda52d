"""Users' histories as a model's codes: what its data holds, and what arrived since."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plait.features.dataset import EncodedDataset
from plait.features.history import History
from plait.features.online import OnlineFeatures
from plait.features.preference import WINDOW, Shown
from plait.serving.shown import with_arrived
from plait.serving.state import EXPOSURE, Behaviour, Identifier, UserStates

_CACHED_USERS = 1_000


@dataclass(frozen=True, slots=True)
class _Timeline:
    """All events of one user in order of arrival."""

    events: History
    available_N: NDArray[np.int64]

    def before(self, time_ms: int) -> History:
        """The events that were available strictly before `time_ms`."""
        count = int(np.searchsorted(self.available_N, time_ms, side="left"))
        events = self.events
        return History(events.item_N[:count], events.action_N[:count], events.scenario_N[:count], events.time_N[:count])


class Histories:
    """The events that a request may use, by user and time."""

    def __init__(self, dataset: EncodedDataset, available_N: NDArray[np.int64], online: OnlineFeatures) -> None:
        """Take a model's data.

        Args:
            dataset: its encoded samples; their events are read where they lie.
            available_N: when each of those events became available, epoch milliseconds, in their order.
            online: encodes what arrives.
        """
        self._dataset = dataset
        self._available_N = available_N
        self._online = online
        self._cache: OrderedDict[str, tuple[int, _Timeline]] = OrderedDict()
        self._lock = threading.Lock()

    def before(self, user_id: Identifier, user_row: int, states: UserStates, time_ms: int) -> History:
        """The user's events that were available strictly before `time_ms`, in order of arrival."""
        if states.version(user_id) == 0:
            return self._stored(user_row).before(time_ms)
        return self._timeline(user_id, user_row, states).before(time_ms)

    def shown(self, user_id: Identifier, user_row: int, states: UserStates, time_ms: int) -> Shown:
        """What the user was shown strictly before `time_ms`, where the model reads preferences; else nothing."""
        if self._online.preference is None:
            return Shown.empty()
        rows_N = self._dataset.exposures_before(user_row, time_ms, WINDOW)
        stored = self._dataset.shown(rows_N)
        if states.version(user_id) == 0:
            return stored
        ids = self._dataset.exposure_ids(rows_N)
        return with_arrived(stored, ids, states.read(user_id)[1], self._online, time_ms)

    def longest(self) -> int:
        """Row of the user with the most events; 0 where nobody has any."""
        return int(np.argmax(self._dataset.arrays.event_length_U))

    def _timeline(self, user_id: Identifier, user_row: int, states: UserStates) -> _Timeline:
        key = str(user_id)
        with self._lock:
            cached = self._cache.get(key)
            if cached is not None and cached[0] == states.version(user_id):
                self._cache.move_to_end(key)
                return cached[1]
        version, behaviours = states.read(user_id)
        timeline = _joined(self._stored(user_row), self._encode(behaviours))
        with self._lock:
            self._cache[key] = (version, timeline)
            if len(self._cache) > _CACHED_USERS:
                self._cache.popitem(last=False)
        return timeline

    def _stored(self, user_row: int) -> _Timeline:
        events = self._dataset.history(user_row)
        start = int(self._dataset.arrays.event_start_U[user_row])
        return _Timeline(events, np.asarray(self._available_N[start : start + len(events)]))

    def _encode(self, behaviours: tuple[Behaviour, ...]) -> _Timeline:
        encode = self._online.encode_event
        behaviours = tuple(each for each in behaviours if each.action != EXPOSURE)
        codes = [encode(each.item_id, each.action, each.value, each.scenario, each.time) for each in behaviours]
        events = History(
            np.array([code.item for code in codes], np.int32),
            np.array([code.action for code in codes], np.int32),
            np.array([code.scenario for code in codes], np.int32),
            np.array([code.time for code in codes], np.int64),
        )
        return _Timeline(events, np.array([each.available_time for each in behaviours], np.int64))


def _joined(stored: _Timeline, arrived: _Timeline) -> _Timeline:
    """Both in order of arrival; what arrived but is stored already (data that was built since) counts once."""
    fresh_N = ~_is_stored(stored.events, arrived.events)
    old, new = stored.events, arrived.events
    available_N = np.concatenate([stored.available_N, arrived.available_N[fresh_N]])
    order_N = np.argsort(available_N, kind="stable")
    events = History(
        np.concatenate([old.item_N, new.item_N[fresh_N]])[order_N],
        np.concatenate([old.action_N, new.action_N[fresh_N]])[order_N],
        np.concatenate([old.scenario_N, new.scenario_N[fresh_N]])[order_N],
        np.concatenate([old.time_N, new.time_N[fresh_N]])[order_N],
    )
    return _Timeline(events, available_N[order_N])


def _is_stored(old: History, new: History) -> NDArray[np.bool_]:
    found_N = np.isin(new.time_N, old.time_N)
    for place in np.flatnonzero(found_N):
        same = (old.time_N == new.time_N[place]) & (old.item_N == new.item_N[place])
        same &= (old.action_N == new.action_N[place]) & (old.scenario_N == new.scenario_N[place])
        found_N[place] = same.any()
    return found_N
