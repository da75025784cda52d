"""`plait samples` on a small workspace: built once per settings, counts printed."""

import polars as pl
import pytest
from samples_worlds import behaviour, exposure, write_tables
from typer.testing import CliRunner

from plait.cli.app import register_commands
from plait.pipelines.project import open_project
from plait.pipelines.samples import SampleCount, built_samples, sample_counts

START = 1_700_000_000_000
TOML = """
name = "small"
scenarios = [{ name = "home" }]
objectives = [{ name = "click", action = "click", window = "1m" }]
tables.users.path = "users.parquet"
tables.items.path = "items.parquet"
tables.exposures.path = "exposures/*.parquet"
tables.behaviours.path = "behaviours/*.parquet"
"""


@pytest.fixture
def small(tmp_path):
    """Eleven exposures, ten minutes apart; every second one is clicked five seconds later."""
    shown = [exposure(n + 1, START + 600_000 * n) for n in range(11)]
    done = [behaviour(START + 600_000 * n + 5_000) for n in range(11) if n % 2]
    write_tables(tmp_path, shown, done)
    pl.DataFrame({"user_id": [1]}).write_parquet(tmp_path / "users.parquet")
    pl.DataFrame({"item_id": [1]}).write_parquet(tmp_path / "items.parquet")
    (tmp_path / "plait.toml").write_text(TOML)
    return tmp_path


def test_counts_and_cache(small):
    project = open_project(small)
    folder = built_samples(project)
    # Exposures at 0, 10, ..., 100 minutes; cuts at 70 and 80. The log ends with the last exposure: immature.
    assert sample_counts(folder) == [
        SampleCount("train", "click", exposures=7, mature=7, positive=3),
        SampleCount("valid", "click", exposures=1, mature=1, positive=1),
        SampleCount("test", "click", exposures=3, mature=2, positive=1),
    ]
    stamp = (folder / "summary.json").stat().st_mtime_ns
    assert built_samples(project) == folder
    assert (folder / "summary.json").stat().st_mtime_ns == stamp
    assert built_samples(project, as_of=START) != folder


def test_command(small):
    result = CliRunner().invoke(register_commands(), ["samples", "-w", str(small)])
    assert result.exit_code == 0, result.output
    assert "train" in result.output
    early = ["samples", "-w", str(small), "--as-of", "2023-11-14T22:13:20"]  # START, in UTC
    result = CliRunner().invoke(register_commands(), early)
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines() if line.startswith(" test")]
    assert rows == [["test", "click", "3", "0", "0"]]
