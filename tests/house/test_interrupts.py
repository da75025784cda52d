"""The program killed, or stopped by Ctrl-C, in the middle of each stage: the same again ends in the same bytes.

A child stops itself in the moment before it renames a chosen file into place. Training has its own such test.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from plait.pipelines.encode import encoded_dataset
from plait.pipelines.project import open_project
from plait.simulation import named_size, simulate

SIZE = named_size("tiny").model_copy(update={"users": 30})  # as `plait simulate --size tiny --users 30`
CHILD = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may run tests in the background, Ctrl-C ignored
kind, name, *sys.argv[1:] = sys.argv[1:]

def stop(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith(name):
        os.kill(os.getpid(), int(kind))

sys.addaudithook(stop)
if sys.argv[1] == "encode":
    from pathlib import Path
    from plait.pipelines.encode import encoded_dataset
    from plait.pipelines.project import open_project
    encoded_dataset(open_project(Path(sys.argv[2])))
else:
    from plait.cli import main
    main()
"""


def stopped(kind: signal.Signals, name: str, *arguments: str) -> tuple[int, str]:
    """Exit status and messages of a program that `kind` reaches as it is about to rename a file to `*name`."""
    run = subprocess.run(
        [sys.executable, "-c", CHILD, str(int(kind)), name, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"},
    )
    return run.returncode, run.stderr


def digests(folder: Path) -> dict[str, str]:
    """Of every file but locks and what remembers the files' times of change."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    kept = [path for path in files if path.name != "fingerprints.json"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    simulate(SIZE, folder, seed=3, media=False, processes=1)
    return folder


@pytest.fixture(scope="module")
def undisturbed(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the stages up to the encoded samples leave where nothing stops them."""
    root = tmp_path_factory.mktemp("undisturbed") / "market"
    shutil.copytree(raw, root)
    encoded_dataset(open_project(root))
    return digests(root)


@pytest.mark.parametrize(
    ("command", "name", "stage"),
    [
        ("check", "behaviours.json", "tables"),
        ("samples", "done-00000.json", "samples"),
        ("encode", "encoded_parts.json", "encoded"),
    ],
)
def test_a_killed_stage_ends_in_the_same_bytes(raw: Path, undisturbed, tmp_path: Path, command, name, stage):
    root = tmp_path / "market"
    shutil.copytree(raw, root)
    where = ["-w", str(root)] if command != "encode" else [str(root)]
    status, messages = stopped(signal.SIGKILL, name, command, *where)
    assert status == -signal.SIGKILL, messages
    derived = root / ".plait" / "derived" / stage
    assert list(derived.glob("*.partial")), "it was stopped elsewhere"
    assert not [path for path in derived.glob("*/_done.json") if path.parent.suffix != ".partial"]

    encoded_dataset(open_project(root))
    assert digests(root) == undisturbed


def test_a_killed_simulation_ends_in_the_same_bytes(raw: Path, tmp_path: Path):
    out = tmp_path / "market"
    arguments = ["--size", "tiny", "--users", "30", "--seed", "3", "--no-media", "--processes", "1"]
    status, messages = stopped(signal.SIGKILL, "behaviours/part-00000.parquet", "simulate", str(out), *arguments)
    assert status == -signal.SIGKILL, messages
    assert (out / "exposures" / "part-00000.parquet").exists()
    simulate(SIZE, out, seed=3, media=False, processes=1)
    assert digests(out) == digests(raw)


def test_ctrl_c_ends_without_a_traceback_and_loses_nothing(raw: Path, undisturbed, tmp_path: Path):
    root = tmp_path / "market"
    shutil.copytree(raw, root)
    status, messages = stopped(signal.SIGINT, "behaviours.json", "check", "-w", str(root))
    assert status == 130
    assert "Traceback" not in messages
    encoded_dataset(open_project(root))
    assert digests(root) == undisturbed
