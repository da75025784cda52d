"""Point-in-time numbers from the last events before an exposure: one function for training and for requests.

`K` candidates of one request share a window; exposures of a training batch have one each. Both are the same code: the
window has R rows, R = 1 or R = B, and NumPy's broadcasting does the rest. Counts are whole numbers, so that both
layouts agree exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plait.features.spec import Action, FeatureSpec, Number

WINDOW = 128
"""How many of the last events the numbers look at: counts fit a byte, and a store may forget the rest."""

_SPANS_MS = {"1h": 3_600_000, "1d": 86_400_000, "7d": 7 * 86_400_000}
_NEVER_S = 90 * 86_400.0
"""An event longer ago than this (or none at all) counts as this long ago, seconds."""
_LOG_COUNTS = np.log1p(np.arange(WINDOW + 1)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class History:
    """Events of one user as codes, in order of arrival."""

    item_N: NDArray[np.int32]
    action_N: NDArray[np.int32]
    scenario_N: NDArray[np.int32]
    """1 + index into the specification's scenarios; 0 where the event names none."""
    time_N: NDArray[np.int64]
    """Epoch milliseconds."""

    @classmethod
    def empty(cls) -> "History":
        """No events."""
        none = np.empty(0, np.int32)
        return cls(none, none, none, np.empty(0, np.int64))

    def last(self, count: int) -> "History":
        """The last `count` events."""
        return self.between(max(len(self) - count, 0), len(self))

    def between(self, start: int, end: int) -> "History":
        """The events `start` up to `end`."""
        part = slice(start, end)
        return History(self.item_N[part], self.action_N[part], self.scenario_N[part], self.time_N[part])

    def joined(self, further: "History") -> "History":
        """These events and `further` ones behind them."""
        return History(
            np.concatenate([self.item_N, further.item_N]),
            np.concatenate([self.action_N, further.action_N]),
            np.concatenate([self.scenario_N, further.scenario_N]),
            np.concatenate([self.time_N, further.time_N]),
        )

    def continues(self, earlier: "History") -> bool:
        """Whether these events begin with all of `earlier`."""
        known = len(earlier)
        return (
            len(self) >= known
            and np.array_equal(self.time_N[:known], earlier.time_N)
            and np.array_equal(self.item_N[:known], earlier.item_N)
            and np.array_equal(self.action_N[:known], earlier.action_N)
            and np.array_equal(self.scenario_N[:known], earlier.scenario_N)
        )

    def __len__(self) -> int:
        return len(self.time_N)


@dataclass(frozen=True, slots=True)
class Window:
    """The last `WINDOW` events of R histories, latest first; places without an event hold zeros."""

    item_RW: NDArray[np.int32]
    action_RW: NDArray[np.int32]
    scenario_RW: NDArray[np.int32]
    time_RW: NDArray[np.int64]
    length_R: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class HistoryFacts:
    """What the history numbers are computed from, as it is stored for every exposure."""

    counts_BC: NDArray[np.uint8]
    gaps_BD: NDArray[np.float32]
    """`log1p(seconds)` since the last event of each kind."""


def gather_window(
    events: History, start_R: NDArray[np.int64], stop_R: NDArray[np.int64], width: int = WINDOW
) -> Window:
    """The last events of the ranges `start_R:stop_R` of `events`."""
    length_R = np.minimum(stop_R - start_R, width)
    if len(events) == 0:
        none = np.zeros((len(start_R), width), np.int32)
        return Window(none, none, none, none.astype(np.int64), length_R)
    steps_W = np.arange(width)
    outside_RW = steps_W >= length_R[:, None]
    places_RW = stop_R[:, None] - 1 - steps_W
    places_RW[outside_RW] = 0
    item_RW, action_RW, scenario_RW = (
        np.where(outside_RW, 0, codes_N[places_RW]).astype(np.int32, copy=False)
        for codes_N in (events.item_N, events.action_N, events.scenario_N)
    )
    time_RW = np.where(outside_RW, 0, events.time_N[places_RW])
    return Window(item_RW, action_RW, scenario_RW, time_RW, length_R)


