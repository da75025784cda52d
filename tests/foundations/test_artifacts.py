"""The store of derived data: made once, resumed after a kill, never half there."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from plait.data.artifacts import ArtifactStore, fingerprint, fingerprint_files, write_atomically
from plait.errors import ArtifactError
from plait.schema import TableName


def make_note(folder: Path) -> None:
    (folder / "note.txt").write_text("made")


def test_a_folder_is_made_once(tmp_path: Path):
    store = ArtifactStore(tmp_path)
    made = []
    folders = [
        store.build("notes", {"a": 1}, lambda folder: made.append(folder) or make_note(folder)) for _ in range(3)
    ]
    assert len(made) == 1
    assert len(set(folders)) == 1
    assert folders[0].parent == tmp_path / "notes"
    assert (folders[0] / "note.txt").read_text() == "made"


def test_other_inputs_make_another_folder(tmp_path: Path):
    store = ArtifactStore(tmp_path)
    folders = {store.build("notes", {"a": value}, make_note) for value in (1, 2, "1", [1], None)}
    assert len(folders) == 5


def test_a_stage_that_fails_leaves_nothing_finished_and_goes_on_from_what_lies_there(tmp_path: Path):
    store = ArtifactStore(tmp_path)

    def fail(folder: Path) -> None:
        (folder / "first").write_text("1")
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        store.build("notes", {}, fail)
    with pytest.raises(ArtifactError):
        store.find("notes", {}, "run it")

    def go_on(folder: Path) -> None:
        assert (folder / "first").read_text() == "1"
        (folder / "second").write_text("2")

    final = store.build("notes", {}, go_on)
    assert {path.name for path in final.iterdir()} == {"first", "second", "_done.json"}
    assert store.find("notes", {}, "run it") == final


def test_a_killed_stage_goes_on(tmp_path: Path):
    code = """
import os, signal, sys
from pathlib import Path
from plait.data.artifacts import ArtifactStore
def die(folder):
    (folder / "first").write_text("1")
    os.kill(os.getpid(), signal.SIGKILL)
ArtifactStore(Path(sys.argv[1])).build("notes", {"a": 1}, die)
"""
    died = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert died.returncode == -signal.SIGKILL
    seen = []
    final = ArtifactStore(tmp_path).build("notes", {"a": 1}, lambda folder: seen.append((folder / "first").read_text()))
    assert seen == ["1"], "the lock of the killed process is gone, and what it wrote is there"
    assert (final / "first").read_text() == "1"


def test_a_finished_folder_says_what_it_was_made_from(tmp_path: Path):
    final = ArtifactStore(tmp_path).build("notes", {"表": TableName.USERS, "path": tmp_path}, make_note)
    assert json.loads((final / "_done.json").read_text(encoding="utf-8")) == {"表": "users", "path": str(tmp_path)}


def test_a_folder_without_its_seal_is_made_again(tmp_path: Path):
    store = ArtifactStore(tmp_path)
    final = store.build("notes", {}, make_note)
    (final / "_done.json").unlink()
    (final / "stray").write_text("")
    assert store.build("notes", {}, make_note) == final
    assert not (final / "stray").exists()


def test_two_that_want_the_same_folder_make_it_once(tmp_path: Path):
    made = []

    def slowly(folder: Path) -> None:
        made.append(folder)
        time.sleep(0.2)
        make_note(folder)

    threads = [threading.Thread(target=lambda: ArtifactStore(tmp_path).build("notes", {}, slowly)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert (ArtifactStore(tmp_path).find("notes", {}, "") / "note.txt").exists()


def test_what_has_not_been_built_is_missed_with_advice(tmp_path: Path):
    with pytest.raises(ArtifactError, match=r"no samples for the workspace as it stands now .*; run `plait samples`"):
        ArtifactStore(tmp_path).find("samples", {}, "run `plait samples`")


def test_fingerprints_name_content_not_order():
    assert fingerprint({"a": 1, "b": {"c": 2, "d": 3}}) == fingerprint({"b": {"d": 3, "c": 2}, "a": 1})
    assert fingerprint({"a": [1, 2]}) != fingerprint({"a": [2, 1]})
    assert len(fingerprint({})) == 16


def test_sets_have_the_same_fingerprint_in_every_process():
    """Python orders sets of text differently from process to process."""
    code = "from plait.data.artifacts import fingerprint; print(fingerprint({'s': {'ab', 'cd', 'ef', 'gh', 'ij'}}))"
    prints = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(prints) == 1


def test_files_are_named_by_names_and_bytes(tmp_path: Path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    whole = fingerprint_files([first, second])
    assert fingerprint_files([second, first]) == whole
    second.write_bytes(b"3")
    assert fingerprint_files([first, second]) != whole
    second.write_bytes(b"2")
    assert fingerprint_files([first, second]) == whole
    assert fingerprint_files([first, second.rename(tmp_path / "c")]) != whole


def test_bytes_that_move_from_one_file_to_the_next_change_the_fingerprint(tmp_path: Path):
    """a="xb", then b="y"; or a="x", then b="by": read in one go they look alike."""
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"xb")
    second.write_bytes(b"y")
    before = fingerprint_files([first, second])
    first.write_bytes(b"x")
    second.write_bytes(b"by")
    assert fingerprint_files([first, second]) != before


def test_remembered_fingerprints_save_reading(tmp_path: Path, monkeypatch):
    path, memory = tmp_path / "表.csv", tmp_path / "memory.json"
    path.write_bytes(b"content")
    first = fingerprint_files([path], memory)
    assert first == fingerprint_files([path])
    opened: list[str] = []
    open_file = Path.open
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda self, *args, **kw: opened.append(self.name) or open_file(self, *args, **kw))
        assert fingerprint_files([path], memory) == first
    assert memory.name in opened
    assert path.name not in opened
    status = path.stat()
    path.write_bytes(b"CONTENT")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert fingerprint_files([path], memory) == fingerprint_files([path]) != first


def test_a_damaged_memory_is_only_forgotten(tmp_path: Path):
    path, memory = tmp_path / "a", tmp_path / "memory.json"
    path.write_bytes(b"content")
    for damage in ("{", "[]", '{"x": '):
        memory.write_text(damage)
        assert fingerprint_files([path], memory) == fingerprint_files([path])


def test_text_is_written_whole(tmp_path: Path):
    path = tmp_path / "deep" / "note.txt"
    write_atomically(path, "初")
    write_atomically(path, "second")
    assert path.read_text(encoding="utf-8") == "second"
    assert [each.name for each in path.parent.iterdir()] == ["note.txt"]


def test_a_write_that_fails_leaves_the_old_text(tmp_path: Path, monkeypatch):
    path = tmp_path / "note.txt"
    write_atomically(path, "old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
