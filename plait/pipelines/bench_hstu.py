"""How fast HSTU is, beside plain PyTorch, the published formulation and PyTorch's own softmax attention."""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from plait.data.item_sequences import ItemSequences
from plait.errors import PlaitError
from plait.pipelines.item_sequences import item_sequences
from plait.pipelines.project import Project
from plait.pipelines.results import Metric, write_result
from plait.seeding import generator
from plait.telemetry import console

_VERSIONS = Path("benchmarks/hstu")
_STEPS = ("plait", "plain", "published")
_ATTENTION = ("fast", "plain", "sdpa")
_SEED = 7
_LENGTH, _USERS = 200, 128
"""Of the published training step."""
_PAIRS_LIMIT = 2.0e8
"""Versions that hold all pairs of a batch are not asked for more of them than this."""
_FLOPS_PER_PAIR = {"forward": 4, "both": 14}
"""By head and number of its width: 2 products forward and 5 more backward, a multiplication and an addition each."""
_HEADS, _HEAD_WIDTH = 2, 25


@dataclass(frozen=True, slots=True)
class HstuBench:
    """What to measure."""

    steps: int
    """Training steps of each version, after a warm-up."""
    lengths: Sequence[int]
    """L of the operator's measurements."""
    tokens: int
    """Events of the operator's batches, about."""
    repeats: int
    threads: int


def measure_hstu(project: Project, options: HstuBench) -> Path:
    """Measure, and write the result file `hstu_speed`.

    Args:
        project: a workspace whose sequences the training step sees: MovieLens-1M for the published step.
        options: how much to measure.

    Raises:
        PlaitError: not in a checkout, or a version failed.
    """
    if not _VERSIONS.is_dir():
        raise PlaitError(f"{_VERSIONS}: not found; run this in a checkout, where the versions to compare with lie")
    sequences = ItemSequences.open(item_sequences(project))
    with tempfile.TemporaryDirectory() as folder:
        batch = Path(folder) / "batch.npz"
        facts = write_batch(sequences, batch)
        metrics = _measure_steps(batch, options)
    metrics |= _measure_attention(options)
    return write_result(
        "hstu_speed",
        command=f"plait bench hstu -w FOLDER --steps {options.steps} --repeats {options.repeats}",
        data=f"training step: {_USERS} users of {project.workspace.name}, their last {_LENGTH} events and the next "
        f"({facts}); operator: sequences of one length, gaps drawn",
        seeds=[_SEED],
        metrics=metrics,
        notes=_NOTES,
    )


_NOTES = (
    "step.*: one training step of HSTU-large (8 blocks, d 50, 2 heads), loss and optimiser included, threads as the "
    "machine has cores; `published` is the formulation of its authors (padded to 211, bias materialised, time buckets "
    "in every layer, 128 negatives gathered per place), `plain` the model of Plait with plain PyTorch attention. "
    "Versions take turns; each run is a process of its own; the first step is a warm-up. value: median, low and high: "
    "fastest and slowest step; a speed-up is the ratio of medians, its low and high the ratios of the closest and "
    "farthest steps. attention.*: the operator alone with both biases, two heads of 25: the fastest of the repeats; "
    "`memory_gb` is what the peak grew by. `sdpa` is a softmax. Versions that hold all pairs are left out where "
    "they would need too much memory. gflop_per_s: arithmetic of the two (forward) or seven (both) products over the "
    "causal pairs, by the time taken. per_token_growth: time per token at the longest length over that at "
    "1,000, divided by the same ratio of the arithmetic."
)


def write_batch(sequences: ItemSequences, path: Path) -> str:
    """Sequences of some users, drawn by seed, for every version of the training step; says what it holds."""
    users = generator(_SEED, "hstu batch").choice(len(sequences.offsets_U1) - 1, _USERS, replace=False)
    ends = sequences.offsets_U1[users + 1]
    starts = np.maximum(sequences.offsets_U1[users], ends - (_LENGTH + 1))
    rows = np.concatenate([np.arange(start, end) for start, end in zip(starts, ends, strict=True)])
    np.savez(
        path,
        offsets_U1=np.concatenate([[0], np.cumsum(ends - starts)]),
        item_N=sequences.item_N[rows].astype(np.int64) + 1,
        second_N=sequences.time_N[rows] // 1000,
        items=len(sequences.items),
    )
    return f"{len(rows):,} events, {len(sequences.items):,} items"


def _measure_steps(batch: Path, options: HstuBench) -> dict[str, Metric]:
    runs: dict[str, dict[str, Any]] = {}
    for version in _STEPS:
        runs[version] = _run("step_" + version, str(batch), str(options.steps), str(options.threads))
        median = statistics.median(runs[version]["seconds"])
        console.print(f"step, {version}: {median:.2f} s, {runs[version]['peak_rss_gb']:.2f} GB")
    metrics = {}
    ours = runs["plait"]["seconds"]
    for version, run in runs.items():
        seconds = run["seconds"]
        metrics[f"step.{version}_s"] = Metric(statistics.median(seconds), min(seconds), max(seconds), "s")
        metrics[f"step.{version}_rss_gb"] = Metric(run["peak_rss_gb"], unit="GB")
        if version != "plait":
            ratio = statistics.median(seconds) / statistics.median(ours)
            bounds = (min(seconds) / max(ours), max(seconds) / min(ours))
            metrics[f"step.speedup_vs_{version}"] = Metric(ratio, *bounds, "x")
    return metrics


def _measure_attention(options: HstuBench) -> dict[str, Metric]:
    metrics: dict[str, Metric] = {}
    per_token: dict[int, float] = {}
    for length in options.lengths:
        for version in _ATTENTION:
            users = max(1, options.tokens // length)
            if version != "fast" and users * length**2 > _PAIRS_LIMIT:
                continue
            run = _run("attention", version, *map(str, (length, options.tokens, options.repeats, options.threads)))
            metrics |= _attention_metrics(f"attention.{version}_l{length}", run, length)
            console.print(f"attention, {version}, L = {length}: {run['both_s'] * 1e3:.0f} ms both ways")
            if version == "fast":
                per_token[length] = run["both_s"] / run["tokens"]
    if 1000 in per_token and len(per_token) > 1:
        longest = max(per_token)
        growth = per_token[longest] / per_token[1000] / ((longest + 1) / 1001)
        metrics["attention.per_token_growth"] = Metric(growth, unit="x")
    return metrics


def _attention_metrics(name: str, run: dict[str, float], length: int) -> dict[str, Metric]:
    pairs = run["tokens"] * (length + 1) / 2 * _HEADS * _HEAD_WIDTH
    metrics = {f"{name}.memory_gb": Metric(run["memory_gb"], unit="GB")}
    for way, flops in _FLOPS_PER_PAIR.items():
        seconds = run[f"{way}_s"]
        metrics[f"{name}.{way}_tokens_per_s"] = Metric(run["tokens"] / seconds, unit="tokens/s")
        metrics[f"{name}.{way}_gflop_per_s"] = Metric(pairs * flops / seconds / 1e9, unit="GFLOP/s")
    return metrics


def _run(name: str, *arguments: str) -> dict[str, Any]:
    """One version in a process of its own.

    Raises:
        PlaitError: it failed; its last words are in the message.
    """
    command = [sys.executable, str(_VERSIONS / f"{name}.py"), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode != 0:
        raise PlaitError(f"{name} {' '.join(arguments)}: failed: {done.stderr[-500:]}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured
