"""The registry: `<root>/<name>/<version>/` with the model's files and a manifest, `<root>/<name>/aliases.json`."""

import datetime
import errno
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from plait.data.artifacts import write_atomically
from plait.errors import ArtifactError
from plait.registry.aliases import AliasEvent, locked, read_events, stack, write_events
from plait.registry.manifest import MANIFEST_FILE, Manifest, RegisteredModel, sha256, verify
from plait.registry.naming import LATEST, checked_alias, checked_file, checked_name, split_reference

__all__ = ["LATEST", "Registry"]

_ASIDE = ".unfinished-"
_ABANDONED_SECONDS = 86_400


class Registry:
    """Models under version numbers 1, 2, 3 ...

    A version appears whole, in one rename, and is never changed. Processes may register and set aliases at once.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def register(self, name: str, files: Mapping[str, Path], manifest: Mapping[str, Any]) -> int:
        """Copy a model's files in as its next version.

        Args:
            name: of the model, such as "ranker".
            files: path inside the version's folder = the file to copy; "model.safetensors" holds the weights.
            manifest: `data_fingerprint`, `config`, `metrics` and `commit` where known; other keys become `details`.

        Returns:
            The version.

        Raises:
            ArtifactError: the name or a file's name is not allowed, a file is missing, or the manifest is not JSON.
        """
        folder = self.root / checked_name(name)
        if not files:
            raise ArtifactError(f"model '{name}': no files, expected at least one such as 'model.safetensors'")
        for inside, path in files.items():
            if checked_file(inside) == MANIFEST_FILE or not path.is_file():
                raise ArtifactError(
                    f"model '{name}': {path} cannot become '{inside}': expected a file and another name"
                )
        with _aside(folder) as aside:
            hashes = {inside: _copy(path, aside / inside) for inside, path in files.items()}
            created = _now()
            while True:
                version = max(self.versions(name), default=0) + 1
                described = Manifest.described(name, version, created=created, files=hashes, given=manifest)
                write_atomically(aside / MANIFEST_FILE, described.to_text())
                if _claim(aside, folder / str(version)):
                    return version

    def resolve(self, reference: str) -> RegisteredModel:
        """The model that `name`, `name@version` or `name@alias` stands for, every file checked against its hash.

        Raises:
            ArtifactError: there is no such model, version or alias, or a file of it is missing or damaged.
        """
        name, selector = split_reference(reference)
        version = self._version(name, selector)
        folder = self.root / name / str(version)
        manifest = Manifest.read(folder)
        if (manifest.name, manifest.version) != (name, version):
            raise ArtifactError(
                f"{folder / MANIFEST_FILE}: is of {manifest.name}@{manifest.version}, expected {name}@{version}; "
                "versions cannot be moved or copied by hand"
            )
        verify(folder, manifest)
        return RegisteredModel(folder, manifest, version)

    def names(self) -> list[str]:
        """The models that have a version."""
        if not self.root.is_dir():
            return []
        return sorted(path.name for path in self.root.iterdir() if path.is_dir() and self.versions(path.name))

    def versions(self, name: str) -> list[int]:
        """The versions of a model, rising; none where there is no such model."""
        folder = self.root / checked_name(name)
        if not folder.is_dir():
            return []
        return sorted(
            int(path.name) for path in folder.iterdir() if path.name.isdecimal() and (path / MANIFEST_FILE).is_file()
        )

    def manifest(self, name: str, version: int) -> Manifest:
        """The manifest of a version, its files unchecked: for lists.

        Raises:
            ArtifactError: there is no such version, or its manifest is damaged.
        """
        return Manifest.read(self.root / name / str(self._version(name, str(version))))

    def aliases(self, name: str) -> dict[str, int]:
        """The version that each alias of a model stands for, `latest` among them.

        Raises:
            ArtifactError: there is no such model.
        """
        events = self.history(name)
        present = {
            alias: versions[-1] for alias in {event.alias for event in events} if (versions := stack(events, alias))
        }
        return {**dict(sorted(present.items())), LATEST: self.versions(name)[-1]}

    def history(self, name: str) -> list[AliasEvent]:
        """Everything that happened to a model's aliases, oldest first.

        Raises:
            ArtifactError: there is no such model.
        """
        self._version(name, LATEST)
        return read_events(self.root / name)

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Let `alias` stand for `version` from now on; what it stood for is kept for `roll_back`.

        Raises:
            ArtifactError: there is no such version, or the alias is not allowed.
        """
        checked_alias(alias)
        self._version(name, str(version))
        with locked(self.root / name):
            events = read_events(self.root / name)
            if stack(events, alias)[-1:] != [version]:
                write_events(self.root / name, [*events, AliasEvent(alias, version, "set", _now())])

    def roll_back(self, name: str, alias: str) -> int:
        """Let `alias` stand for the version it stood for before.

        Returns:
            That version.

        Raises:
            ArtifactError: there is no such alias, or it has stood for one version only.
        """
        checked_alias(alias)
        self._version(name, alias)
        with locked(self.root / name):
            events = read_events(self.root / name)
            versions = stack(events, alias)
            if len(versions) < 2:
                raise ArtifactError(
                    f"{name}@{alias} has always been version {versions[-1]}; there is nothing before it"
                )
            write_events(self.root / name, [*events, AliasEvent(alias, versions[-2], "roll_back", _now())])
        return versions[-2]

    def _version(self, name: str, selector: str) -> int:
        versions = self.versions(name)
        if not versions:
            raise ArtifactError(f"{self.root}: there is no model '{name}'; {_offer(name, self.names(), 'models')}")
        if selector == LATEST:
            return versions[-1]
        if selector.isdecimal():
            if int(selector) not in versions:
                raise ArtifactError(f"model '{name}' has no version {selector}; it has {', '.join(map(str, versions))}")
            return int(selector)
        events = read_events(self.root / name)
        if held := stack(events, selector):
            return held[-1]
        known = sorted({event.alias for event in events} | {LATEST})
        raise ArtifactError(f"model '{name}' has no alias '{selector}'; {_offer(selector, known, 'aliases')}")


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """A fresh folder beside the versions, gone at the end unless it was renamed; those of killed processes go too."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{_ASIDE}*"):
        if _is_abandoned(left):
            shutil.rmtree(left, ignore_errors=True)
    aside = folder / f"{_ASIDE}{uuid.uuid4().hex}"
    aside.mkdir()
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _is_abandoned(aside: Path) -> bool:
    try:
        return time.time() - aside.stat().st_mtime > _ABANDONED_SECONDS
    except FileNotFoundError:  # another process finished with it in this moment
        return False


def _copy(source: Path, target: Path) -> str:
    """Copy a file to the disk itself, and the hash of what was written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())
    return sha256(target)


def _claim(aside: Path, final: Path) -> bool:
    """Rename `aside` to `final` unless another process was first.

    POSIX refuses to rename a folder onto one that is not empty, and a version never is: of two processes that want one
    number, exactly one gets it, and no reader ever sees a version without its files.
    """
    try:
        aside.rename(final)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def _offer(given: str, known: list[str], what: str) -> str:
    near = get_close_matches(given, known, n=1)
    listed = f"{what}: {', '.join(known)}" if known else f"there are no {what} yet; `plait train` registers one"
    return f"did you mean '{near[0]}'? ({listed})" if near else listed


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
