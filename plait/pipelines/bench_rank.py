"""Ways to rank one request side by side: the whole model anew, a kept state with a light head, M-FALCON."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from plait.pipelines.machine_speed import product_gflops, read_gb_per_s
from plait.pipelines.project import Project
from plait.pipelines.rank_desk import Desk, TowerSizes, head_inputs, head_versions
from plait.pipelines.rank_quality import split_quality
from plait.pipelines.results import Metric, write_result
from plait.telemetry import console

_BAR_EVENTS = 2_000
_BAR_CANDIDATES = 1_000
_APPENDED = 200
"""Events that are appended one by one before a kept state is compared with that of a pass over all events."""
_FEWEST = 5
_MOST = 1_000


@dataclass(frozen=True, slots=True)
class RankOptions:
    """What is measured."""

    sizes: TowerSizes
    events: tuple[int, ...] = (200, 2_000, 10_000)
    """L: lengths of history."""
    candidates: tuple[int, ...] = (100, 500, 2_000)
    """K: candidates of a request."""
    threads: tuple[int, ...] = (1, 2)
    seconds: float = 5.0
    """How long each cell of the table is measured, at most 1,000 times."""
    seed: int = 7
    write: bool = True
    """Keep the result under benchmarks/results/."""


@dataclass(frozen=True, slots=True)
class RankMeasurement:
    """What came out."""

    metrics: dict[str, Metric]
    notes: list[str]
    """Floors of the arithmetic, and what this machine cannot run."""
    path: Path | None
    """The result file."""


def measure_ranking(options: RankOptions, project: Project | None = None, model: str | None = None) -> RankMeasurement:
    """Time every option for every length and number of candidates, and the quality of the split where asked.

    Args:
        options: sizes and time.
        project: a workspace whose test window shows the quality of the split; None leaves it out.
        model: the registered ranker to split, of that workspace.

    Raises:
        ArtifactError: there is no such model, or it does not split.
    """
    metrics: dict[str, Metric] = {}
    left_out: list[str] = []
    threads_before = torch.get_num_threads()
    try:
        for events in options.events:
            for threads in options.threads:
                torch.set_num_threads(threads)
                console.print(f"L = {events:,}, {threads} thread(s) ...")
                metrics |= _options_at(events, threads, options)
        for threads in options.threads:
            torch.set_num_threads(threads)
            measured, left_out = _heads(threads, options)
            metrics |= measured
        torch.set_num_threads(1)
        metrics |= _bars(metrics, options)
        if project is not None and model is not None:
            metrics |= split_quality(project, model)
    finally:
        torch.set_num_threads(threads_before)
    notes = [*_floors(options), *left_out]
    path = _write(options, metrics, notes, project, model) if options.write else None
    return RankMeasurement(metrics, notes, path)


def _options_at(events: int, threads: int, options: RankOptions) -> dict[str, Metric]:
    """All options over one length of history."""
    metrics: dict[str, Metric] = {}
    desk = Desk(options.sizes, events, options.seed)
    for candidates in options.candidates:
        batch = desk.request(candidates)
        for name, run in (("recompute", desk.recompute), ("head", desk.score), ("mfalcon", desk.m_falcon)):
            metrics |= _timed(f"{name}_l{events}_k{candidates}", partial(run, batch), threads, options)
    # Last, since it moves the window on.
    metrics |= _timed(f"restart_l{events}", desk.restart, threads, options)
    return metrics | _timed(f"append_l{events}", desk.append, threads, options)


def _bars(measured: dict[str, Metric], options: RankOptions) -> dict[str, Metric]:
    """What the split is held to, under names of their own: one thread, the head as PyTorch runs it, not compiled."""
    named = {
        f"head_p99_ms_k{_BAR_CANDIDATES}": f"head_k{_BAR_CANDIDATES}.p99_ms",
        f"append_p99_ms_l{_BAR_EVENTS}": f"append_l{_BAR_EVENTS}.p99_ms",
    }
    bars = {name: measured[cell] for name, cell in named.items() if cell in measured}
    difference = Desk(options.sizes, _BAR_EVENTS, options.seed).state_difference(_APPENDED)
    return bars | {"state_max_abs_diff": Metric(difference)}


def _heads(threads: int, options: RankOptions) -> tuple[dict[str, Metric], list[str]]:
    """The head in every version that runs here."""
    metrics: dict[str, Metric] = {}
    desk = Desk(options.sizes, _BAR_EVENTS, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        versions, left_out = head_versions(desk, Path(folder))
        for candidates in sorted({*options.candidates, _BAR_CANDIDATES}):
            inputs, batch = head_inputs(desk, candidates), desk.request(candidates)
            metrics |= _timed(f"head_k{candidates}", partial(desk.score, batch), threads, options)
            for name, run in versions.items():
                metrics |= _timed(f"head_{name}_k{candidates}", partial(run, inputs), threads, options)
    return metrics, left_out


def _timed(cell: str, run: Callable[[], object], threads: int, options: RankOptions) -> dict[str, Metric]:
    """Percentiles of one cell of the table; low and high are the fastest and the slowest call."""
    with torch.inference_mode():
        for _ in range(3):
            run()
        spent_ms: list[float] = []
        until = time.perf_counter() + options.seconds
        while len(spent_ms) < _FEWEST or (len(spent_ms) < _MOST and time.perf_counter() < until):
            before = time.perf_counter()
            run()
            spent_ms.append((time.perf_counter() - before) * 1e3)
    suffix = "" if threads == 1 else f"_{threads}t"
    fastest, slowest = min(spent_ms), max(spent_ms)
    return {
        f"{cell}.p{rank}_ms{suffix}": Metric(float(np.percentile(spent_ms, rank)), fastest, slowest, "ms")
        for rank in (50, 99)
    }


def _floors(options: RankOptions) -> list[str]:
    """The arithmetic that each option cannot do without, in words: to hold the times against."""
    sizes = options.sizes
    width, blocks = sizes.width, sizes.blocks
    projections = 2 * width * (4 * width + width)
    events, candidates = _BAR_EVENTS, _BAR_CANDIDATES
    append_bytes = 4 * blocks * (2 * events * width + 5 * width * width)
    falcon = blocks * candidates * (projections + 4 * events * width)
    tower = blocks * events * (projections + 2 * events * width)
    return [
        f"Floors at L = {events:,}, K = {candidates:,}, D = {width}, {blocks} layers: an append reads "
        f"{append_bytes / 1e6:.1f} MB of keys, values and weights",
        f"M-FALCON multiplies {falcon / 1e9:.2f} GFLOP",
        f"the pass over all events {tower / 1e9:.2f} GFLOP; on this machine one thread multiplies "
        f"{product_gflops():.0f} GFLOP/s in large matrices and reads {read_gb_per_s():.0f} GB/s from the last cache",
    ]


def _write(
    options: RankOptions, metrics: dict[str, Metric], notes: list[str], project: Project | None, model: str | None
) -> Path:
    sizes = options.sizes
    quality = f" -w FOLDER --model {model}" if project is not None else ""
    of = f"; quality: test window of {project.workspace.name}" if project is not None else ""
    if project is not None and project.workspace.simulated:
        of += " (simulated)"
    return write_result(
        "hstu_split",
        command=f"plait bench rank --width {sizes.width} --heads {sizes.heads} --blocks {sizes.blocks}{quality}",
        data=f"a made-up request with random weights: time does not depend on them{of}",
        seeds=[options.seed],
        metrics=metrics,
        notes=(
            "One request with K candidates of a user with L events, in one process without HTTP and without building "
            "features. recompute: the whole model anew. head: the light head over a kept state, at K alone with "
            f"L = {_BAR_EVENTS:,}; head_compiled is torch.compile, head_aot AOTInductor, head_onnx ONNX Runtime. "
            "mfalcon: candidates as rows inside the tower over kept keys and values. append: one behaviour into a full "
            "window; state_max_abs_diff: the largest difference of a state after "
            f"{_APPENDED} single appends up to L = {_BAR_EVENTS:,} from that of one pass; "
            f"head_p99_ms_k{_BAR_CANDIDATES} and append_p99_ms_l{_BAR_EVENTS} repeat the cells of their names, "
            "auc_loss is the AUC of the whole model less "
            "that of its parts. restart: the pass over half a window that following a user costs once every L / 2 "
            "events. "
            "`_2t`: two threads, else one. low and high are the fastest and the slowest call. " + "; ".join(notes) + "."
        ),
    )
