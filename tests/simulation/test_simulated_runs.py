"""Writing a world: deterministic, resumable, bounded."""

import hashlib
import tracemalloc
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from plait.errors import DataError
from plait.simulation import simulate
from plait.simulation.chunk_tables import write_chunk
from plait.simulation.outcomes import Truth
from plait.simulation.sizes import Size
from plait.simulation.strengths import Strengths
from plait.simulation.world import World, make_world


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, small_size: Size) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("reference_world")
    simulate(small_size, folder, seed=3, processes=1)
    return digests(folder)


def test_bytes_do_not_depend_on_the_number_of_processes(
    reference: dict[str, str], tmp_path: Path, small_size: Size
) -> None:
    simulate(small_size, tmp_path, seed=3, processes=2)
    assert digests(tmp_path) == reference
    assert len([name for name in reference if name.startswith("behaviours/")]) == 3
    assert len([name for name in reference if name.startswith("media/")]) == 12


def test_a_killed_run_resumes_into_the_same_bytes(
    reference: dict[str, str], tmp_path: Path, small_size: Size, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plait.simulation import generate

    written = []

    def stop_after_one(number: int) -> None:
        if written:
            (tmp_path / "exposures" / "part-00001.parquet.partial").write_bytes(b"half")
            raise KeyboardInterrupt
        written.append(number)
        world, truth, out = generate._state["chunks"]
        generate.write_chunk(world, truth, out, number)

    with monkeypatch.context() as patched:
        patched.setattr(generate, "_chunk", stop_after_one)
        with pytest.raises(KeyboardInterrupt):
            simulate(small_size, tmp_path, seed=3, processes=1)
    kept = (tmp_path / "behaviours" / "part-00000.parquet").stat().st_mtime_ns
    simulate(small_size, tmp_path, seed=3, processes=1)
    assert digests(tmp_path) == reference
    assert (tmp_path / "behaviours" / "part-00000.parquet").stat().st_mtime_ns == kept


def test_another_seed_is_another_world_and_is_not_mixed_in(
    reference: dict[str, str], tmp_path: Path, small_size: Size
) -> None:
    simulate(small_size, tmp_path, seed=4, processes=1, media=False)
    other = digests(tmp_path)
    assert other["behaviours/part-00000.parquet"] != reference["behaviours/part-00000.parquet"]
    with pytest.raises(DataError, match="another size, seed or strengths"):
        simulate(small_size, tmp_path, seed=3, processes=1, media=False)


def test_a_chunk_is_the_same_in_a_larger_world(reference: dict[str, str], tmp_path: Path, small_size: Size) -> None:
    simulate(small_size, tmp_path, seed=3, users=70, processes=1, media=False)
    grown = digests(tmp_path)
    assert grown["behaviours/part-00001.parquet"] == reference["behaviours/part-00001.parquet"]
    assert "behaviours/part-00004.parquet" in grown


def test_files_are_bounded_by_the_chunk(tmp_path: Path, small_size: Size) -> None:
    """Memory follows a chunk, so no file may hold more than one chunk's users."""
    simulate(small_size, tmp_path, seed=3, users=80, processes=1, media=False)
    rows = [pq.read_metadata(path).num_rows for path in sorted((tmp_path / "users").iterdir())]
    assert rows == [15, 15, 15, 15, 15, 5]


def test_memory_does_not_grow_with_the_number_of_chunks(tmp_path: Path, small_size: Size, small_truth: Truth) -> None:
    """What one chunk needs is given back before the next; ten chunks peak where two do."""
    world = make_world(small_size.model_copy(update={"users": 150}), 11, Strengths())
    _peak(world, small_truth, tmp_path / "first", 1)  # what the libraries allocate once
    two = _peak(world, small_truth, tmp_path / "two", 2)
    ten = _peak(world, small_truth, tmp_path / "ten", 10)
    assert ten < 1.4 * two


def _peak(world: World, truth: Truth, folder: Path, chunks: int) -> int:
    """Most bytes that Python and NumPy held while writing the first `chunks` chunks."""
    tracemalloc.start()
    for number in range(chunks):
        write_chunk(world, truth, folder, number)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak
