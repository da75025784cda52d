"""Which exposures train, choose and test a model: two cuts of the calendar, or the last shares of each user's own."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from plait.config import SplitSettings
from plait.schema import Split

SPLITS: tuple[Split, ...] = (Split.TRAIN, Split.VALID, Split.TEST)
"""The splits in time order; a split's code is its place here."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """The times (epoch milliseconds) that splits and as-of times are measured on; `last` is the end of the data."""

    first_exposure: int
    last_exposure: int
    last: int
    """The largest time of an exposure, or arrival of a behaviour: when the log was last written."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How exposures are split, and up to when each split knows its labels."""

    settings: SplitSettings
    cuts: tuple[int, int]
    """First time of the validation part and of the test part (used by `global_time` only), epoch milliseconds."""
    as_of: tuple[int, int, int]
    """As-of time of the train, validation and test parts, epoch milliseconds."""


def make_plan(horizon: Horizon, settings: SplitSettings, as_of: int | None = None) -> Plan:
    """The cuts and as-of times for data that spans `horizon`.

    With first and last exposure time a and z: `valid cut = a + floor((1 - valid - test) (z - a))` and
    `test cut = a + floor((1 - test) (z - a))`. Under `global_time` a part's as-of time is its own end (the valid cut,
    the test cut, the end of the data), so that no label is learned later than the part's last exposure; under
    `per_user_time` there is no common cut, and all three are the end of the data.

    Args:
        horizon: first and last times of the data.
        settings: kind and shares.
        as_of: overrides all three as-of times, epoch milliseconds.
    """
    span = horizon.last_exposure - horizon.first_exposure
    valid, test = (_exact(share) for share in (settings.valid, settings.test))
    cuts = (
        horizon.first_exposure + int((1 - valid - test) * span),
        horizon.first_exposure + int((1 - test) * span),
    )
    ends = (*cuts, horizon.last) if settings.kind == "global_time" else (horizon.last,) * 3
    return Plan(settings, cuts, ends if as_of is None else (as_of,) * 3)


def split_codes(plan: Plan, time_N: NDArray[np.int64], user_starts_U1: NDArray[np.int64]) -> NDArray[np.int8]:
    """The split (index into `SPLITS`) of each exposure.

    `global_time`: train before the valid cut, validation before the test cut, test from there on. `per_user_time`: of
    a user's n exposures in order, the last `floor(test n)` are test, those from the last `floor((valid + test) n)` on
    validation; exposures of one moment stay together, in the earliest part that one of them falls into.

    Args:
        plan: cuts and shares.
        time_N: exposure times, sorted by user, then time.
        user_starts_U1: user u's exposures are rows `user_starts_U1[u]:user_starts_U1[u + 1]`.
    """
    if plan.settings.kind == "global_time":
        return np.searchsorted(np.array(plan.cuts), time_N, side="right").astype(np.int8)
    if len(time_N) == 0:
        return np.zeros(0, dtype=np.int8)
    counts_U = np.diff(user_starts_U1)
    valid, test = _exact(plan.settings.valid), _exact(plan.settings.test)
    place_N = np.arange(len(time_N)) - np.repeat(user_starts_U1[:-1], counts_U)
    codes_N = np.zeros(len(time_N), dtype=np.int8)
    for share in (valid + test, test):
        codes_N += place_N >= np.repeat(counts_U - _floor_share(share, counts_U), counts_U)
    return codes_N[_first_of_moment(time_N, place_N)]


def _first_of_moment(time_N: NDArray[np.int64], place_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each row, the first row of the same user and time."""
    starts_N = np.ones(len(time_N), dtype=bool)
    starts_N[1:] = (time_N[1:] != time_N[:-1]) | (place_N[1:] == 0)
    return np.maximum.accumulate(np.where(starts_N, np.arange(len(time_N)), 0))


def _exact(share: float) -> Fraction:
    """The decimal number that the user wrote: 0.7 as 7/10, so that 10 exposures give 7 and not 6.999."""
    return Fraction(str(share))


def _floor_share(share: Fraction, counts_U: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(counts_U * share.numerator // share.denominator)
