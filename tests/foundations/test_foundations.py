"""Errors, seeds, telemetry and schema."""

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from plait import errors, telemetry
from plait.schema import TABLES, Columns, ColumnSpec, TableName, label_column, mature_column
from plait.seeding import derive_seed, generator
from plait.telemetry import EventLog, peak_memory_gb, progress


def error_classes() -> dict[str, type]:
    return dict(inspect.getmembers(errors, inspect.isclass))


def test_the_tree_of_errors_is_drawn_as_it_is():
    """Each branch (four characters a level) hangs under the class that it derives from."""
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in errors.__doc__.splitlines():
        match = re.match(r"^( {4}[│├└─ ]*)(\w+Error)\b", line)
        if match:
            level = len(match[1]) // 4 - 1
            path[level:] = [match[2]]
            drawn[match[2]] = path[level - 1] if level else "Exception"
    assert drawn == {name: kind.__base__.__name__ for name, kind in error_classes().items()}


def test_every_error_can_be_caught_as_one():
    assert all(issubclass(kind, errors.PlaitError) for kind in error_classes().values())


def test_seeds_depend_on_seed_and_name_and_on_nothing_else():
    assert derive_seed(7, "users") == derive_seed(7, "users")
    seeds = {derive_seed(seed, name, part) for seed in (7, 8) for name in ("users", "items") for part in (0, 1)}
    assert len(seeds) == 8


def test_names_with_slashes_are_names_of_their_own():
    assert derive_seed(7, "a/b") != derive_seed(7, "a", "b")
    assert derive_seed(7, "a\\/b") != derive_seed(7, "a\\", "b")
    assert derive_seed(7, "a", "b/c") != derive_seed(7, "a/b", "c")


def test_a_seed_fits_where_seeds_must_fit():
    """PyTorch and NumPy take 63 bits; the upper half of the range is used too."""
    seeds = [derive_seed(7, n) for n in range(200)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**62


def test_a_seed_is_the_same_everywhere():
    """Worked out apart: the first 8 bytes of blake2b("7/users") as a number, halved."""
    import hashlib

    digest = hashlib.blake2b(b"7/users", digest_size=8).hexdigest()
    assert derive_seed(7, "users") == int(digest, 16) // 2


def test_generators_repeat_and_differ():
    same = generator(7, "a").random(5), generator(7, "a").random(5)
    assert np.array_equal(*same)
    assert not np.array_equal(same[0], generator(7, "b").random(5))


def test_an_event_log_holds_one_event_a_line(tmp_path: Path):
    path = tmp_path / "runs" / "log.jsonl"
    with EventLog(path) as log:
        log.write("epoch", loss=0.5, note="训练")
        assert path.read_text(encoding="utf-8").count("\n") == 1, "an event is on disk as soon as it is written"
        log.write("epoch", loss=0.25)
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [(event["event"], event["loss"]) for event in events] == [("epoch", 0.5), ("epoch", 0.25)]
    assert events[0]["note"] == "训练"
    assert events[0]["time"] <= events[1]["time"]


def test_an_event_log_goes_on_after_half_a_line(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"event": "epoch", "lo')
    with EventLog(path) as log:
        log.write("resumed")
    with EventLog(path) as log:
        log.write("done")
    lines = path.read_text().splitlines()
    assert len(lines) == 3
    assert [json.loads(line)["event"] for line in lines[1:]] == ["resumed", "done"]


def test_progress_is_silent_where_nobody_looks(capsys):
    with progress("reading", 10) as advance:
        advance()
        advance(9, note="last")
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_progress_shows_label_count_and_note(monkeypatch):
    from io import StringIO

    from rich.console import Console

    screen = StringIO()
    monkeypatch.setattr(telemetry, "console", Console(file=screen, force_terminal=True, width=120))
    with progress("reading", 10) as advance:
        advance(4, note="users")
    shown = screen.getvalue()
    assert "reading" in shown
    assert "4/10" in shown
    assert "users" in shown


def test_peak_memory_counts_gigabytes():
    """200 MB that were touched are in the peak afterwards."""
    before = peak_memory_gb()
    block = np.ones(200_000_000, dtype=np.uint8)
    assert block[-1] == 1
    assert peak_memory_gb() >= max(before, 0.2)
    assert peak_memory_gb() < 100


def test_peak_memory_is_that_of_the_program_alone():
    """A small program started by one that holds much more: its peak is its own."""
    held = np.ones(120_000_000)  # 0.96 GB
    command = [sys.executable, "-c", "from plait.telemetry import peak_memory_gb; print(peak_memory_gb())"]
    peak = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert held[-1] == 1
    assert peak < 0.5


def test_tables_refer_to_keys():
    for spec in TABLES.values():
        for column in spec.columns:
            if column.references is not None:
                assert TABLES[column.references].key == column.name


def test_keys_are_required_and_never_null():
    for spec in TABLES.values():
        if spec.key is not None:
            column = spec.column(spec.key)
            assert isinstance(column, ColumnSpec)
            assert (column.required, column.nullable, column.type) == (True, False, "id")


def test_what_must_be_there_may_not_be_null():
    for spec in TABLES.values():
        assert all(column.required != column.nullable for column in spec.columns)


def test_the_five_tables():
    assert set(TABLES) == set(TableName)
    assert TABLES[TableName.EXPOSURES].required == ("exposure_id", "time", "user_id", "item_id", "scenario")
    assert TABLES[TableName.BEHAVIOURS].required == ("time", "user_id", "item_id", "action")
    assert TABLES[TableName.USERS].column("age") is None


def test_columns_have_one_name_each():
    names = [value for name, value in vars(Columns).items() if not name.startswith("_")]
    assert len(names) == len(set(names))
    own = {column.name for spec in TABLES.values() for column in spec.columns}
    assert own <= set(names), "every column of a table has its name in Columns"


def test_label_columns():
    assert (label_column("click"), mature_column("click")) == ("label_click", "mature_click")


@pytest.mark.parametrize("spec", TABLES.values(), ids=lambda spec: str(spec.name))
def test_columns_of_a_table_are_named_once(spec):
    names = [column.name for column in spec.columns]
    assert len(names) == len(set(names))
