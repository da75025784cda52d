"""Wrong layouts, bad lines, damaged and hostile archives, kills."""

import gzip
import os
import signal
import subprocess
import sys
import zipfile

import polars as pl
import pytest

from plait.config import load_workspace
from plait.data.importers import IMPORTERS, importer_named, lines, source
from plait.errors import ConfigError, DataError, ImportLayoutError


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_missing_file_names_what_is_there(importing, ml1m):
    (ml1m / "ml-1m" / "users.dat").unlink()

    with pytest.raises(ImportLayoutError, match=r"expected a file 'users\.dat'.*found movies\.dat, ratings\.dat"):
        importing("movielens-1m", ml1m)


def test_another_data_set_is_refused(importing, ml20m):
    with pytest.raises(ImportLayoutError, match=r"expected a file 'ratings\.dat'.*found movies\.csv"):
        importing("movielens-1m", ml20m)


def test_right_name_wrong_content_is_refused(importing, ml1m):
    (ml1m / "ml-1m" / "ratings.dat").write_text("userId,movieId\n1,2\n3,4\n")

    with pytest.raises(
        ImportLayoutError, match=r"ratings\.dat has another layout.*'userId,movieId'.*expected 4 fields"
    ):
        importing("movielens-1m", ml1m)


def test_nothing_there(importing, tmp_path):
    with pytest.raises(ImportLayoutError, match="nothing there"):
        importing("movielens-1m", tmp_path / "absent")


def test_folder_above_the_archive_points_to_it(importing, ml1m_zip):
    folder = ml1m_zip.parent / "above"
    folder.mkdir()
    ml1m_zip.rename(folder / "ml-1m.zip")

    with pytest.raises(ImportLayoutError, match=r"Perhaps you mean the archive .*ml-1m\.zip"):
        importing("movielens-1m", folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.tar.gz", "unpack this archive first"), ("ratings.dat", "found a file, expected the folder")],
)
def test_a_file_that_is_no_zip(importing, tmp_path, name, message):
    (tmp_path / name).write_bytes(b"1::2::3::4\n")

    with pytest.raises(ImportLayoutError, match=message):
        importing("movielens-1m", tmp_path / name)


def test_bad_lines_are_counted_and_kept(importing, table, ml1m):
    (ml1m / "ml-1m" / "ratings.dat").write_bytes(
        b"1::10::5::978300760\n1::20::many::978302109\n\n2::10::4\n2::20::::978301968\n2::30::2::978301970\r\n"
        b"2::20::3::978301968::9\n2::20::nan::978301968\n1::30::1::978302200\n1.5::30::1::978302200\n"
        + b"1::10::3::978300999\n"
        * 6
    )
    report = importing("movielens-1m", ml1m)

    assert report.rejected == {"ratings.dat": 7}
    assert pl.read_csv(report.folder / "rejected.csv").rows() == [
        ("ratings.dat", 2, "rating: found 'many', expected a number", "1::20::many::978302109"),
        ("ratings.dat", 3, "empty line", ""),
        ("ratings.dat", 4, "expected 4 fields, found 3", "2::10::4"),
        ("ratings.dat", 5, "rating is empty", "2::20::::978301968"),
        ("ratings.dat", 7, "expected 4 fields, found 5", "2::20::3::978301968::9"),
        ("ratings.dat", 8, "rating: found 'nan', expected a number", "2::20::nan::978301968"),
        ("ratings.dat", 10, "user_id: found '1.5', expected a whole number", "1.5::30::1::978302200"),
    ]
    assert table(report, "exposures")["exposure_id"].to_list() == [1, 6, 9, 11, 12, 13, 14, 15, 16]


def test_unclosed_quotes_and_wrong_encoding_are_rejected(importing, table, ml20m):
    (ml20m / "movies.csv").write_bytes(
        b'\xef\xbb\xbfmovieId,title,genres\n1,"Open,Drama\n2,"Good, bad",Drama\n3,\xff\xfe,Drama\n'
        b'4,5" nails\xe2\x80\xa8a,Drama\n5,"One ""two""",Drama\n'
        b'6,"A" b,B\n7,A,B,C\n' + b"".join(b"%d,A,B\n" % n for n in range(8, 12))
    )
    report = importing("movielens-20m", ml20m)

    assert pl.read_csv(report.folder / "rejected.csv").select("line", "reason").rows() == [
        (2, "a quote that is never closed"),
        (4, "not valid text in the file's encoding"),
        (7, "text after a closing quote"),
        (8, "expected 3 fields, found 4"),
    ]
    assert table(report, "items")["name"].to_list() == ["Good, bad", '5" nails\u2028a', 'One "two"', *"AAAA"]


def test_members_that_climb_out_of_a_zip_are_never_read_or_written(importing, ml1m, tmp_path):
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("movies.dat", "users.dat"):
            archive.write(ml1m / "ml-1m" / name, f"ml-1m/{name}")
        archive.writestr("../ratings.dat", "1::10::5::1\n")
        archive.writestr("/ratings.dat", "1::10::5::1\n")
    before = set(tmp_path.rglob("*"))

    with pytest.raises(ImportLayoutError, match=r"expected a file 'ratings\.dat'"):
        importing("movielens-1m", path)
    assert {entry.name for entry in set(tmp_path.rglob("*")) - before} <= {".out.importing", "rejected.csv", "items"}


def test_a_bomb_is_not_swallowed(importing, ml1m, monkeypatch):
    monkeypatch.setattr(source, "FREE_EXPANSION_BYTES", 1 << 16)
    monkeypatch.setattr(lines, "BLOCK_BYTES", 1 << 20)
    path = ml1m / "ml-1m" / "ratings.dat"
    path.unlink()
    with gzip.open(path.with_name("ratings.dat.gz"), "wb") as file:
        file.write(b"1::10::5::978300760\n" * 500_000)

    with pytest.raises(ImportLayoutError, match="reading stopped"):
        importing("movielens-1m", ml1m)


def test_damaged_downloads_say_so(importing, ml1m, ml1m_zip):
    ratings = ml1m / "ml-1m" / "ratings.dat"
    whole = gzip.compress(ratings.read_bytes() * 100)
    ratings.unlink()
    ratings.with_name("ratings.dat.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImportLayoutError, match="download it again"):
        importing("movielens-1m", ml1m)

    data = bytearray(ml1m_zip.read_bytes())
    data[60] ^= 0xFF  # inside the first member's compressed bytes
    ml1m_zip.write_bytes(data)
    with pytest.raises(ImportLayoutError, match="download it again"):
        importing("movielens-1m", ml1m_zip)


@pytest.mark.parametrize("block", [7, 64, 1000])
def test_the_size_of_blocks_changes_no_row(importing, table, kuairand, monkeypatch, block):
    names = ("users", "items", "exposures", "behaviours")
    whole = importing("kuairand", kuairand)
    expected = [table(whole, name) for name in names]
    monkeypatch.setattr(lines, "BLOCK_BYTES", block)
    pieces = importing("kuairand", kuairand, replace=True)

    assert [table(pieces, name).equals(frame) for name, frame in zip(names, expected, strict=True)] == [True] * 4
    assert len(list((pieces.folder / "exposures").iterdir())) >= len(list((whole.folder / "exposures").iterdir()))


def test_a_folder_that_is_there_is_kept(importing, ml1m, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("mine")

    with pytest.raises(DataError, match="already there"):
        importing("movielens-1m", ml1m)
    assert (tmp_path / "out" / "precious.txt").read_text() == "mine"


def test_unknown_names_and_options_suggest_the_right_ones(importing, ml20m):
    with pytest.raises(ConfigError, match="did you mean 'movielens-20m'"):
        importer_named("movielens-20")
    with pytest.raises(ConfigError, match="unknown key 'tag'; did you mean 'tags'"):
        importing("movielens-20m", ml20m, tag=True)


KILLED_IMPORT = """
import os, signal, sys
from pathlib import Path
from plait.data.importers import import_source, importer_named, lines
from plait.data.importers.writing import WorkspaceWriter

lines.BLOCK_BYTES = 64
calls, append = [], WorkspaceWriter.append

def counted(self, table, frame):
    append(self, table, frame)
    calls.append(table)
    if len(calls) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

WorkspaceWriter.append = counted
import_source(importer_named("movielens-1m"), Path(sys.argv[1]), Path(sys.argv[2]), {})
"""


def test_a_killed_import_leaves_no_workspace_and_a_rerun_ends_in_the_same_bytes(importing, ml1m, tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "BLOCK_BYTES", 64)
    (ml1m / "ml-1m" / "ratings.dat").write_text("".join(f"1::{10 + n % 20}::5::{n}\n" for n in range(500)) + "bad\n")
    undisturbed = importing("movielens-1m", ml1m).folder.rename(tmp_path / "undisturbed")
    for kill_after in (1, 9):
        killed = subprocess.run(
            [sys.executable, "-c", KILLED_IMPORT, str(ml1m), str(tmp_path / "out"), str(kill_after)],
            env={**os.environ, "POLARS_MAX_THREADS": "1"},
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL
        assert not (tmp_path / "out").exists()
        assert (tmp_path / ".out.importing").exists()

    again = importing("movielens-1m", ml1m)
    assert files_of(again.folder) == files_of(undisturbed)
    assert not (tmp_path / ".out.importing").exists()
    assert len(files_of(undisturbed)) > 20


def test_replacing_swaps_whole_folders(importing, table, ml1m, tmp_path):
    importing("movielens-1m", ml1m)
    (ml1m / "ml-1m" / "ratings.dat").write_text("2::30::1::1000000000\n")
    report = importing("movielens-1m", ml1m, replace=True)

    assert table(report, "exposures").height == 1
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("name", sorted(IMPORTERS))
def test_every_importer_writes_a_workspace_with_all_comments(name, importing, request):
    fixtures = {
        "movielens-1m": "ml1m",
        "movielens-100k": "ml100k",
        "movielens-20m": "ml20m",
        "amazon-beauty": "beauty",
        "amazon-sports": "beauty",
        "amazon-beauty-sports": "beauty_and_sports",
    }
    report = importing(name, request.getfixturevalue(fixtures.get(name, name)))
    workspace = load_workspace(report.folder)
    text = (report.folder / "plait.toml").read_text()

    assert workspace.name == name
    for section in ("tables", "scenarios", "objectives", "actions", "split", "models", "serving"):
        assert f"# ---- {section} " in text
    for kind, settings in workspace.tables.items():
        columns = pl.read_parquet_schema(next(report.folder.glob(settings.path)))
        assert set(settings.columns) <= set(columns), kind
