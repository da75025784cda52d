"""What first places were promised, and what came of them: calibration drift while a model serves.

A request is scored as if each candidate stood first, so a promise is kept of the item that an answer puts first and of
no other. It is held against outcomes only where the exposure arrives as well: what was not shown promised nothing.
"""

import heapq
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from plait.calibration import DriftRule, pcoc_of
from plait.config import ObjectiveSettings
from plait.data.attribution import maturity_window
from plait.serving.state import EXPOSURE, Behaviour, Identifier

_DAY_MS = 86_400_000
_SHOWN_WITHIN_MS = 3_600_000
"""An exposure that arrives for an item that was promised longer ago is of another answer."""
_MOST = 100_000
"""Promises and exposures held; beyond them the oldest are dropped."""


@dataclass(slots=True)
class _Exposure:
    """One that was promised something, or one that followed such a one and takes what is done after it."""

    name: str
    key: tuple[str, str]
    """User and item."""
    time: int
    promised: dict[str, float]
    open: set[str]
    """Objectives whose outcome is not final yet."""
    events: list[Behaviour] = field(default_factory=list)

    def fulfils(self, objective: ObjectiveSettings, by_name: dict[str, ObjectiveSettings]) -> int | None:
        """When the objective first came true, its parents before it; None if it did not."""
        after = 0 if objective.parent is None else self.fulfils(by_name[objective.parent], by_name)
        if after is None:
            return None
        least = -float("inf") if objective.min_value is None else objective.min_value
        times = [
            each.time
            for each in self.events
            if each.action == objective.action
            and after <= each.time <= self.time + objective.window
            and (objective.attribution == "last_touch" or each.exposure_id is not None)
            and (objective.min_value is None or (each.value is not None and each.value >= least))
        ]
        return min(times, default=None)


@dataclass(frozen=True, slots=True)
class Kept:
    """What an objective's promises of the last days came to, of exposures whose outcome is final."""

    promised: float
    observed: float
    pcoc: float
    """Promised over observed; NaN before anything happened."""
    side: int
    """1: surely promised too much, by more than the band; -1: too little; 0: neither."""


class Promises:
    """Promises of one model by objective. Methods may be called from any thread; all is kept in memory only.

    Args:
        objectives: of the workspace.
        rule: its band says when PCOC has drifted.
        days: outcomes count for so long after they have become final.
    """

    def __init__(
        self, objectives: Sequence[ObjectiveSettings], *, rule: DriftRule | None = None, days: int = 7
    ) -> None:
        self._by_name = {objective.name: objective for objective in objectives}
        self._after = {objective.name: maturity_window(objective, objectives) for objective in objectives}
        self._rule, self._days = rule or DriftRule(), days
        self._lock = threading.Lock()
        self.restart()

    def restart(self) -> None:
        """Forget everything: another model answers."""
        with self._lock:
            self._promised: OrderedDict[tuple[str, str], tuple[int, dict[str, float]]] = OrderedDict()
            self._shown: OrderedDict[str, _Exposure] = OrderedDict()
            self._latest: dict[tuple[str, str], list[_Exposure]] = {}
            self._due: list[tuple[int, str, str]] = []
            self._sums: dict[str, dict[int, NDArray[np.float64]]] = {name: {} for name in self._by_name}

    def promised(self, user_id: Identifier, item_id: Identifier, chances: dict[str, float], time_ms: int) -> None:
        """An answer put this item first, with these probabilities by objective."""
        with self._lock:
            self._promised[str(user_id), str(item_id)] = (time_ms, chances)
            self._promised.move_to_end((str(user_id), str(item_id)))
            if len(self._promised) > _MOST:
                self._promised.popitem(last=False)

    def arrived(self, user_id: Identifier, event: Behaviour) -> None:
        """A behaviour or an exposure, each once."""
        key = (str(user_id), str(event.item_id))
        with self._lock:
            if event.action == EXPOSURE:
                self._show(key, event)
            elif (shown := self._touched(key, event)) is not None:
                shown.events.append(event)

    def kept(self, now_ms: int) -> dict[str, Kept]:
        """By objective, of the exposures whose outcome became final in the last days."""
        with self._lock:
            self._settle(now_ms)
            found = {}
            for name, by_day in self._sums.items():
                recent = [sums for day, sums in by_day.items() if day > now_ms // _DAY_MS - self._days]
                promised, observed = np.sum(recent, axis=0).tolist() if recent else (0.0, 0.0)
                pcoc, low, high = pcoc_of(promised, observed)
                side = (low > 1 + self._rule.band) - (high < 1 - self._rule.band) if recent else 0
                found[name] = Kept(promised, observed, pcoc, side)
            return found

    def _show(self, key: tuple[str, str], event: Behaviour) -> None:
        if event.exposure_id is None or (name := str(event.exposure_id)) in self._shown:
            return
        promised_at, chances = self._promised.get(key, (event.time, {}))
        if 0 <= event.time - promised_at <= _SHOWN_WITHIN_MS:
            self._promised.pop(key, None)
        else:
            chances = {}
        if not chances and key not in self._latest:
            return
        shown = self._shown[name] = _Exposure(name, key, event.time, chances, set(chances))
        self._latest.setdefault(key, []).append(shown)
        for objective in chances:
            heapq.heappush(self._due, (event.time + self._after[objective], name, objective))
        if len(self._shown) > _MOST:
            self._forget(next(iter(self._shown)))

    def _touched(self, key: tuple[str, str], event: Behaviour) -> _Exposure | None:
        """The exposure that a behaviour names, else the user's latest one of the item."""
        if event.exposure_id is not None:
            return self._shown.get(str(event.exposure_id))
        earlier = [shown for shown in self._latest.get(key, ()) if shown.time <= event.time]
        return max(earlier, key=lambda shown: shown.time, default=None)

    def _settle(self, now_ms: int) -> None:
        """Count what has become final by now."""
        while self._due and self._due[0][0] <= now_ms:
            due, name, objective = heapq.heappop(self._due)
            shown = self._shown.get(name)
            if shown is None:
                continue
            happened = shown.fulfils(self._by_name[objective], self._by_name) is not None
            sums = self._sums[objective].setdefault(due // _DAY_MS, np.zeros(2))
            sums += shown.promised[objective], float(happened)
            shown.open.discard(objective)
            if not shown.open:
                self._forget(name)
        for by_day in self._sums.values():
            for day in [day for day in by_day if day <= now_ms // _DAY_MS - self._days]:
                del by_day[day]

    def _forget(self, name: str) -> None:
        """Drop an exposure, and with a user's last promised one of an item those that only stand beside it."""
        key = self._shown.pop(name).key
        rest = [one for one in self._latest.pop(key) if one.name != name]
        if any(one.promised for one in rest):
            self._latest[key] = rest
            return
        for one in rest:
            del self._shown[one.name]
