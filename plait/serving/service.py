"""One running server without its HTTP: admission, worker threads, the model that answers, the users' states."""

import asyncio
import gc
import logging
import math
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Protocol

from pydantic_core import to_json

from plait.config import nearest
from plait.errors import ArtifactError, PlaitError, ServingError
from plait.serving.answer import Answer, Query
from plait.serving.deadline import ANSWERED_BY, Cost, Deadline
from plait.serving.line import Line
from plait.serving.metrics import ServerMetrics
from plait.serving.promises import Promises
from plait.serving.request_log import RequestLog
from plait.serving.schemas import BehavioursRequest, Problem, RecommendRequest
from plait.serving.state import Behaviour, UserStates

_log = logging.getLogger("plait.serving")


class Engine(Protocol):
    """A loaded model with everything it needs to answer."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def scenarios(self) -> Sequence[str]: ...
    @property
    def objectives(self) -> Sequence[str]: ...

    @property
    def least_ms(self) -> float:
        """How long an answer takes that does without all it can, as measured by `warm_up`."""
        ...

    def knows_item(self, item_id: int | str) -> bool:
        """Whether the catalogue holds the item."""
        ...

    def warm_up(self) -> None:
        """Answer a few requests of every kind, so that the first real one is not the slowest."""
        ...

    def recommend(self, query: Query, states: UserStates, deadline: Deadline) -> Answer:
        """Answer within the deadline, with what fits into it."""
        ...

    def arrived(self, user_id: int | str, states: UserStates, time_ms: int) -> None:
        """Advance what the model keeps of a user to the events that were available before `time_ms`."""
        ...


class RequestProblemError(ServingError):
    """A request asks for something that there is not."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.field}: found {problem.found}, expected {problem.expected}")
        self.problem = problem


