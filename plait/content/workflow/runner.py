"""Steps over creatives: kept answers are looked up, missing ones worked out, failures tried again and recorded."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from plait.content.workflow.cache import StepCache
from plait.content.workflow.sheet import Kept, Sheet, State
from plait.content.workflow.step import BatchStep, Failed, Outcome, Step, failure_of
from plait.content.workflow.workers import FileResult, FileTask, FileWorkers
from plait.content.workflow.workflow import Workflow

NO_ANSWER = "the step gave no answer"


@dataclass(slots=True)
class StepTally:
    """How one step fared in this run, counted over different inputs."""

    kept: int = 0
    """Answers (and lasting failures) that were there already."""
    made: int = 0
    """Answers worked out in this run."""
    failed: int = 0
    """Inputs without an answer, of either kind."""
    seconds: float = 0.0
    """Time spent on it, summed over processes."""

    def after(self, before: "StepTally | None") -> "StepTally":
        """Both runs as one: what the first one made, this one found kept."""
        if before is None:
            return self
        made = self.made + before.made
        return StepTally(max(0, self.kept - before.made), made, self.failed, self.seconds + before.seconds)


class Run:
    """One pass of a workflow over creatives.

    Args:
        workflow: the steps.
        cache: where outcomes are kept.
        workers: run the steps that look at files.
        attempts: how often an input is tried whose failure may pass.
        pause: seconds before the second attempt; each further one waits twice as long.
        advance: is told of every (creative, stage) that is done; a creative passes `stages` of them.
        sleep: waits; tests pass their own.
    """

    def __init__(
        self,
        workflow: Workflow,
        cache: StepCache,
        workers: FileWorkers,
        *,
        attempts: int = 3,
        pause: float = 1.0,
        advance: Callable[[int, str], object] = lambda steps, note: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._workflow, self._cache, self._workers = workflow, cache, workers
        self._attempts, self._pause, self._advance, self._sleep = attempts, pause, advance, sleep
        self.tallies = {step.name: StepTally() for step in workflow.steps}

    @property
    def stages(self) -> int:
        """How many stages a creative passes: all steps on files are one, each other step is one."""
        return 1 + len(self._workflow.batches)

    def fill(self, sheets: Sequence[Sheet]) -> None:
        """Run every step on every sheet, as far as it can run; each outcome is kept as soon as it is known."""
        by_file: dict[str, list[Sheet]] = {}
        for sheet in sheets:
            media = sheet.sources.get("media")
            by_file.setdefault("" if media is None else media.digest, []).append(sheet)
        self._advance(len(by_file.get("", ())), "")
        files = {digest: same[0] for digest, same in by_file.items() if digest}
        for digest in self._fill_files(files):
            for twin in by_file[digest][1:]:
                twin.kept |= files[digest].kept
                twin.cannot |= files[digest].cannot
            self._advance(len(by_file[digest]), "media")
        for sheet in by_file.get("", ()):
            for step in self._workflow.files:
                sheet.state(step)
        for batch in self._workflow.batches:
            self._fill_step(batch, sheets)
            self._advance(len(sheets), batch.name)

    def _fill_files(self, files: dict[str, Sheet]) -> Iterator[str]:
        """Hash of every file, as soon as all steps on it are done."""
        for step in self._workflow.files:
            self._look_up(step, files.values())
        tasks = []
        for digest, sheet in files.items():
            if any(sheet.state(step) in (State.READY, State.WAITING) for step in self._workflow.files):
                tasks.append(_task(sheet))
            else:
                yield digest
        for result in self._workers.run(tasks):
            self._keep(files[result.task.digest], result)
            yield result.task.digest

    def _keep(self, sheet: Sheet, result: FileResult) -> None:
        for step in self._workflow.files:
            if sheet.state(step) is State.READY and step.name in result.outcomes:
                kept = Kept.of(result.outcomes[step.name])
                self._cache.put(step.name, sheet.key(step), kept)
                sheet.kept[step.name] = kept
                self._count(step, kept, result.seconds.get(step.name, 0.0))

    def _look_up(self, step: Step, sheets: Iterable[Sheet]) -> dict[str, list[Sheet]]:
        """Fill in what is kept; the sheets that are ready and missing it, by key."""
        ready: dict[str, list[Sheet]] = {}
        for sheet in sheets:
            if sheet.state(step) is State.READY:
                ready.setdefault(sheet.key(step), []).append(sheet)
        for key, kept in self._cache.get(step.name, ready).items():
            self.tallies[step.name].kept += 1
            self.tallies[step.name].failed += isinstance(kept.outcome, Failed)
            for sheet in ready.pop(key):
                sheet.kept[step.name] = kept
        return ready

    def _fill_step(self, step: BatchStep, sheets: Sequence[Sheet]) -> None:
        missing = self._look_up(step, sheets)
        keys = list(missing)
        for first in range(0, len(keys), step.batch):
            some = {key: missing[key] for key in keys[first : first + step.batch]}
            for key, kept in self._work(step, some):
                for sheet in some[key]:
                    sheet.kept[step.name] = kept

    def _work(self, step: BatchStep, batch: dict[str, list[Sheet]]) -> Iterator[tuple[str, Kept]]:
        """The outcome of every key of the batch, those that may pass tried again with growing pauses."""
        left = {key: same[0].values(step) for key, same in batch.items()}
        for number in range(self._attempts):
            if number:
                self._sleep(self._pause * 2 ** (number - 1))
            last = number == self._attempts - 1
            again = {}
            started = time.perf_counter()
            keys = list(left)
            for place, outcome in _outcomes(step, list(left.values())):
                now = time.perf_counter()
                self.tallies[step.name].seconds += now - started
                started = now
                key, kept = keys[place], Kept.of(outcome)
                if isinstance(outcome, Failed) and outcome.passing and not last:
                    again[key] = left[key]
                    continue
                self._cache.put(step.name, key, kept)
                self._count(step, kept, 0.0)
                yield key, kept
            left = again
            if not left:
                return

    def _count(self, step: Step, kept: Kept, seconds: float) -> None:
        tally = self.tallies[step.name]
        failed = isinstance(kept.outcome, Failed)
        tally.failed += failed
        tally.made += not failed
        tally.seconds += seconds


def _outcomes(step: BatchStep, inputs: list[dict[str, object]]) -> Iterator[tuple[int, Outcome]]:
    """(place, outcome) of every input, as the step hands them over; where it breaks off, its error is the rest's."""
    silent = set(range(len(inputs)))
    failed = Failed(NO_ANSWER, passing=True)
    try:
        for place, outcome in step.work(inputs):
            if place in silent:  # not a second time, and nothing that was not asked
                silent.discard(place)
                yield place, outcome
    except Exception as error:
        failed = failure_of(error)
    yield from ((place, failed) for place in sorted(silent))


def _task(sheet: Sheet) -> FileTask:
    media = sheet.sources["media"]
    if media is None:
        raise TypeError("found a sheet without media, expected one of a file")
    return FileTask(Path(media.value), media.digest, {name: kept.outcome for name, kept in sheet.kept.items()})
