"""HSTU + DNN against the tuned DIN on the same samples, with what the oracle reaches."""

from collections.abc import Sequence
from pathlib import Path

from plait.pipelines.ladder import Ladder, Rung, climb, write_ladder
from plait.pipelines.project import Project

RESULT = "hstu_ranker_bench_world"
RANKERS = (
    Rung("din", "dnn", "interactions and the last 50 behaviours: DCNv2 with target attention"),
    Rung("hstu", "hstu", "the whole history in order and time, on top of the same features: HSTU + DNN"),
)


def measure_rankers(project: Project, *, seeds: Sequence[int], bootstrap: int = 200) -> Ladder:
    """Train both on the workspace's exposures and measure them on its test window, paired by exposure."""
    return climb(project, rungs=RANKERS, seeds=seeds, bootstrap=bootstrap)


def write_rankers(measured: Ladder, command: str, *, name: str = RESULT) -> Path:
    """Keep `din.auc`, `hstu.auc`, the paired `hstu.gain` and `oracle.auc`."""
    return write_ladder(measured, name, command)
