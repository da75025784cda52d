"""What stands beside the weights: where a model came from, what it scored, and the hashes of its files."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import plait
from plait.errors import ArtifactError
from plait.registry.naming import checked_file

MANIFEST_FILE = "manifest.json"
_CHUNK_BYTES = 1 << 20
_GIVEN = ("data_fingerprint", "config", "metrics", "commit")


@dataclass(frozen=True, slots=True)
class Manifest:
    """One registered version, as its `manifest.json` tells."""

    name: str
    version: int
    created: str
    """When it was registered: ISO 8601, UTC."""
    plait_version: str
    files: Mapping[str, str]
    """SHA-256 of every file, by its path inside the version's folder."""
    data_fingerprint: str = ""
    """Names the encoded data that it was trained on."""
    config: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    commit: str = ""
    """Git commit of the code that trained it."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else its maker wrote down."""

    @classmethod
    def described(
        cls, name: str, version: int, *, created: str, files: Mapping[str, str], given: Mapping[str, Any]
    ) -> "Manifest":
        """A manifest from what its maker gave: known keys have their field, the others go to `details`."""
        known = {key: given[key] for key in _GIVEN if key in given}
        details = {key: value for key, value in given.items() if key not in _GIVEN}
        return cls(name, version, created, plait.__version__, files, **known, details=details)

    def to_text(self) -> str:
        """The manifest as it stands on disk.

        Raises:
            ArtifactError: it holds something that JSON cannot.
        """
        try:
            return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"
        except TypeError as error:
            raise ArtifactError(
                f"manifest of '{self.name}': {error}; expected numbers, texts, lists and maps"
            ) from error

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """The manifest in a version's folder.

        Raises:
            ArtifactError: it is missing, damaged, or names files outside the folder.
        """
        path = folder / MANIFEST_FILE
        try:
            manifest = cls(**json.loads(path.read_text(encoding="utf-8")))
            for name in manifest.files:
                checked_file(name)
        except OSError as error:
            raise ArtifactError(f"{path}: cannot be read ({error.strerror}); register the model again") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise ArtifactError(f"{path}: is damaged ({error}); register the model again") from error
        return manifest


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A version whose files are there and whole."""

    path: Path
    """Its folder."""
    manifest: Manifest
    version: int

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def reference(self) -> str:
        """What always resolves to exactly this version: `name@version`."""
        return f"{self.name}@{self.version}"

    def file(self, name: str = "model.safetensors") -> Path:
        """The path of one of its files.

        Raises:
            ArtifactError: it has no such file.
        """
        if name not in self.manifest.files:
            raise ArtifactError(f"{self.reference} has no file '{name}', only {', '.join(sorted(self.manifest.files))}")
        return self.path / name


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def verify(folder: Path, manifest: Manifest) -> None:
    """Check every file against the manifest.

    Raises:
        ArtifactError: a file is missing or its bytes are others; the message names it.
    """
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise ArtifactError(f"{path}: is missing from {manifest.name}@{manifest.version}; register the model again")
        found = sha256(path)
        if found != expected:
            raise ArtifactError(
                f"{path}: is damaged: SHA-256 {found[:16]}..., expected {expected[:16]}... as registered; "
                "roll back to another version or register the model again"
            )
