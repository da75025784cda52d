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
from numpy.typing import NDArray

from plait.data.item_sequences import ItemSequences
from plait.errors import PlaitError
from plait.models.arithmetic import training_flops
from plait.models.config import NextItemConfig
from plait.pipelines.item_sequences import item_sequences
from plait.pipelines.machine_speed import product_gflops
from plait.pipelines.project import Project
from plait.pipelines.results import Metric, write_result
from plait.seeding import generator
from plait.telemetry import console
from plait.training.recipe import load_recipe_by_name, recipe_folder

_VERSIONS = Path("benchmarks/hstu")
_STEPS = ("plait", "plain", "published")
_ATTENTION = ("fast", "plain", "sdpa")
_SEED = 7
_STEP_RECIPE = "hstu-large-next-time"
_LENGTH, _USERS = 200, 128
"""Of the published training step."""
_PAIRS_LIMIT = 2.0e8
"""Versions that hold all pairs of a batch are not asked for more of them than this."""
_BAR_LENGTH = 1_000
"""The length that growth with length is counted from."""
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


def measure_hstu(project: Project, options: HstuBench) -> tuple[Path, Path]:
    """Measure, and write the result files `hstu_step_cpu` and `hstu_length`.

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
        length_U = write_batch(sequences, batch)
        steps = _measure_steps(batch, options)
    steps |= _against_floor(steps["plait_s"], length_U, options.threads)
    command = f"plait bench hstu -w FOLDER --steps {options.steps} --repeats {options.repeats}"
    step_path = write_result(
        "hstu_step_cpu",
        command=command,
        data=f"{_USERS} users of {project.workspace.name}, their last {_LENGTH} events and the next "
        f"({length_U.sum() + _USERS:,} events, {len(sequences.items):,} items)",
        seeds=[_SEED],
        metrics=steps,
        notes=_STEP_NOTES,
    )
    length_path = write_result(
        "hstu_length",
        command=command,
        data=f"about {options.tokens:,} events in sequences of one length, gaps drawn between seconds and weeks",
        seeds=[0],
        metrics=_measure_attention(options),
        notes=_LENGTH_NOTES,
    )
    return step_path, length_path


_STEP_NOTES = (
    "One training step of HSTU-large (8 blocks, d 50, 2 heads), loss and optimiser included, threads as the "
    "machine has cores; `published` is the formulation of its authors (padded to 211, bias materialised, time buckets "
    "in every layer, 128 negatives gathered per place), `plain` the model of Plait with plain PyTorch attention. "
    "Versions take turns; each run is a process of its own; the first step is a warm-up. value: median, low and high: "
    "fastest and slowest step; a speed-up is the ratio of medians, its low and high the ratios of the closest and "
    "farthest steps. tokens_per_s counts inputs. fraction_of_floor: floor_s over the median step, where floor_s is the "
    "arithmetic of projections, causal pairs and scores (`plait.models.arithmetic`) at product_gflops, what large "
    "products of matrices reach on the same threads."
)
_LENGTH_NOTES = (
    "The attention operator alone with both biases, two heads of 25, the fastest of the repeats. ns_per_token_L: "
    "forward and backward by the kernels of Plait; forward_ns_per_token_L forward only; peak_mb_L: what the peak of "
    "memory grew by. growth_over_flops_L: time per token over that at 1,000, divided by the same ratio of the "
    "arithmetic. gflop_per_s_L: two products over the causal pairs forward and five backward, by the time taken. "
    "`plain.` is plain PyTorch, `sdpa.` PyTorch's softmax attention with the same biases; both hold all pairs "
    "and are left out where those would need too much memory."
)


def write_batch(sequences: ItemSequences, path: Path) -> NDArray[np.int64]:
    """Sequences of some users, drawn by seed, for every version of the training step; how many inputs each has."""
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
    return np.asarray(ends - starts - 1)


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
        metrics[f"{version}_s"] = Metric(statistics.median(seconds), min(seconds), max(seconds), "s")
        metrics[f"{version}_rss_gb"] = Metric(run["peak_rss_gb"], unit="GB")
        if version != "plait":
            ratio = statistics.median(seconds) / statistics.median(ours)
            bounds = (min(seconds) / max(ours), max(seconds) / min(ours))
            metrics[f"speedup_vs_{version}"] = Metric(ratio, *bounds, "x")
    return metrics


def _against_floor(step: Metric, length_U: NDArray[np.int64], threads: int) -> dict[str, Metric]:
    """What a step reaches, beside what its arithmetic would take at the speed of large products."""
    recipe = load_recipe_by_name(_STEP_RECIPE, recipe_folder())
    if not isinstance(recipe.model, NextItemConfig):
        raise TypeError(f"{_STEP_RECIPE} is no next-item model")
    flops = training_flops(recipe.model, length_U, recipe.training.next_item.negatives + 1)
    reached = product_gflops(threads)
    floor_s = flops / reached / 1e9

    def per_step(amount: float, unit: str) -> Metric:
        slowest, fastest = step.high or step.value, step.low or step.value
        return Metric(amount / step.value, amount / slowest, amount / fastest, unit)

    return {
        "tokens_per_s": per_step(float(length_U.sum()), "tokens/s"),
        "fraction_of_floor": per_step(floor_s, ""),
        "floor_s": Metric(floor_s, unit="s"),
        "step_gflop": Metric(flops / 1e9, unit="GFLOP"),
        "product_gflops": Metric(reached, unit="GFLOP/s"),
    }


def _measure_attention(options: HstuBench) -> dict[str, Metric]:
    metrics: dict[str, Metric] = {}
    per_token: dict[int, float] = {}
    for length in options.lengths:
        for version in _ATTENTION:
            users = max(1, options.tokens // length)
            if version != "fast" and users * length**2 > _PAIRS_LIMIT:
                continue
            run = _run("attention", version, *map(str, (length, options.tokens, options.repeats, options.threads)))
            metrics |= _attention_metrics("" if version == "fast" else f"{version}.", run, length)
            console.print(f"attention, {version}, L = {length}: {run['both_s'] * 1e3:.0f} ms both ways")
            if version == "fast":
                per_token[length] = run["both_s"] / run["tokens"]
    if _BAR_LENGTH in per_token:
        for length, seconds in per_token.items():
            growth = seconds / per_token[_BAR_LENGTH] / ((length + 1) / (_BAR_LENGTH + 1))
            metrics[f"growth_over_flops_{short(length)}"] = Metric(growth, unit="x")
    return metrics


def short(length: int) -> str:
    """A length as result names have it: 200, 1k, 16k."""
    return str(length) if length % 1000 else f"{length // 1000}k"


def _attention_metrics(prefix: str, run: dict[str, float], length: int) -> dict[str, Metric]:
    pairs = run["tokens"] * (length + 1) / 2 * _HEADS * _HEAD_WIDTH
    name = short(length)
    metrics = {f"{prefix}peak_mb_{name}": Metric(run["memory_gb"] * 1e3, unit="MB")}
    for way, flops in _FLOPS_PER_PAIR.items():
        seconds, before = run[f"{way}_s"], f"{prefix}forward_" if way == "forward" else prefix
        metrics[f"{before}ns_per_token_{name}"] = Metric(seconds / run["tokens"] * 1e9, unit="ns")
        metrics[f"{before}gflop_per_s_{name}"] = Metric(pairs * flops / seconds / 1e9, unit="GFLOP/s")
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
