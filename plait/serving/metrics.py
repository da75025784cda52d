"""What Prometheus scrapes from a server."""

from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from plait.serving.deadline import Deadline
from plait.serving.promises import Kept

_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0)


class ServerMetrics:
    """Counters of one server; each has its own registry, so that two servers in a process do not mix."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = self._counter("requests", "Requests by path and status.", ["path", "status"])
        self._latency = self._histogram("request_seconds", "From arrival to answer, queueing included.", ["path"])
        self._stage = self._histogram("stage_seconds", "Time of each stage of a recommendation.", ["stage"])
        self._degraded = self._counter("degraded", "Things responses did without.", ["stage", "reason"])
        self._candidates = self._counter("candidates", "Candidates by the source that brought them.", ["source"])
        self._behaviours = self._counter("behaviours", "Behaviours by what became of them.", ["outcome"])
        self._records = self._counter("request_log", "Request-log records by what became of them.", ["outcome"])
        self._waiting = self._gauge("waiting_requests", "Recommendations admitted and not answered yet.")
        self._users = self._gauge("state_users", "Users with behaviours since the model's data ended.")
        self._events = self._gauge("state_events", "Behaviours since the model's data ended.")
        self._model = self._gauge("model_info", "1 for the model that answers.", ["name", "version"])
        by = ["objective"]
        self._promised = self._gauge("promised", "What first places were promised whose outcome is final.", by)
        self._observed = self._gauge("observed", "What came of them.", by)
        self._pcoc = self._gauge("pcoc", "Promised over observed; NaN before anything happened.", by)
        self._drift = self._gauge("calibration_drift", "1 surely promised too much, -1 too little, 0 neither.", by)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """One request was answered."""
        self._requests.labels(path, str(status)).inc()
        self._latency.labels(path).observe(seconds)

    def recommended(self, deadline: Deadline, counts: dict[str, int]) -> None:
        """One recommendation: its stages, what it did without, and where its candidates came from."""
        for stage, spent_ms in deadline.timings_ms.items():
            self._stage.labels(stage).observe(spent_ms / 1e3)
        for dropped in deadline.dropped:
            self._degraded.labels(dropped.stage, dropped.reason).inc()
        for source, count in counts.items():
            self._candidates.labels(source).inc(count)

    def behaviours(self, outcome: str, count: int) -> None:
        self._behaviours.labels(outcome).inc(count)

    def logged(self, outcome: str) -> None:
        self._records.labels(outcome).inc()

    def waiting(self, count: int) -> None:
        self._waiting.set(count)

    def state(self, users: int, events: int) -> None:
        self._users.set(users)
        self._events.set(events)

    def model(self, name: str, version: str) -> None:
        """A model took over."""
        self._model.clear()
        self._model.labels(name, version).set(1)

    def calibration(self, kept: Mapping[str, Kept]) -> None:
        """What promises came to, by objective."""
        for objective, one in kept.items():
            self._promised.labels(objective).set(one.promised)
            self._observed.labels(objective).set(one.observed)
            self._pcoc.labels(objective).set(one.pcoc)
            self._drift.labels(objective).set(one.side)

    def render(self) -> bytes:
        """All of it in the Prometheus text format."""
        return generate_latest(self._registry)

    def _counter(self, name: str, about: str, labels: Sequence[str]) -> Counter:
        return Counter(f"plait_{name}", about, labels, registry=self._registry)

    def _gauge(self, name: str, about: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(f"plait_{name}", about, labels, registry=self._registry)

    def _histogram(self, name: str, about: str, labels: Sequence[str]) -> Histogram:
        return Histogram(f"plait_{name}", about, labels, buckets=_BUCKETS_S, registry=self._registry)