class HistoryNumbers:
    """The history numbers of one specification: their names and how they are computed.

    For an exposure at time t, over the window of its last 128 events: how many there are, lie within the last hour,
    day and week, come from the exposure's scenario, are of each action (and bucket of its value); how many are of the
    candidate's item (in all and by action) and of each of its categories (also as a share); and how long ago the last
    event, the last with the item and the last with each category was. Counts enter as `log1p(count)`, durations as
    `log1p(seconds)`, at most 90 days. A candidate whose item or category is unknown (code 0) matches nothing.
    """

    def __init__(
        self, actions: Sequence[Action], category_columns: Sequence[int], category_names: Sequence[str]
    ) -> None:
        """Prepare for one specification.

        Args:
            actions: of the specification, in its order.
            category_columns: columns of `item_fields_VI` that hold the item's category path.
            category_names: their names.
        """
        self._columns = tuple(category_columns)
        names = [name for action in actions for name in _code_names(action)]
        self._codes = len(names) + 1
        kinds = ["item", *category_names]
        self._levels = len(category_names)
        self.count_names = (
            "events",
            *(f"events.{span}" for span in _SPANS_MS),
            "scenario",
            *(f"action.{name}" for name in names),
            *kinds,
            *(f"item.{name}" for name in names),
        )
        self.gap_names = tuple(f"since.{kind}" for kind in ("event", *kinds))
        shares = tuple(f"share.{name}" for name in category_names)
        self.names = tuple(f"history.{name}" for name in (*self.count_names, *self.gap_names, *shares))
        self._first_kind = self.count_names.index("item")
        window = (*self.count_names[: self._first_kind], self.gap_names[0])
        self.window_names = frozenset(f"history.{name}" for name in window)
        """Those that are the same for all candidates of a request."""

    @classmethod
    def of(cls, spec: FeatureSpec) -> "HistoryNumbers":
        """The history numbers that belong to `spec`."""
        columns = [spec.fields[index].name for index in spec.item_columns]
        return cls.of_columns(spec.actions, columns)

    @classmethod
    def of_columns(cls, actions: Sequence[Action], item_fields: Sequence[str]) -> "HistoryNumbers":
        """The history numbers for these actions and item fields (the first is the id)."""
        path = [index for index, name in enumerate(item_fields) if name in ("category_1", "category_2", "category_3")]
        return cls(actions, path, [item_fields[index] for index in path])

    def facts(
        self,
        window: Window,
        time_R: NDArray[np.int64],
        scenario_R: NDArray[np.int32],
        item_fields_BI: NDArray[np.int32],
        item_fields_VI: NDArray[np.int32],
    ) -> HistoryFacts:
        """Counts and gaps of B candidates over their own windows (R = B) or over one that they share (R = 1).

        Args:
            window: the last events before `time_R`.
            time_R: of the exposures, or of the request, epoch milliseconds.
            scenario_R: index into the specification's scenarios.
            item_fields_BI: codes of the candidates' item fields; the first column is the item itself.
            item_fields_VI: codes of the item fields by item code.
        """
        size = len(item_fields_BI)
        counts_BC = np.empty((size, len(self.count_names)), np.uint8)
        gaps_BD = np.empty((size, len(self.gap_names)), np.float32)
        shared = self._first_kind
        counts_BC[:, :shared] = self._shared_counts(window, time_R, scenario_R)
        gaps_BD[:, 0] = _log_gap(time_R, window.time_RW[:, 0], window.length_R > 0)
        candidates = (0, *self._columns)
        for place, column in enumerate(candidates):
            codes_RW = window.item_RW if column == 0 else item_fields_VI[:, column][window.item_RW]
            match_BW = codes_RW == _never_zero(item_fields_BI[:, column])[:, None]
            counts_BC[:, shared + place] = _count(match_BW)
            gaps_BD[:, 1 + place] = _gap_to_match(match_BW, time_R, window.time_RW)
            if column == 0:
                counts_BC[:, shared + len(candidates) :] = self._item_by_action(match_BW, window.action_RW)
        return HistoryFacts(counts_BC, gaps_BD)

    def numbers(self, facts: HistoryFacts) -> NDArray[np.float32]:
        """The history numbers before standardisation, `[B, len(names)]`."""
        counts_BC, first = facts.counts_BC, self._first_kind + 1
        events_B1 = np.maximum(counts_BC[:, :1], 1).astype(np.float32)
        shares_BC = counts_BC[:, first : first + self._levels].astype(np.float32) / events_B1
        return np.concatenate([_LOG_COUNTS[counts_BC], facts.gaps_BD, shares_BC], axis=1)

    def _shared_counts(
        self, window: Window, time_R: NDArray[np.int64], scenario_R: NDArray[np.int32]
    ) -> NDArray[np.int64]:
        rows = len(time_R)
        age_RW = time_R[:, None] - window.time_RW
        age_RW[np.arange(age_RW.shape[1]) >= window.length_R[:, None]] = np.iinfo(np.int64).max
        spans = [_count(age_RW <= span) for span in _SPANS_MS.values()]
        scenario = _count(window.scenario_RW == scenario_R[:, None] + 1)
        flat = window.action_RW + np.arange(rows, dtype=np.int64)[:, None] * self._codes
        by_code = np.bincount(flat.ravel(), minlength=rows * self._codes).reshape(rows, self._codes)
        return np.concatenate([np.stack([window.length_R, *spans, scenario], axis=1), by_code[:, 1:]], axis=1)

    def _item_by_action(self, match_BW: NDArray[np.bool_], action_RW: NDArray[np.int32]) -> NDArray[np.int64]:
        rows, places = np.divmod(np.flatnonzero(match_BW), match_BW.shape[1])
        codes = action_RW[rows if len(action_RW) > 1 else 0, places]
        size = len(match_BW)
        counts = np.bincount(rows * self._codes + codes, minlength=size * self._codes)
        return counts.reshape(size, self._codes)[:, 1:]


