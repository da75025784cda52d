"""Writes a whole simulated world into a folder: in chunks, resumable, the same bytes however it is cut into runs."""

import json
import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from plait.config import WORKSPACE_FILE
from plait.data.artifacts import write_atomically
from plait.errors import DataError
from plait.simulation.chunk_tables import chunk_files, write_chunk
from plait.simulation.outcomes import Truth, calibrate
from plait.simulation.shared_tables import write_shared_tables
from plait.simulation.sizes import Size, named_size
from plait.simulation.strengths import Strengths
from plait.simulation.workspace_file import workspace_text
from plait.simulation.world import World, make_world
from plait.telemetry import progress

WORLD_FILE = "world.json"
"""What the folder was made from, under truth/; another world is not mixed into it."""


def simulate(
    size: str | Size,
    out: Path,
    *,
    seed: int = 7,
    strengths: Strengths | None = None,
    users: int | None = None,
    days: int | None = None,
    media: bool = True,
    processes: int | None = None,
    name: str | None = None,
) -> None:
    """Write the world of this size and seed into `out`: raw tables, plait.toml, media, and truth/.

    A run that was killed goes on from its finished chunks. The files do not depend on `processes`.

    Args:
        size: "tiny", "demo", "bench", "stream", or a size of one's own.
        out: folder to fill; made where it is missing.
        seed: seed of everything random.
        strengths: strengths of the ingredients; the fixed ones of this version where None.
        users: another number of users than the size's.
        days: another length than the size's.
        media: render the creatives' image and video files.
        processes: worker processes; the number of cores (at most 8) where None.
        name: name of the workspace; "simulated-<size>" where None.

    Raises:
        ConfigError: there is no such size.
        DataError: the folder holds another world.
    """
    extent = named_size(size) if isinstance(size, str) else size
    name = name or (f"simulated-{size}" if isinstance(size, str) else "simulated")
    changes = {key: value for key, value in (("users", users), ("days", days)) if value is not None}
    extent = extent.model_copy(update=changes)
    strengths = strengths or Strengths()
    _claim(out, {"size": extent.model_dump(), "seed": seed, "strengths": strengths.model_dump(), "media": media})
    world = make_world(extent, seed, strengths)
    write_shared_tables(world, out, media=media)
    workers = processes or min(8, os.cpu_count() or 1)
    _write_chunks(world, out, workers)
    if media:
        _render(world, out, workers)
    write_atomically(out / WORKSPACE_FILE, workspace_text(world, name))


def open_world(folder: Path) -> World:
    """The world that `simulate` wrote into `folder`.

    Raises:
        DataError: the folder holds no simulated world.
    """
    path = folder / "truth" / WORLD_FILE
    if not path.exists():
        raise DataError(f"{path}: no simulated world here; `plait simulate` writes one")
    made = json.loads(path.read_text(encoding="utf-8"))
    return make_world(Size(**made["size"]), made["seed"], Strengths(**made["strengths"]))


def _claim(out: Path, content: dict[str, Any]) -> None:
    """Note what the folder is made from.

    Raises:
        DataError: it was made from something else.
    """
    path = out / "truth" / WORLD_FILE
    text = json.dumps(content, indent=1, sort_keys=True)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise DataError(
            f"{path}: the folder holds a simulated world of another size, seed or strengths; "
            "choose another folder or remove this one"
        )
    write_atomically(path, text)


def _write_chunks(world: World, out: Path, workers: int) -> None:
    missing = [
        chunk for chunk in range(world.chunks) if not all(path.exists() for path in chunk_files(out, chunk).values())
    ]
    if missing:
        truth = calibrate(world)
        _each(
            "Simulating users",
            tasks=missing,
            workers=workers,
            start=_start_chunks,
            arguments=(world, truth, out),
            work=_chunk,
        )


def _render(world: World, out: Path, workers: int) -> None:
    from plait.simulation.rendering import render_media  # noqa: PLC0415 (needs the `simulation` extra)

    missing = [plan for plan in world.creatives.plans if not (out / plan.file).exists()]
    batches = [missing[first : first + 20] for first in range(0, len(missing), 20)]
    _each(
        "Rendering creatives",
        tasks=batches,
        workers=workers,
        start=_start_media,
        arguments=(out, world.seed),
        work=render_media,
    )


_state: dict[str, Any] = {}


def _start_chunks(world: World, truth: Truth, out: Path) -> None:
    _state["chunks"] = (world, truth, out)


def _chunk(chunk: int) -> None:
    world, truth, out = _state["chunks"]
    write_chunk(world, truth, out, chunk)


def _start_media(out: Path, seed: int) -> None:
    from plait.simulation.rendering import start_rendering  # noqa: PLC0415

    start_rendering(out, seed)


def _each(
    label: str,
    *,
    tasks: Iterable[Any],
    workers: int,
    start: Callable[..., None],
    arguments: tuple[Any, ...],
    work: Callable[[Any], None],
) -> None:
    """Do `work` on every task, in this process or in `workers` new ones."""
    tasks = list(tasks)
    with progress(label, len(tasks)) as advance:
        if workers == 1 or len(tasks) <= 1:
            start(*arguments)
            for task in tasks:
                work(task)
                advance()
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(workers, len(tasks)), context, initializer=start, initargs=arguments) as pool:
            for future in as_completed([pool.submit(work, task) for task in tasks]):
                future.result()
                advance()
