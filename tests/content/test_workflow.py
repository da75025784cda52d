"""The workflow: cached by content, failures kept to their creative and step, killed at any moment without loss."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plait.content.media.opened import MediaLimits
from plait.content.workflow import BatchStep, Failed, Run, Sheet, Source, StepCache, Workflow, one_by_one
from plait.content.workflow.workers import FileWorkers
from plait.errors import ConfigError, ContentError, PassingError


def shout(calls: list[str], **declared) -> BatchStep:
    def answer(inputs):
        calls.append(inputs["copy"])
        if inputs["copy"] == "bad":
            raise ContentError("cannot shout this")
        return {"loud": inputs["copy"].upper()}

    return BatchStep(
        **{"name": "shout", "version": 1, "inputs": ("copy",), "outputs": (), "work": one_by_one(answer)} | declared
    )


def fill(steps, texts, cache, **options) -> tuple[list[Sheet], Run]:
    sheets = [Sheet({"media": None, "copy": Source.of(text), "item": None}) for text in texts]
    run = Run(Workflow(steps), cache, FileWorkers((), MediaLimits(), 1), **options)
    run.fill(sheets)
    return sheets, run


@pytest.fixture
def cache(tmp_path: Path):
    with StepCache(tmp_path / "answers.sqlite") as opened:
        yield opened


def test_equal_inputs_are_asked_once_and_never_again(cache):
    calls: list[str] = []
    sheets, run = fill([shout(calls)], ["a", "b", "a"], cache)
    assert [sheet.answer("shout")["loud"] for sheet in sheets] == ["A", "B", "A"]
    assert (calls, run.tallies["shout"].made) == (["a", "b"], 2)
    _, again = fill([shout(calls)], ["b", "a", "c"], cache)
    assert (calls, again.tallies["shout"].kept) == (["a", "b", "c"], 2)


def test_another_version_model_or_setting_asks_again(cache):
    calls: list[str] = []
    for declared in ({}, {"version": 2}, {"model": "other"}, {"settings": {"loud": 11}}):
        fill([shout(calls, **declared)], ["a"], cache)
    assert calls == ["a"] * 4


def test_a_failure_is_of_its_creative_and_step(cache):
    def read(inputs):
        return {"length": len(inputs["shout"]["loud"])}

    after = BatchStep(name="after", version=1, inputs=("shout",), outputs=(), work=one_by_one(read))
    for _ in range(2):
        sheets, _ = fill([shout([]), after], ["bad", "good"], cache)
        assert sheets[0].failures() == {"shout": Failed("cannot shout this")}
        assert sheets[0].answer("after") is None
        assert sheets[1].answer("after") == {"length": 4}


def test_what_may_pass_is_tried_again_with_growing_pauses(cache):
    tries: list[str] = []
    pauses: list[float] = []

    def flaky(inputs):
        tries.append(inputs["copy"])
        if inputs["copy"] == "never" or len(tries) < 3:
            raise PassingError("busy")
        return {}

    step = BatchStep(name="flaky", version=1, inputs=("copy",), outputs=(), work=one_by_one(flaky))
    sheets, _ = fill([step], ["now"], cache, sleep=pauses.append, pause=1.0)
    assert (sheets[0].answer("flaky"), pauses) == ({}, [1.0, 2.0])
    sheets, _ = fill([step], ["never"], cache, sleep=lambda _: None)
    assert sheets[0].failures() == {"flaky": Failed("busy", passing=True)}
    before = len(tries)
    fill([step], ["never"], cache, sleep=lambda _: None)
    assert len(tries) > before, "a failure that may pass is not kept"


def test_a_step_that_breaks_off_keeps_what_it_handed_over(cache):
    def work(batch):
        yield len(batch) - 1, {"fine": True}
        raise RuntimeError("the server hung up")

    step = BatchStep(name="half", version=1, inputs=("copy",), outputs=(), work=work)
    sheets, _ = fill([step], ["a", "b"], cache, sleep=lambda _: None)
    assert sheets[1].answer("half") == {"fine": True}


def test_answers_to_what_was_not_asked_are_left_alone(cache):
    def work(batch):
        yield from [(0, {"first": True}), (0, {"first": False}), (7, {"stray": True})]

    step = BatchStep(name="odd", version=1, inputs=("copy",), outputs=(), work=work)
    sheets, run = fill([step], ["a"], cache)
    assert (sheets[0].answer("odd"), run.tallies["odd"].made) == ({"first": True}, 1)


def test_declarations_are_checked():
    with pytest.raises(ConfigError, match="twice"):
        Workflow([shout([]), shout([])])
    with pytest.raises(ConfigError, match="reads 'nothing'"):
        Workflow([shout([], inputs=("nothing",))])


CHILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_workflow import fill
from plait.content.workflow import BatchStep, StepCache, one_by_one
calls = open(sys.argv[2], "a")
def paid(inputs):
    calls.write(inputs["copy"] + "\\n"); calls.flush(); time.sleep(0.02)
    return {"paid": inputs["copy"]}
step = BatchStep(name="paid", version=1, inputs=("copy",), outputs=(), batch=7, work=one_by_one(paid))
with StepCache(Path(sys.argv[1])) as cache:
    sheets, _ = fill([step], [str(n) for n in range(100)], cache)
    assert [sheet.answer("paid")["paid"] for sheet in sheets] == [str(n) for n in range(100)]
print("whole")
"""


def test_killed_runs_end_in_the_same_answers_and_pay_for_none_twice(tmp_path):
    """kill -9 three times; only the call that was under way at each kill may be repeated."""
    calls = tmp_path / "calls"
    command = [sys.executable, "-c", CHILD, str(tmp_path / "a.sqlite"), str(calls), str(Path(__file__).parent)]
    for kill in range(3):
        child = subprocess.Popen(command)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and (not calls.exists() or calls.read_text().count("\n") < 15 * (kill + 1)):
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == "whole\n"
    asked = calls.read_text().split()
    assert set(asked) == {str(number) for number in range(100)}
    assert len(asked) <= 103