def fit_history_numbers(names: Sequence[str], raw_BG: NDArray[np.float32]) -> tuple[Number, ...]:
    """The history numbers' mean and deviation over a sample of training exposures."""
    values_BG = raw_BG.astype(np.float64)
    means = values_BG.mean(axis=0) if len(values_BG) else np.zeros(len(names))
    stds = values_BG.std(axis=0) if len(values_BG) else np.ones(len(names))
    return tuple(
        Number(name, "history", float(mean), float(std) if std > 1e-6 else 1.0)
        for name, mean, std in zip(names, means, stds, strict=True)
    )


def _code_names(action: Action) -> list[str]:
    """A name for each code of an action: its own, or one for "no value" and one per bucket, counted from 0."""
    if action.size == 1:
        return [action.name]
    return [f"{action.name}.none", *(f"{action.name}.{bucket}" for bucket in range(action.size - 1))]


def _never_zero(codes_B: NDArray[np.int32]) -> NDArray[np.int32]:
    """Codes with -1 for unknown: an unknown candidate is not the same as an unknown event."""
    return np.where(codes_B == 0, np.int32(-1), codes_B)


def _count(match_BW: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """True values per row: at most `WINDOW`, so that a byte holds them (and bytes add up fast)."""
    counts_B: NDArray[np.uint8] = match_BW.view(np.uint8).sum(axis=1, dtype=np.uint8)
    return counts_B


def _gap_to_match(
    match_BW: NDArray[np.bool_], time_R: NDArray[np.int64], time_RW: NDArray[np.int64]
) -> NDArray[np.float32]:
    """`log1p(seconds)` since the event that arrived last among the matches."""
    latest_B = match_BW.argmax(axis=1)
    rows_B = np.arange(len(match_BW))
    event_B = time_RW[rows_B if len(time_RW) > 1 else 0, latest_B]
    return _log_gap(time_R, event_B, match_BW[rows_B, latest_B])


def _log_gap(time_R: NDArray[np.int64], event_B: NDArray[np.int64], found_B: NDArray[np.bool_]) -> NDArray[np.float32]:
    seconds_B = np.clip((time_R - event_B) / 1_000.0, 0.0, _NEVER_S)
    return np.log1p(np.where(found_B, seconds_B, _NEVER_S)).astype(np.float32)
