"""A server in a process of its own, for those who measure it or show it: real HTTP over loopback."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from plait.errors import ServingError
from plait.pipelines.project import Project

HOST = "127.0.0.1"
_READY_WITHIN_S = 300.0
_STOPS_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Where a server is."""

    port: int
    pid: int
    """Its process."""


@contextmanager
def running_server(project: Project, model: str, candidates: int) -> Iterator[RunningServer]:
    """Serve `model` on a free port; gives the server once it is ready, and stops it at the end.

    Raises:
        ServingError: it ended, or did not become ready.
    """
    port = _free_port()
    command = [sys.executable, "-m", "plait", "serve", "-w", str(project.root), "--host", HOST]
    command += ["--port", str(port), "--model", model, "--candidates", str(candidates), "--no-request-log"]
    # One thread: ranking must not take the core that the event loop runs on.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop(project.workspace.serving.token_env, None)
    process = subprocess.Popen(command, env=environment)  # noqa: S603
    try:
        _wait_until_ready(process, f"http://{HOST}:{port}")
        yield RunningServer(port, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + _READY_WITHIN_S
    reason = "it did not answer"
    while time.monotonic() < until:
        if process.poll() is not None:
            raise ServingError(f"the server ended with status {process.returncode}; its messages are above")
        try:
            answer = httpx.get(f"{url}/readyz", timeout=2.0)
        except httpx.TransportError:
            time.sleep(0.1)
            continue
        if answer.status_code == httpx.codes.OK:
            return
        reason = answer.json()["error"]
        if "being loaded" not in reason:
            break
        time.sleep(0.2)
    raise ServingError(f"the server did not become ready: {reason}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])
