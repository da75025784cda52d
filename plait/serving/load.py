"""An open-loop load generator: requests leave by schedule, whether or not the server keeps up.

Latency counts from the scheduled moment, so that a stall of the server (or of this client) shows in every request that
it delayed and cannot hide by slowing the arrivals down ("coordinated omission").
"""

import asyncio
import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_NOT_DEGRADED = b'"degraded":[]'
_AHEAD_S = 0.001
"""The event loop wakes about this much late: it sleeps to this point and yields until the moment itself."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What is sent when."""

    host: str
    port: int
    bodies: Sequence[bytes]
    """Request bodies, sent in turn."""
    send_at_R: NDArray[np.float64]
    """Seconds from the start at which each request leaves."""
    path: str = "/v1/recommend"
    timeout_s: float = 5.0
    token: str | None = None


@dataclass(slots=True)
class LoadResult:
    """What came back; one entry per request."""

    latency_ms_R: NDArray[np.float64]
    """From the scheduled moment to the last byte of the answer; NaN where none came."""
    status_R: NDArray[np.int64]
    """HTTP status; 0 where the connection failed or the answer came too late."""
    degraded_R: NDArray[np.bool_]
    late_ms_R: NDArray[np.float64]
    """By how much the client itself was late to send: near 0, or the measurement is worth little."""
    seconds: float
    failures: list[str] = field(default_factory=list)
    """The first few failures in words."""

    @property
    def errors(self) -> int:
        """Requests that were not answered with 200."""
        return int(np.count_nonzero(self.status_R != 200))

    @property
    def achieved_qps(self) -> float:
        """Requests answered with 200 per second."""
        return float(np.count_nonzero(self.status_R == 200)) / self.seconds

    def percentile_ms(self, percent: float) -> float:
        """A percentile of latency over all requests; one that was not answered counts as the longest."""
        latency = np.where(self.status_R == 200, self.latency_ms_R, np.inf)
        return float(np.percentile(latency, percent, method="higher"))


def schedule(qps: float, seconds: float, *, poisson: bool, seed: int) -> NDArray[np.float64]:
    """Send times in seconds: `qps * seconds` of them, at random as independent users come, or evenly spaced."""
    count = max(1, round(qps * seconds))
    if not poisson:
        return np.arange(count) / qps
    gaps = np.random.default_rng(seed).exponential(1.0, count)
    times: NDArray[np.float64] = np.cumsum(gaps)
    times *= seconds / times[-1]
    return times


async def drive(plan: LoadPlan) -> LoadResult:
    """Send every request at its time and wait for all answers."""
    run = _Run(plan)
    gc.collect()
    gc.disable()  # a collection in this client would look like latency of the server
    try:
        return await run.all()
    finally:
        gc.enable()


class _Run:
    def __init__(self, plan: LoadPlan) -> None:
        count = len(plan.send_at_R)
        self._plan = plan
        self._idle: list[_Connection] = []
        self._requests = [_request(plan, body) for body in plan.bodies]
        self._result = LoadResult(
            np.full(count, np.nan), np.zeros(count, np.int64), np.zeros(count, np.bool_), np.zeros(count), 0.0
        )

    async def all(self) -> LoadResult:
        start = time.perf_counter() + 0.1
        tasks = []
        for place, offset in enumerate(self._plan.send_at_R.tolist()):
            due = start + offset
            await _until(due)
            self._result.late_ms_R[place] = (time.perf_counter() - due) * 1e3
            tasks.append(asyncio.ensure_future(self._one(place, due)))
        await asyncio.gather(*tasks)
        self._result.seconds = max(time.perf_counter() - start, 1e-9)
        for connection in self._idle:
            connection.close()
        await asyncio.sleep(0)  # lets the transports close
        return self._result

    async def _one(self, place: int, due: float) -> None:
        connection: _Connection | None = None
        try:
            async with asyncio.timeout(self._plan.timeout_s):
                connection = self._idle.pop() if self._idle else await _Connection.open(self._plan)
                status, body = await connection.ask(self._requests[place % len(self._requests)])
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            self._failed(f"{type(error).__name__}: {error}")
            if connection is not None:
                connection.close()
            return
        self._result.latency_ms_R[place] = (time.perf_counter() - due) * 1e3
        self._result.status_R[place] = status
        self._result.degraded_R[place] = _NOT_DEGRADED not in body
        self._idle.append(connection)
        if status != 200:
            self._failed(f"{status}: {body[:200].decode(errors='replace')}")

    def _failed(self, what: str) -> None:
        if len(self._result.failures) < 5:
            self._result.failures.append(what)


class _Connection:
    """One kept-alive HTTP/1.1 connection; one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, plan: LoadPlan) -> "_Connection":
        return cls(*await asyncio.open_connection(plan.host, plan.port, limit=1 << 20))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        fields = head.lower().split(b"\r\n")
        length = next(int(line.partition(b":")[2]) for line in fields if line.startswith(b"content-length:"))
        return int(fields[0].split()[1]), await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


async def _until(due: float) -> None:
    left = due - time.perf_counter()
    if left > _AHEAD_S:
        await asyncio.sleep(left - _AHEAD_S)
    while time.perf_counter() < due:
        await asyncio.sleep(0)


def _request(plan: LoadPlan, body: bytes) -> bytes:
    lines = [
        f"POST {plan.path} HTTP/1.1",
        f"Host: {plan.host}:{plan.port}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    if plan.token:
        lines.append(f"Authorization: Bearer {plan.token}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
