"""Time of one request: what is left, what a stage will cost, and what must give way."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Clock = Callable[[], float]
"""Seconds on a clock that never goes back."""


ANSWERED_BY = 0.9
"""Share of the budget after which an answer should be on its way."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Which part of a request's turn its stages may take."""

    source: float = 0.35
    """The most that one candidate source may take of the time that is left when it is asked."""
    rank: float = 0.9
    """By when candidates must be ranked and time be left for the creatives; the rest is for surprises."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Something a response does without, because its time was short or a part failed."""

    stage: str
    reason: str
    """Of a closed set (`late`, `failed`, `shortened`), so that it can label a metric."""
    detail: str
    """The same in words, with numbers."""


class Deadline:
    """Counts down one request's budget and keeps what each stage took and what was dropped."""

    def __init__(
        self,
        budget_ms: float,
        started: float | None = None,
        clock: Clock = time.perf_counter,
        *,
        turn_ms: float | None = None,
    ) -> None:
        """Begin the request's turn.

        Args:
            budget_ms: the whole request's time.
            started: when the request arrived, on `clock`; now by default.
            clock: seconds; replaced in tests.
            turn_ms: how long the turn may last; by default until `ANSWERED_BY` of the budget is used up.
        """
        self._clock = clock
        self._turn = clock()
        self._started = self._turn if started is None else started
        self.turn_ms = ANSWERED_BY * budget_ms - self.elapsed_ms() if turn_ms is None else turn_ms
        self.timings_ms: dict[str, float] = {}
        self.dropped: list[Dropped] = []

    def elapsed_ms(self) -> float:
        """Milliseconds since the request arrived."""
        return (self._clock() - self._started) * 1e3

    def remaining_ms(self, share: float = 1.0) -> float:
        """Milliseconds until `share` of the turn is used up; negative when it is."""
        return self.turn_ms * share - (self._clock() - self._turn) * 1e3

    def drop(self, stage: str, reason: str, detail: str) -> None:
        """Record that the response does without something."""
        self.dropped.append(Dropped(stage, reason, detail))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; a stage entered twice adds up."""
        before = self._clock()
        try:
            yield
        finally:
            spent = (self._clock() - before) * 1e3
            self.timings_ms[name] = self.timings_ms.get(name, 0.0) + spent


@dataclass(slots=True)
class Cost:
    """Expected milliseconds of a stage over n candidates: `speed (fixed + slope n)`.

    `fixed` and `slope` are measured once, at warm-up; `speed` is an exponentially weighted mean of observed over
    expected, so that a busy machine is noticed. A cost per candidate alone would grow as fewer are ranked and never
    recover. What is not run cannot be observed: each time the stage is skipped, `forgive` moves `speed` back towards
    1, so that it is tried again.
    """

    fixed_ms: float = 0.0
    slope_ms: float = 0.0
    speed: float = 1.0
    memory: float = 0.9
    """Share of the old estimate that an observation leaves."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def calibrate(self, few: tuple[int, float], many: tuple[int, float]) -> None:
        """Fit the line through two measurements (candidates, milliseconds) and start afresh."""
        (n_few, few_ms), (n_many, many_ms) = few, many
        with self._lock:
            self.slope_ms = max((many_ms - few_ms) / max(n_many - n_few, 1), 0.0)
            self.fixed_ms = max(few_ms - self.slope_ms * n_few, 0.0)
            self.speed = 1.0

    def expected_ms(self, candidates: int) -> float:
        return self.speed * (self.fixed_ms + self.slope_ms * candidates)

    def affordable(self, remaining_ms: float) -> int:
        """How many candidates fit into the time; a stage that was never measured is taken to be free."""
        left = remaining_ms / self.speed - self.fixed_ms
        if remaining_ms <= 0 or left < 0:
            return 0
        return int(left / self.slope_ms) if self.slope_ms > 0 else 1 << 30

    def observe(self, candidates: int, spent_ms: float) -> None:
        """Take in one run of the stage."""
        line = self.fixed_ms + self.slope_ms * candidates
        if line > 0:
            with self._lock:
                self.speed = max(self.memory * self.speed + (1 - self.memory) * spent_ms / line, 0.1)

    def forgive(self) -> None:
        """The stage was skipped: believe in it a little more."""
        with self._lock:
            self.speed = self.memory * self.speed + (1 - self.memory) * min(self.speed, 1.0)