class UnavailableError(ServingError):
    """The server cannot answer now; `retry_after_s` says when it may."""

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BusyError(ServingError):
    """Another model is being loaded already."""


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Limits of one server."""

    deadline_ms: float
    max_k: int
    model: str
    """Name and alias (or version) that is loaded first and on reload."""
    workers: int = 2
    """Threads that retrieve and rank."""
    max_waiting: int = 128
    """Requests admitted and not answered; beyond them the answer is 503."""
    ready_within_s: float = 120.0


class Service:
    """Answers requests. All methods but the coroutines may be called from any thread."""

    def __init__(
        self,
        settings: ServiceSettings,
        load: Callable[[str], Engine],
        states: UserStates,
        *,
        request_log: RequestLog | None = None,
        metrics: ServerMetrics | None = None,
        promises: Promises | None = None,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.settings = settings
        self.metrics = metrics or ServerMetrics()
        self.failure: str | None = None
        self._load = load
        self._states = states
        self._request_log = request_log
        self._promises = promises
        self._clock_ms = clock_ms
        self._engine: Engine | None = None
        self._workers = ThreadPoolExecutor(settings.workers, thread_name_prefix="plait-rank")
        self._state_worker = ThreadPoolExecutor(1, thread_name_prefix="plait-state")
        self._admitted = 0
        self._line = Line(settings.workers, ANSWERED_BY * settings.deadline_ms)
        self._least = Cost()
        self._loading = asyncio.Lock()

    @property
    def engine(self) -> Engine | None:
        """The model that answers now; None while the first one loads."""
        return self._engine

    async def start(self) -> None:
        """Load the first model; a failure is kept for readiness to report, since the process may be watched."""
        try:
            await self.reload(None)
        except PlaitError as error:
            self.failure = str(error)
            _log.error("no model: %s", error)
        except Exception as error:
            self.failure = f"loading the model failed: {error!r}"
            _log.exception("no model")

    async def reload(self, model: str | None) -> Engine:
        """Load a model aside, warm it up, and let it take over between two requests.

        Raises:
            BusyError: another one is being loaded.
            ArtifactError: there is no such model, it is damaged, or it fails on its first requests; the old one goes
                on answering.
        """
        if self._loading.locked():
            raise BusyError("another model is being loaded; ask again when it is ready")
        async with self._loading:
            engine = await asyncio.to_thread(self._load_and_warm, model or self.settings.model)
            self._engine = engine
            if self._promises is not None:
                self._promises.restart()
            self._least = Cost(fixed_ms=engine.least_ms)
            self.failure = None
            self.metrics.model(engine.name, engine.version)
            _log.info("%s version %s answers", engine.name, engine.version)
            return engine

    async def recommend(self, request: RecommendRequest, arrived: float) -> bytes:
        """The response to one request, as JSON.

        Args:
            request: what is asked.
            arrived: when it came in, by `time.perf_counter()`: the deadline counts from then.

        Raises:
            RequestProblemError: scenario, objective or k is none that this server knows.
            UnavailableError: no model is loaded yet, or too many requests wait.
        """
        engine = self._engine
        if engine is None:
            raise UnavailableError("no model is loaded yet; see /readyz")
        self._check(request, engine)
        ticket = self._admit(arrived)
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._workers, self._answer, engine, request, arrived, ticket)
        finally:
            self._line.leave(ticket)
            self._admitted -= 1
            self.metrics.waiting(self._admitted)

    async def behaviours(self, request: BehavioursRequest) -> bytes:
        """Take behaviours into the users' states, in their order; says what became of each, as JSON.

        Raises:
            UnavailableError: no model is loaded yet.
        """
        engine = self._engine
        if engine is None:
            raise UnavailableError("no model is loaded yet; see /readyz")
        received = self._clock_ms()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._state_worker, self._take, engine, request, received)

    def scrape(self) -> bytes:
        """The metrics as they stand, in the Prometheus text format."""
        if self._promises is not None:
            self.metrics.calibration(self._promises.kept(self._clock_ms()))
        return self.metrics.render()

    def close(self) -> None:
        """Finish what was admitted and write what is logged."""
        self._workers.shutdown()
        self._state_worker.shutdown()
        self._states.close()
        if self._request_log is not None:
            self._request_log.close()

    def _load_and_warm(self, model: str) -> Engine:
        engine = self._load(model)
        try:
            engine.warm_up()
        except Exception as error:
            _log.exception("the first requests to %s version %s failed", engine.name, engine.version)
            raise ArtifactError(
                f"{engine.name} version {engine.version} loads but fails on its first requests ({error!r}); "
                f"train it again on data encoded by this version of Plait"
            ) from error
        gc.collect()
        gc.freeze()  # what was just loaded stays: no collection walks through it while requests wait
        return engine

    def _check(self, request: RecommendRequest, engine: Engine) -> None:
        if request.k > self.settings.max_k:
            raise RequestProblemError(Problem(field="k", found=str(request.k), expected=f"1 to {self.settings.max_k}"))
        _check_known("scenario", request.scenario, engine.scenarios)
        if request.objective is not None:
            _check_known("objective", request.objective, engine.objectives)

    def _admit(self, arrived: float) -> int:
        """Let a request wait, unless the line is so long that even answers in retrieval's order would come too late.

        Short of that nobody is turned away: the longer the line, the shorter are the turns.
        """
        if self._admitted >= self.settings.max_waiting or not self._line.has_room(self._least.expected_ms(0)):
            self._least.forgive()
            seconds = math.ceil(self._admitted * self._least.expected_ms(0) / 1e3) or 1
            raise UnavailableError(f"{self._admitted} requests are waiting; ask again in {seconds} s", seconds)
        self._admitted += 1
        self.metrics.waiting(self._admitted)
        return self._line.join(arrived)

    def _answer(self, engine: Engine, request: RecommendRequest, arrived: float, ticket: int) -> bytes:
        self._line.leave(ticket)
        deadline = Deadline(self.settings.deadline_ms, arrived, turn_ms=self._line.turn_ms(arrived))
        deadline.timings_ms["queue"] = deadline.elapsed_ms()
        request_id = uuid.uuid4().hex
        query = Query(
            user_id=request.user_id,
            scenario=request.scenario,
            k=request.k,
            time_ms=self._clock_ms() if request.time is None else request.time,
            context=dict(request.context),
            query=request.query,
            exclude=tuple(request.exclude),
            objective=request.objective,
        )
        answer = engine.recommend(query, self._states, deadline)
        body = to_json(_response(request_id, engine, answer, deadline))
        self._account(deadline, answer)
        if self._promises is not None and answer.probabilities_KT is not None and len(answer.items):
            chances = dict(zip(engine.objectives, answer.probabilities_KT[0].tolist(), strict=True))
            self._promises.promised(query.user_id, answer.items[0], chances, query.time_ms)
        if self._request_log is not None and answer.record is not None:
            taken = self._request_log.write(request_id, engine.name, engine.version, query, answer)
            self.metrics.logged("written" if taken else "dropped")
        return body

    def _account(self, deadline: Deadline, answer: Answer) -> None:
        self.metrics.recommended(deadline, answer.candidates)
        if answer.probabilities_KT is None:
            self._least.observe(0, deadline.elapsed_ms() - deadline.timings_ms["queue"])
        else:
            self._least.forgive()

    def _take(self, engine: Engine, request: BehavioursRequest, received: int) -> bytes:
        accepted, repeated, refused = 0, 0, []
        latest: dict[int | str, int] = {}
        for index, event in enumerate(request.behaviours):
            if not engine.knows_item(event.item_id):
                found = {
                    "index": index,
                    "field": "item_id",
                    "found": event.item_id,
                    "expected": "an item of the catalogue",
                }
                refused.append(found)
                continue
            behaviour = Behaviour(
                available_time=max(event.time, received if event.received_time is None else event.received_time),
                time=event.time,
                item_id=event.item_id,
                action=event.action,
                value=event.value,
                scenario=event.scenario,
                exposure_id=event.exposure_id,
                creative_id=event.creative_id,
            )
            if self._states.append(event.user_id, behaviour, event.event_id):
                accepted += 1
                if self._promises is not None:
                    self._promises.arrived(event.user_id, behaviour)
                latest[event.user_id] = max(behaviour.available_time, latest.get(event.user_id, 0))
            else:
                repeated += 1
        self._states.flush()
        for outcome, count in (("accepted", accepted), ("repeated", repeated), ("refused", len(refused))):
            self.metrics.behaviours(outcome, count)
        self.metrics.state(self._states.users, self._states.events)
        for user_id, time_ms in latest.items():
            engine.arrived(user_id, self._states, time_ms + 1)
        return to_json({"accepted": accepted, "repeated": repeated, "refused": refused})


def _check_known(field: str, name: str, known: Iterable[str]) -> None:
    names = list(known)
    if name not in names:
        raise RequestProblemError(
            Problem(field=field, found=repr(name), expected=f"a known {field}{nearest(name, names)}")
        )


def _response(request_id: str, engine: Engine, answer: Answer, deadline: Deadline) -> dict[str, object]:
    timings = {**deadline.timings_ms, "total": deadline.elapsed_ms()}
    return {
        "request_id": request_id,
        "model": {"name": engine.name, "version": engine.version},
        "known_user": answer.known_user,
        "history": answer.history,
        "items": answer.rows(engine.objectives),
        "candidates": answer.candidates,
        "degraded": [asdict(dropped) for dropped in deadline.dropped],
        "timings_ms": {stage: round(spent, 3) for stage, spent in timings.items()},
    }
