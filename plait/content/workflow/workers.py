"""Worker processes for media files: each file opened once for all steps, a crash or a stall kept to its file."""

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plait.content.media.opened import MediaLimits, OpenedMedia
from plait.content.workflow.sheet import Kept, Sheet, Source, State
from plait.content.workflow.step import Failed, FileStep, Outcome, attempt
from plait.errors import PassingError

CRASHED = "a decoder or model crashed on this file"
STUCK = "a decoder or model never came back from this file"
GRACE = 30.0
"""Seconds beyond those of all steps that a process has for a file: to start, and to load its models."""
_state: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class FileTask:
    """One file, and what is known about it already."""

    path: Path
    digest: str
    known: Mapping[str, Outcome]


@dataclass(frozen=True, slots=True)
class FileResult:
    """The outcomes of the steps that were missing, and the seconds that each took."""

    task: FileTask
    outcomes: Mapping[str, Outcome]
    seconds: Mapping[str, float]


class FileWorkers:
    """A pool of processes that run steps on files; a context manager."""

    def __init__(self, steps: Sequence[FileStep], limits: MediaLimits, count: int) -> None:
        self._steps, self._limits, self._count = tuple(steps), limits, count
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "FileWorkers":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def run(self, tasks: Sequence[FileTask]) -> Iterator[FileResult]:
        """The results, as they come.

        A file has failed that brings its process down, or keeps it from ever answering, twice, the second time alone.
        """
        waiting, flying = deque(tasks), dict[Future[FileResult], FileTask]()
        while waiting or flying:
            while waiting and len(flying) <= self._count:  # few, for all of them are suspects after a crash
                task = waiting.popleft()
                flying[self._submit(task)] = task
            done, _ = wait(flying, self._patience, FIRST_COMPLETED)
            suspects = [] if done else list(flying.values())
            for future in done:
                task = flying.pop(future)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    suspects += [task, *flying.values()]
                    flying.clear()
                    break
            if suspects:
                flying.clear()
                self._kill()
                for task in suspects:
                    yield self._alone(task)

    @property
    def _patience(self) -> float:
        """Seconds after which a process does not even hear its alarm, such as within a decoder that goes in circles."""
        return self._limits.step_seconds * len(self._steps) + GRACE

    def _alone(self, task: FileTask) -> FileResult:
        future = self._submit(task)
        try:
            return future.result(self._patience)
        except (BrokenProcessPool, TimeoutError) as error:
            self._kill()
            reason = CRASHED if isinstance(error, BrokenProcessPool) else STUCK
            first = next(step for step in self._steps if step.name not in task.known)
            return FileResult(task, {first.name: Failed(reason, passing=True)}, {})

    def _submit(self, task: FileTask) -> "Future[FileResult]":
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._count, context, _start, (self._steps, self._limits))
        try:
            return self._pool.submit(_look, task)
        except BrokenProcessPool as error:
            broken: Future[FileResult] = Future()
            broken.set_exception(error)
            return broken

    def _kill(self) -> None:
        """End the processes, whatever they are at; the next task starts new ones."""
        if self._pool is not None:
            for process in list((self._pool._processes or {}).values()):
                process.kill()
        self._stop()

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _start(steps: tuple[FileStep, ...], limits: MediaLimits) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _state.update(steps=steps, limits=limits)


def _look(task: FileTask) -> FileResult:
    """Run every step that the task does not know yet and that can run, in order."""
    sheet = Sheet(
        {"media": Source(str(task.path), task.digest)}, {name: Kept.of(one) for name, one in task.known.items()}
    )
    outcomes: dict[str, Outcome] = {}
    seconds: dict[str, float] = {}
    limits: MediaLimits = _state["limits"]
    with OpenedMedia(task.path, limits) as media:
        for step in _state["steps"]:
            if sheet.state(step) is not State.READY:
                continue
            started = time.perf_counter()
            with _no_longer_than(limits.step_seconds):
                outcomes[step.name] = attempt(lambda step=step: step.look(media, sheet.values(step)))  # type: ignore[misc]
            sheet.kept[step.name] = Kept.of(outcomes[step.name])
            seconds[step.name] = time.perf_counter() - started
    return FileResult(task, outcomes, seconds)


@contextmanager
def _no_longer_than(seconds: float) -> Iterator[None]:
    """Raises a PassingError within the block once the time is up (where the system has such alarms).

    The clock is the wall's: on a machine that is busy with something else the next run may well be in time.
    """

    def ring(*_: object) -> None:
        raise PassingError(f"took longer than {seconds:g} s (content.step_seconds)")

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
