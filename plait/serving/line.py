"""Requests that wait for a worker, and how the time is shared out between them."""

import itertools
import time
from collections.abc import Iterator

from plait.serving.deadline import Clock


class Line:
    """Requests in order of arrival. One thread joins them; any may let them leave."""

    def __init__(self, workers: int, within_ms: float, clock: Clock = time.perf_counter) -> None:
        """An empty line.

        Args:
            workers: how many requests are served at a time.
            within_ms: a request should be done this long after its arrival.
            clock: seconds, the one that arrivals are told by.
        """
        self._workers = workers
        self._within_ms = within_ms
        self._clock = clock
        self._arrivals: dict[int, float] = {}
        self._tickets: Iterator[int] = itertools.count()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._arrivals)

    def has_room(self, least_ms: float) -> bool:
        """Whether one more would be done in time if everyone took `least_ms`."""
        return (1 + len(self) // self._workers) * least_ms <= self._within_ms

    def join(self, arrived: float) -> int:
        """Wait behind the others; gives what to leave by."""
        ticket = next(self._tickets)
        self._arrivals[ticket] = arrived
        return ticket

    def leave(self, ticket: int) -> None:
        """The request's turn has come, or it was given up; to leave twice is no error."""
        self._arrivals.pop(ticket, None)

    def turn_ms(self, arrived: float) -> float:
        """How long a request may take whose turn has come: as long as everybody behind it may take, too.

        With `left_i` the time left to the i-th request (0 is this one) that is `min_i left_i / (1 + i // workers)`:
        the longest equal turns with which all are done in time. It is negative for a request that is late already.
        """
        now = self._clock()
        waiting = tuple(self._arrivals.values())  # a copy in one step: others may join meanwhile
        return min(
            (self._within_ms - (now - each) * 1e3) / (1 + place // self._workers)
            for place, each in enumerate((arrived, *waiting))
        )
