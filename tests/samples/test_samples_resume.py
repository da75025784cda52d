"""A run that is killed with SIGKILL at any point ends, run again, in the same bytes."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from samples_worlds import behaviour, exposure, workspace, write_tables

from plait.config import ObjectiveSettings
from plait.data import samples as module
from plait.data.samples import build_samples

SPACE = workspace([ObjectiveSettings(name="click", action="click", window=500)])
SIZES = {"in_memory_rows": 0, "rows_per_bucket": 450}
RUN = """
import sys
from pathlib import Path
from plait.config import Workspace
from plait.data.samples import build_samples
space = Workspace.model_validate_json(Path(sys.argv[2]).read_text())
build_samples(Path(sys.argv[1]), space, Path(sys.argv[3]), in_memory_rows=0, rows_per_bucket=450)
"""


def tables(folder: Path) -> Path:
    dice = random.Random(3)
    shown = [exposure(n, dice.randrange(5000), dice.randrange(300), dice.randrange(20)) for n in range(3000)]
    done = [behaviour(dice.randrange(5000), "click", dice.randrange(300), dice.randrange(20)) for _ in range(6000)]
    return write_tables(folder, shown, done, files=30, group=100)


def digests(out: Path) -> dict[str, str]:
    files = sorted(path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def start(folder: Path, out: Path) -> subprocess.Popen:
    (folder / "space.json").write_text(SPACE.model_dump_json())
    arguments = [str(folder / "tables"), str(folder / "space.json"), str(out)]
    return subprocess.Popen([sys.executable, "-c", RUN, *arguments], env={**os.environ, "POLARS_MAX_THREADS": "1"})


@pytest.mark.parametrize("stage", ["cut by user", "label"])
def test_killed_and_run_again(tmp_path, stage):
    tables(tmp_path / "tables")
    build_samples(tmp_path / "tables", SPACE, tmp_path / "whole", **SIZES)
    expected = digests(tmp_path / "whole")
    assert len(expected) == 2 * 20 + 1  # 9000 rows in 20 buckets, and the summary

    out = tmp_path / "out"
    run = start(tmp_path, out)
    wanted = "*.arrow" if stage == "cut by user" else "done-*.json"
    while run.poll() is None and len(list(out.glob(f"_work/*/{wanted}"))) < 3:
        time.sleep(0.002)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL, "the run was over before it could be killed"
    left = list(out.glob(f"_work/*/{wanted}"))
    assert left
    assert not (out / "summary.json").exists()
    stamps = {path: path.stat().st_mtime_ns for path in left}

    again = start(tmp_path, out)
    assert again.wait() == 0
    assert digests(out) == expected
    if stage == "label":  # finished buckets were not labelled again
        part = max(out.glob("exposures/part-*.parquet"), key=lambda path: path.stat().st_mtime_ns)
        assert part.stat().st_mtime_ns > max(stamps.values())


def test_finished_buckets_are_not_labelled_again(tmp_path, monkeypatch):
    tables(tmp_path / "tables")
    labelled = []

    def failing(exposures, behaviours, objectives, plan):
        labelled.append(len(exposures))
        if len(labelled) == 12:
            raise KeyboardInterrupt
        return original(exposures, behaviours, objectives, plan)

    original = module.bucket_samples
    monkeypatch.setattr(module, "bucket_samples", failing)
    with pytest.raises(KeyboardInterrupt):
        build_samples(tmp_path / "tables", SPACE, tmp_path / "out", **SIZES)
    done = len(list(tmp_path.glob("out/_work/*/done-*.json")))
    labelled.clear()
    monkeypatch.setattr(module, "bucket_samples", lambda *bucket: labelled.append(1) or original(*bucket))
    build_samples(tmp_path / "tables", SPACE, tmp_path / "out", **SIZES)
    assert done + len(labelled) == 20
    assert done >= 10


def test_what_another_run_left_is_not_used(tmp_path):
    """The same folder with another as-of time, after a kill: nothing of the first run remains."""
    tables(tmp_path / "tables")
    run = start(tmp_path, tmp_path / "out")
    while run.poll() is None and not list((tmp_path / "out").glob("_work/*/done-*.json")):
        time.sleep(0.002)
    run.kill()
    run.wait()
    build_samples(tmp_path / "tables", SPACE, tmp_path / "out", as_of=100, in_memory_rows=0, rows_per_bucket=3000)
    build_samples(tmp_path / "tables", SPACE, tmp_path / "whole", as_of=100, in_memory_rows=0, rows_per_bucket=3000)
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")
