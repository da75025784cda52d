"""Latency of the server under an open-loop load: the server in a process of its own, real HTTP over loopback."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import numpy as np
import psutil

from plait import seeding
from plait.errors import ServingError
from plait.features.dataset import EncodedDataset
from plait.pipelines.project import Project
from plait.pipelines.results import Metric, write_result
from plait.pipelines.serve import served_data, served_model
from plait.pipelines.server_process import HOST, running_server
from plait.registry import Registry
from plait.schema import Split
from plait.serving.load import LoadPlan, LoadResult, drive, schedule
from plait.telemetry import console

_WARM_UP_S = 3.0
_MOST_REQUESTS = 200_000
_MOST_SECONDS = 3_600.0
_BODIES = 2_000


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What is asked of the server."""

    qps: float = 50.0
    seconds: float = 60.0
    candidates: int = 500
    """K: how many candidates every request ranks."""
    items: int = 20
    """How many items every answer holds."""
    poisson: bool = True
    """Requests come at random, as independent users do; False spaces them evenly."""
    model: str | None = None
    seed: int = 7
    write: bool = True
    """Keep the result under benchmarks/results/."""


@dataclass(frozen=True, slots=True)
class ServeMeasurement:
    """What came out."""

    load: LoadResult
    ranked: int
    """Candidates that the model scored for a typical request."""
    cores: dict[str, float]
    """Of `CpuMeter`."""
    path: Path | None
    """The result file."""

    @property
    def metrics(self) -> dict[str, Metric]:
        """The numbers as the result file has them."""
        load = self.load
        return {
            "p50_ms": Metric(load.percentile_ms(50), unit="ms"),
            "p95_ms": Metric(load.percentile_ms(95), unit="ms"),
            "p99_ms": Metric(load.percentile_ms(99), unit="ms"),
            "qps": Metric(load.achieved_qps, unit="requests/s"),
            "errors": Metric(load.errors, unit="requests"),
            "degraded": Metric(float(load.degraded_R.mean()), unit="share"),
            "candidates": Metric(self.ranked, unit="items"),
            "client_late_p99_ms": Metric(float(np.percentile(load.late_ms_R, 99)), unit="ms"),
            **{f"{who}_cores": Metric(busy, unit="cores") for who, busy in self.cores.items()},
        }


class CpuMeter:
    """How much the processor works from now on, as busy cores on average."""

    def __init__(self, server: int) -> None:
        """Begin, for the process `server` and this one."""
        cores = psutil.cpu_count() or 1
        self._percent: dict[str, tuple[Callable[[], float], float]] = {
            "server": (psutil.Process(server).cpu_percent, 1.0),
            "client": (psutil.Process().cpu_percent, 1.0),
            "machine": (psutil.cpu_percent, cores),
        }
        self.cores()

    def cores(self) -> dict[str, float]:
        """Of the server, of this process, and of the machine, whoever used them; since they were last asked for."""
        return {who: percent() * of / 100 for who, (percent, of) in self._percent.items()}


def measure_server(project: Project, options: LoadOptions) -> ServeMeasurement:
    """Start a server of this workspace, load it, and write the result `serve_latency`.

    Raises:
        ServingError: the load is beyond what one run may do, or the server did not become ready.
    """
    if options.seconds > _MOST_SECONDS or options.qps * options.seconds > _MOST_REQUESTS:
        raise ServingError(
            f"{options.qps:g} requests/s for {options.seconds:g} s is too much for one run; "
            f"expected at most {_MOST_REQUESTS:,} requests and {_MOST_SECONDS:g} s"
        )
    model = options.model or served_model(project, project.workspace.serving)
    bodies = _bodies(project, model, options)
    with running_server(project, model, options.candidates) as server:
        warm_up = schedule(options.qps, min(_WARM_UP_S, options.seconds), poisson=False, seed=options.seed)
        asyncio.run(drive(LoadPlan(HOST, server.port, bodies, warm_up)))
        seed = seeding.derive_seed(options.seed, "arrivals")
        send_at = schedule(options.qps, options.seconds, poisson=options.poisson, seed=seed)
        console.print(f"{len(send_at):,} requests in {options.seconds:g} s ...")
        used = CpuMeter(server.pid)
        load = asyncio.run(drive(LoadPlan(HOST, server.port, bodies, send_at)))
        cores = used.cores()
        ranked = _ranked(server.port, bodies)
    measured = ServeMeasurement(load, ranked, cores, None)
    if not options.write:
        return measured
    return replace(measured, path=_write(project, model, options, measured))


def _bodies(project: Project, model: str, options: LoadOptions) -> list[bytes]:
    """Requests of users and scenarios drawn from the test window, as the exposures there are distributed."""
    registered = Registry(project.hidden / "registry").resolve(model)
    dataset = EncodedDataset.open(served_data(project, registered).encoded)
    rows_E = dataset.rows(Split.TEST)
    if not len(rows_E):
        raise ServingError("the test window holds no exposures to draw requests from")
    chosen_B = seeding.generator(options.seed, "requests").choice(rows_E, _BODIES)
    scenarios = dataset.spec.scenarios
    return [
        json.dumps(
            {
                "user_id": dataset.tables.users.ids.value(int(user)),
                "scenario": scenarios[int(scenario)],
                "k": options.items,
            }
        ).encode()
        for user, scenario in zip(dataset.user_rows(chosen_B), dataset.scenarios(chosen_B), strict=True)
    ]


def _ranked(port: int, bodies: list[bytes]) -> int:
    """The median number of candidates ranked, over a few unhurried requests."""
    headers = {"content-type": "application/json"}
    with httpx.Client(base_url=f"http://{HOST}:{port}", headers=headers) as client:
        counts = [client.post("/v1/recommend", content=body).json()["candidates"]["ranked"] for body in bodies[:21]]
    return int(np.median(counts))


def _write(project: Project, model: str, options: LoadOptions, measured: ServeMeasurement) -> Path:
    workspace = project.workspace
    arrivals = "Poisson" if options.poisson else "even"
    return write_result(
        "serve_latency",
        command=(
            f"plait bench serve -w FOLDER --qps {options.qps:g} --seconds {options.seconds:g} --k {options.candidates}"
            f" --model {model}"
        ),
        data=f"workspace {workspace.name}{' (simulated)' if workspace.simulated else ''}, users of the test window",
        seeds=[options.seed],
        metrics=measured.metrics,
        notes=(
            f"Open loop, {arrivals} arrivals; latency counts from the scheduled moment of each request to the last "
            f"byte of its answer, over loopback HTTP, server and client on the same machine. K = {options.candidates} "
            f"candidates asked for, {options.items} items answered; `candidates` is what the model scored in the "
            f"median request; `degraded` is the share of answers that did without something; `machine_cores` is "
            f"how many of {psutil.cpu_count()} cores were busy with anything."
        ),
    )
