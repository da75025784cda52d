"""How fast all experts, gates and towers are as grouped products, beside a module each and loops over them."""

import runpy
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from plait.errors import PlaitError
from plait.models.config import DnnConfig, parse_model
from plait.models.expert_head import ExpertHead
from plait.pipelines.results import Metric, write_result

_LOOPS = Path("benchmarks/moe/module_list.py")
_SEED = 7
EXPERTS = {"routing": "softmax", "scenario_gates": True, "scenario": "star", "towers": [32], "hidden": [256, 128]}
"""The variant that is timed: MMoE with gates and towers that know the scenario."""


@dataclass(frozen=True, slots=True)
class MoeSpeed:
    """What to measure."""

    objectives: int = 12
    experts: int = 16
    scenarios: int = 32
    width: int = 512
    """Of the head's inputs."""
    rows: int = 1024
    """Of a batch."""
    repeats: int = 20
    """The fastest counts: other programs only ever add time."""
    threads: int = 1
    write: bool = True


def measure_moe_speed(options: MoeSpeed) -> tuple[dict[str, Metric], Path | None]:
    """Time both versions by turns, in training and inference, with all and with half and twice the objectives.

    The experts are as wide as a head that costs what the MLP of the `dnn` recipe costs has them (`match_flops`), and,
    under `wide.`, without that limit.

    Raises:
        PlaitError: not in a checkout, or the versions disagree.
    """
    if not _LOOPS.exists():
        raise PlaitError(f"{_LOOPS}: not found; run this in a checkout, where the version to compare with lies")
    with _threads(options.threads):
        metrics = _speedups(options, head(options, options.objectives, match_flops=True), "")
        metrics |= _speedups(options, head(options, options.objectives, match_flops=False), "wide.")
        metrics |= _growth(options)
    path = None
    if options.write:
        command = f"plait bench moe-speed --threads {options.threads} --repeats {options.repeats}"
        data = (
            f"random inputs: {options.rows} rows of {options.width}, T = {options.objectives}, E = {options.experts}, "
            f"S = {options.scenarios}"
        )
        path = write_result("moe_speed", command=command, data=data, seeds=[_SEED], metrics=metrics, notes=_NOTES)
    return metrics, path


def head(options: MoeSpeed, objectives: int, *, match_flops: bool) -> ExpertHead:
    """The head that is timed."""
    experts = {**EXPERTS, "shared": options.experts}
    config = parse_model({"family": "dnn", "dropout": 0.0, "experts": experts}, "plait bench moe-speed")
    if not isinstance(config, DnnConfig) or config.experts is None:
        raise TypeError(f"found {config}, expected a DNN with experts")
    if match_flops:
        budgeted = config.model_copy(update={"experts": config.experts.model_copy(update={"match_flops": True})})
        fitted = ExpertHead(budgeted, options.width, options.objectives, options.scenarios).config
        config = config.model_copy(update={"experts": fitted.model_copy(update={"match_flops": False})})
    torch.manual_seed(_SEED)
    return ExpertHead(config, options.width, objectives, options.scenarios)


def _speedups(options: MoeSpeed, grouped: ExpertHead, prefix: str) -> dict[str, Metric]:
    loops = runpy.run_path(str(_LOOPS))["ModuleListHead"](grouped)
    inputs_BX, scenario_B = _inputs(options)
    _check_alike(grouped, loops, inputs_BX, scenario_B)
    versions: Mapping[str, nn.Module] = {"grouped": grouped, "modulelist": loops}
    metrics = {f"{prefix}expert_width": Metric(grouped.config.hidden[0])}
    for kind, step in (("train", _train_step), ("infer", _infer_step)):
        seconds = _by_turns(
            {name: step(version, inputs_BX, scenario_B) for name, version in versions.items()}, options.repeats
        )
        for name, times in seconds.items():
            rate = options.rows / min(times)
            metrics[f"{prefix}{kind}_{name}"] = Metric(rate, unit="rows/s")
        ratios = [theirs / ours for ours, theirs in zip(seconds["grouped"], seconds["modulelist"], strict=True)]
        low, high = np.quantile(ratios, (0.25, 0.75))
        speedup = min(seconds["modulelist"]) / min(seconds["grouped"])
        metrics[f"{prefix}{kind}_speedup_vs_modulelist"] = Metric(
            speedup, min(low, speedup), max(high, speedup), unit="x"
        )
    return metrics


def _growth(options: MoeSpeed) -> dict[str, Metric]:
    """Seconds of a training step by number of objectives, and the exponent p of `seconds ~ T^p`; 1 is linear."""
    counts = [options.objectives * factor for factor in (1, 2, 4, 8)]
    inputs_BX, scenario_B = _inputs(options)
    steps = {str(count): _train_step(head(options, count, match_flops=True), inputs_BX, scenario_B) for count in counts}
    seconds = {name: min(times) for name, times in _by_turns(steps, options.repeats).items()}
    metrics = {f"train_s.T{name}": Metric(value, unit="s") for name, value in seconds.items()}
    slope = np.polyfit(np.log(counts), np.log([seconds[str(count)] for count in counts]), 1)[0]
    fit = np.corrcoef(counts, [seconds[str(count)] for count in counts])[0, 1] ** 2
    return metrics | {"train_exponent_in_T": Metric(float(slope)), "train_line_r2": Metric(float(fit))}


def _inputs(options: MoeSpeed) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(_SEED)
    inputs_BX = torch.randn(options.rows, options.width, generator=generator)
    return inputs_BX, torch.randint(options.scenarios, (options.rows,), generator=generator)


def _check_alike(grouped: nn.Module, loops: nn.Module, inputs_BX: Tensor, scenario_B: Tensor) -> None:
    with torch.inference_mode():
        apart = float((grouped(inputs_BX, scenario_B) - loops(inputs_BX, scenario_B)).abs().max())
    if not apart < 1e-3:
        raise PlaitError(f"the two versions differ by {apart} in a logit, expected rounding only")


def _train_step(version: nn.Module, inputs_BX: Tensor, scenario_B: Tensor) -> Callable[[], Any]:
    """Forward and backward, to the inputs too: a trunk lies below."""
    inputs_BX = inputs_BX.clone().requires_grad_()

    def step() -> None:
        version.zero_grad()
        version(inputs_BX, scenario_B).square().mean().backward()

    return step


def _infer_step(version: nn.Module, inputs_BX: Tensor, scenario_B: Tensor) -> Callable[[], Any]:
    def step() -> None:
        with torch.inference_mode():
            version(inputs_BX, scenario_B)

    return step


def _by_turns(steps: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each, `repeats` times, one after the other, after a round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(repeats + 1):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return seconds


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_NOTES = (
    "A module per expert, gate, tower and (in towers) scenario, and loops over them, against grouped products: the "
    "same function from the same weights, checked before timing, forward and backward by turns in one process. MMoE "
    "with a gate per objective, gates that know the scenario and STAR towers; cross network included. Experts are as "
    "wide as in a head that costs what the MLP of the dnn recipe costs (match_flops, as in every shipped recipe); "
    "wide: 256 and 128, where products of that size take most of the time in either version, and the bar of 3 is not "
    "met. Speedup: of the fastest runs; low and high: quartiles of the pairs. train_exponent_in_T: p of seconds ~ T^p "
    "over T, 2 T, 4 T and 8 T objectives with the same experts; below 1 because experts and cross network do not grow "
    "with T; train_line_r2: how well seconds = a + b T fits."
)
