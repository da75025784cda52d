"""Derived data under `.plait/derived/`, content-addressed: a step runs again only when its inputs changed."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plait.errors import ArtifactError

_DONE = "_done.json"
_CHUNK_BYTES = 1 << 20


def fingerprint(content: Mapping[str, Any]) -> str:
    """16 hex digits that name `content` (anything JSON can hold, sets; all else by its text)."""
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, default=_plain)
    return hashlib.blake2b(canonical.encode(), digest_size=8).hexdigest()


def fingerprint_files(paths: Iterable[Path], memory: Path | None = None) -> str:
    """16 hex digits that name the names and bytes of `paths`, whatever order they are given in.

    Args:
        paths: the files.
        memory: a JSON file that remembers the fingerprint of each file by its size and time of change, so that files
            which have not changed since are not read again.
    """
    digests = file_digests(paths, memory)
    return fingerprint({"files": sorted((path.name, digest) for path, digest in digests.items())})


def file_digests(paths: Iterable[Path], memory: Path | None = None) -> dict[Path, str]:
    """16 hex digits that name the bytes of each of `paths`; `memory` as in `fingerprint_files`."""
    remembered = _remembered(memory)
    before = len(remembered), hash(tuple(map(tuple, remembered.values())))
    digests = {path: _file_digest(path, remembered) for path in sorted(paths)}
    if memory is not None and before != (len(remembered), hash(tuple(map(tuple, remembered.values())))):
        write_atomically(memory, json.dumps(remembered, ensure_ascii=False, indent=0))
    return digests


def write_atomically(path: Path, content: str) -> None:
    """Write a text file aside and rename it into place, so that no reader or crash ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".partial")
    with aside.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)


class ArtifactStore:
    """Folders named by stage and inputs.

    Two processes that want the same folder do not get in each other's way: the second waits for the first.
    A stage that was killed finds its unfinished folder again and may go on from what lies there; a finished folder
    appears under its name in one rename and is never changed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def build(self, stage: str, inputs: Mapping[str, Any], make: Callable[[Path], None]) -> Path:
        """The folder that `make` fills for these inputs; `make` runs only where there is none yet.

        Args:
            stage: name of the step, such as "samples".
            inputs: everything the result depends on: settings and fingerprints of what is read.
            make: fills the folder it is given. After a kill it is given the same folder, with what was left there.
        """
        final = self.path(stage, inputs)
        if (final / _DONE).exists():
            return final
        final.parent.mkdir(parents=True, exist_ok=True)
        with _locked(final.with_name(final.name + ".lock")):
            if not (final / _DONE).exists():
                _make_aside(final, inputs, make)
        return final

    def path(self, stage: str, inputs: Mapping[str, Any]) -> Path:
        """Where the folder for these inputs is, or will be."""
        return self._root / stage / fingerprint(inputs)

    def find(self, stage: str, inputs: Mapping[str, Any], hint: str) -> Path:
        """The finished folder for these inputs.

        Raises:
            ArtifactError: it has not been built; `hint` says which command builds it.
        """
        path = self.path(stage, inputs)
        if not (path / _DONE).exists():
            raise ArtifactError(f"no {stage} for the workspace as it stands now (expected {path}); {hint}")
        return path


def inputs_of(folder: Path) -> dict[str, Any] | None:
    """What a finished artifact was built from; None where there is none."""
    done = folder / _DONE
    if not done.exists():
        return None
    inputs: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
    return inputs


def _make_aside(final: Path, inputs: Mapping[str, Any], make: Callable[[Path], None]) -> None:
    unfinished = final.with_name(final.name + ".partial")
    unfinished.mkdir(exist_ok=True)
    make(unfinished)
    write_atomically(unfinished / _DONE, json.dumps(dict(inputs), indent=1, ensure_ascii=False, default=_plain))
    if final.exists():
        shutil.rmtree(final)
    unfinished.rename(final)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Only one process at a time gets past; the lock of a killed one is gone with it."""
    with path.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _plain(value: object) -> object:
    """What JSON does not know, as something that it does; sets in order, so that two runs agree on them."""
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(value)


def _remembered(memory: Path | None) -> dict[str, list[int | str]]:
    try:
        found = json.loads(memory.read_text(encoding="utf-8")) if memory is not None else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _file_digest(path: Path, remembered: dict[str, list[int | str]]) -> str:
    """The file's fingerprint, from `remembered` where size and time of change are as they were; it is added there."""
    status = path.stat()
    key, state = str(path.resolve()), [status.st_size, status.st_mtime_ns]
    known = remembered.get(key)
    if known is not None and known[:2] == state:
        return str(known[2])
    digest = hashlib.blake2b(digest_size=8)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    remembered[key] = [*state, digest.hexdigest()]
    return digest.hexdigest()
