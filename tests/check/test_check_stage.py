"""The stage and the command: cached by content, resumed after a kill, refused with exit code 1, readable output."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from check_desk import NOON, Desk, found
from typer.testing import CliRunner

from plait.cli.app import register_commands
from plait.data.checks import partitions
from plait.data.checks.report import CheckReport
from plait.errors import DataError
from plait.pipelines.check import check_workspace, checked_tables
from plait.pipelines.project import open_project

TABLES = ("users", "items", "creatives", "exposures", "behaviours")


def write_workspace(desk: Desk, extra: str = "", limit: float = 1.0) -> None:
    desk.write()
    tables = "".join(f'[tables.{name}]\npath = "{name}.parquet"\n' for name in TABLES)
    (desk.root / "plait.toml").write_text(
        f'name = "演示 [demo]"\n{extra}\n[check]\nmax_quarantined = {limit}\n{tables}'
        '[[scenarios]]\nname = "home"\n[[scenarios]]\nname = "search"\n'
        '[[objectives]]\nname = "click"\naction = "click"\n[[objectives]]\nname = "install"\naction = "install"\n',
        encoding="utf-8",
    )


def run(desk: Desk, *arguments: str):
    return CliRunner().invoke(register_commands(), ["check", "-w", str(desk.root), *arguments])


def test_clean_tables_are_made_once(desk: Desk):
    write_workspace(desk)
    folder = checked_tables(open_project(desk.root))
    first = (folder / "report.json").stat().st_mtime_ns
    assert checked_tables(open_project(desk.root)) == folder
    assert (folder / "report.json").stat().st_mtime_ns == first
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["_done.json", "quarantine", "report.json", *TABLES]
    )


def test_changed_data_is_checked_again(desk: Desk):
    write_workspace(desk)
    folder = checked_tables(open_project(desk.root))
    desk.spoil("behaviours", 3, action="install")
    desk.write()
    again = checked_tables(open_project(desk.root))
    assert again != folder
    assert pl.read_parquet(again / "behaviours")["action"].to_list() == ["click", "click", "install", "install"]


def test_files_that_have_not_changed_are_not_read_again(desk: Desk, monkeypatch):
    write_workspace(desk)
    folder = checked_tables(open_project(desk.root))
    monkeypatch.setattr(hashlib, "blake2b", no_more_than(hashlib.blake2b, 2_000))
    assert checked_tables(open_project(desk.root)) == folder


def no_more_than(make, bytes_at_most: int):
    """A hash that refuses to read file contents: settings are short, files are hashed in chunks by `update`."""

    class Guarded:
        def __init__(self, content: bytes = b"", **options) -> None:
            assert len(content) <= bytes_at_most
            self._hash = make(content, **options)

        def update(self, content: bytes) -> None:
            raise AssertionError("a file was read")

        def hexdigest(self) -> str:
            return self._hash.hexdigest()

    return Guarded


def test_a_raised_limit_needs_no_second_check(desk: Desk):
    desk.spoil("exposures", 3, propensity=2.0)
    write_workspace(desk, limit=0.1)
    with pytest.raises(DataError, match=r"exposures: 25\.0% of the rows are in quarantine"):
        checked_tables(open_project(desk.root))
    made = sorted((desk.root / ".plait" / "derived" / "tables").iterdir())
    write_workspace(desk, limit=0.3)
    assert checked_tables(open_project(desk.root)) in made


def test_a_refusal_leaves_no_tables_and_says_why(desk: Desk):
    desk.tables["exposures"]["time"] = [moment // 1000 for moment in desk.tables["exposures"]["time"]]
    write_workspace(desk)
    checked = check_workspace(open_project(desk.root))
    assert checked.tables is None
    with pytest.raises(DataError, match="100% fit seconds"):
        checked_tables(open_project(desk.root))


def test_missing_media_is_looked_for_every_time(desk: Desk):
    desk.tables["creatives"]["media"] = ["media/图.png"]
    write_workspace(desk)
    report = check_workspace(open_project(desk.root)).report
    assert found(report) == {("creatives", "missing_media"): 1}
    assert report.findings[-1].examples[0].found == "creative_id=100, media=media/图.png"
    (desk.root / "media").mkdir()
    (desk.root / "media" / "图.png").write_bytes(b"")
    assert found(check_workspace(open_project(desk.root)).report) == {}


def test_addresses_are_no_missing_media(desk: Desk):
    desk.tables["creatives"]["media"] = ["https://example.com/a.png"]
    write_workspace(desk)
    assert found(check_workspace(open_project(desk.root)).report) == {}


def test_the_command_is_content_with_sound_tables(desk: Desk):
    write_workspace(desk)
    result = run(desk)
    assert result.exit_code == 0
    assert "演示 [demo]" in result.output
    assert "Clean tables:" in result.output


def test_the_command_shows_counts_examples_and_what_happens(desk: Desk):
    desk.spoil("exposures", 3, scenario="应用商店")
    write_workspace(desk)
    result = run(desk)
    assert result.exit_code == 0
    lines = [line.split() for line in result.output.splitlines()]
    assert ["exposures", "4", "3", "1", "25.00%"] in lines
    assert "scenario=应用商店" in result.output
    assert "quarantined" in result.output


def test_strict_wants_every_row_clean(desk: Desk):
    desk.spoil("exposures", 3, scenario="nowhere")
    write_workspace(desk)
    assert run(desk, "--strict").exit_code == 1
    sound = Desk(desk.root)
    write_workspace(sound)
    assert run(sound, "--strict").exit_code == 0


def test_a_refusal_is_exit_code_1(desk: Desk):
    desk.spoil("exposures", 3, scenario="nowhere")
    write_workspace(desk, limit=0.2)
    result = run(desk)
    assert result.exit_code == 1
    assert "Refused" in result.output
    write_workspace(desk, limit=1.0, extra='time_unit = "s"')
    assert run(desk).exit_code == 1


def test_json_holds_the_whole_report(desk: Desk):
    desk.spoil("exposures", 3, scenario="应用商店")
    write_workspace(desk)
    result = run(desk, "--json")
    content = json.loads(result.output)
    assert (content["refused"], content["rows_quarantined"]) == (False, 1)
    report = CheckReport.from_json(result.output)
    assert report == check_workspace(open_project(desk.root)).report
    assert report.table("exposures").findings[0].examples[0].found == "scenario=应用商店"


def big_workspace(desk: Desk) -> None:
    """Enough rows for several batches and parts."""
    users, rows = 100, 6_000
    desk.tables = {
        "users": {"user_id": list(range(users))},
        "items": {"item_id": list(range(50))},
        "creatives": {"creative_id": [1], "item_id": [0]},
        "exposures": {
            "exposure_id": list(range(rows)),
            "time": [NOON + n for n in range(rows)],
            "user_id": [n % users for n in range(rows)],
            "item_id": [n % 50 for n in range(rows)],
            "scenario": ["home" if n % 100 else "nowhere" for n in range(rows)],
        },
        "behaviours": {
            "time": [NOON + n + (-1 if n % 1000 == 1 else 60_000) for n in range(rows)],
            "user_id": [n % users for n in range(rows)],
            "item_id": [n % 50 for n in range(rows)],
            "action": ["click", "install"] * (rows // 2),
            "exposure_id": list(range(rows)),
        },
    }
    write_workspace(desk)


CHECK_AND_DIE = """
import os, signal, sys
from pathlib import Path
import polars as pl
from plait.data.checks import partitions
from plait.pipelines.check import checked_tables
from plait.pipelines.project import open_project

def write_or_die(frame, path, write=pl.DataFrame.write_parquet, **options):
    write(frame, path, **options)
    if str(path).endswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

pl.DataFrame.write_parquet = write_or_die
partitions.PART_ROWS = 1_000
checked_tables(open_project(Path(sys.argv[1])))
"""


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("last", ["users/part-00000", "exposures/part-00003", "behaviours/part-00005"])
def test_a_killed_check_ends_in_the_same_bytes(desk: Desk, monkeypatch, last):
    big_workspace(desk)
    command = [sys.executable, "-c", CHECK_AND_DIE, str(desk.root), f"{last}.parquet"]
    died = subprocess.run(command, check=False, env={**os.environ, "POLARS_MAX_THREADS": "1"})
    assert died.returncode == -signal.SIGKILL
    derived = desk.root / ".plait" / "derived" / "tables"
    assert list(derived.glob(f"*.partial/{last}.parquet"))
    assert not list(derived.glob("*/report.json"))

    monkeypatch.setattr(partitions, "PART_ROWS", 1_000)
    resumed = digests(checked_tables(open_project(desk.root)))
    fresh = Desk(desk.root / "fresh")
    fresh.root.mkdir()
    big_workspace(fresh)
    assert resumed == digests(checked_tables(open_project(fresh.root)))
    assert "behaviours/part-00005.parquet" in resumed
    assert not [name for name in resumed if "partial" in name]
