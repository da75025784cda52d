"""Derived data under `.plait/derived/`, content-addressed: a step runs again only when its inputs changed."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from plait.errors import ArtifactError

_DONE = "_done.json"
_CHUNK_BYTES = 1 << 20


def fingerprint(content: Mapping[str, Any]) -> str:
    """16 hex digits that name `content` (anything JSON can hold; paths and enums by their text)."""
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(canonical.encode(), digest_size=8).hexdigest()


def fingerprint_files(paths: Iterable[Path]) -> str:
    """16 hex digits that name the bytes of `paths`, in the order of their names."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(paths):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


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
        unfinished = final.with_name(final.name + ".partial")
        unfinished.mkdir(parents=True, exist_ok=True)
        make(unfinished)
        write_atomically(unfinished / _DONE, json.dumps(dict(inputs), indent=1, ensure_ascii=False, default=str))
        if final.exists():
            shutil.rmtree(final)
        unfinished.rename(final)
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
