"""A download as it lies on disk: a folder or a zip, read by exact file names and in bounded memory."""

import fnmatch
import gzip
import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from plait.errors import ImportLayoutError

MAX_DEPTH = 3
"""How many folders deep a file may lie below the path that was given."""
MAX_EXPANSION = 200
"""A compressed file that grows by more than this is taken for a bomb; real logs grow by 3 to 30."""
FREE_EXPANSION_BYTES = 64 << 20
"""Growth is not judged below this size: small files of equal lines compress very well."""
MAX_FILE_BYTES = 64 << 30
"""The largest uncompressed file that is read; the largest official one is about a tenth of this."""

_DAMAGE = (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, RuntimeError, NotImplementedError)
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".7z", ".rar")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a download."""

    name: str
    """Its base name, without `.gz`."""
    path: Path
    """The file, or the zip that it is a member of."""
    stored_bytes: int
    """Size as it lies on disk or in the zip, compressed where it is."""
    size: int
    """Size that a reader's `position` runs up to."""
    member: str | None = None
    """Its exact name inside the zip."""

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders that it lies in, those of a zip where it is a member of one."""
        return PurePosixPath(self.member).parts[:-1] if self.member is not None else self.path.parts[:-1]

    @contextmanager
    def open(self) -> Iterator["Reader"]:
        """A reader of its uncompressed bytes.

        Raises:
            ImportLayoutError: the file is damaged, encrypted, or grows beyond all measure when uncompressed.
        """
        try:
            if self.member is None:
                with self.path.open("rb") as stored:
                    yield self._reader(stored)
            else:
                with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as stored:
                    yield self._reader(stored)
        except _DAMAGE as error:
            raise ImportLayoutError(
                f"{self.path}: {self.member or self.name} cannot be read ({error}); download it again"
            ) from error

    def _reader(self, stored: IO[bytes]) -> "Reader":
        stored_name = self.member or self.path.name
        if stored_name.endswith(".gz"):
            return Reader(gzip.GzipFile(fileobj=stored), stored, self)
        return Reader(stored, stored, self)


class Reader:
    """Uncompressed bytes of one file, with a digest of all that was read and a guard against compression bombs."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, stored: IO[bytes], file: SourceFile) -> None:
        self._stream = stream
        self._stored = stored
        self._file = file
        self._digest = hashlib.blake2b(digest_size=16)
        self.bytes_read = 0

    def read(self, size: int) -> bytes:
        """Up to `size` more bytes; empty at the end.

        Raises:
            ImportLayoutError: the file grows beyond `MAX_EXPANSION` or `MAX_FILE_BYTES`.
        """
        data = self._stream.read(size)
        self.bytes_read += len(data)
        self._digest.update(data)
        allowed = max(FREE_EXPANSION_BYTES, self._file.stored_bytes * MAX_EXPANSION)
        if self.bytes_read > min(allowed, MAX_FILE_BYTES):
            raise ImportLayoutError(
                f"{self._file.path}: {self._file.name} has {self._file.stored_bytes:,} bytes stored but more than "
                f"{self.bytes_read:,} uncompressed; that is no such log, so reading stopped"
            )
        return data

    @property
    def position(self) -> int:
        """How far reading has come, on the scale of the file's `size`."""
        return self._stored.tell()

    def digest(self) -> str:
        """32 hex digits that name the bytes read so far."""
        return self._digest.hexdigest()


class Source:
    """A folder or a zip of files; files are found by exact base name, never by a path that the download states."""

    def __init__(self, path: Path, files: list[SourceFile]) -> None:
        self.path = path
        self._files = files

    @classmethod
    def open(cls, path: Path) -> "Source":
        """What lies at `path`.

        Raises:
            ImportLayoutError: there is nothing, or it is neither a folder nor a zip.
        """
        if path.is_dir():
            return cls(path, _folder_files(path))
        if not path.exists():
            raise ImportLayoutError(f"{path}: nothing there; expected the downloaded folder or zip")
        if zipfile.is_zipfile(path):
            return cls(path, _zip_files(path))
        if path.name.endswith(_ARCHIVES):
            raise ImportLayoutError(f"{path}: unpack this archive first, then give the folder")
        raise ImportLayoutError(f"{path}: found a file, expected the folder or zip it came in; try {path.parent}")

    def within(self, folder: str) -> "Source":
        """The files that lie in a folder called so, at whatever depth."""
        return Source(self.path / folder, [file for file in self._files if folder in file.folders])

    @property
    def size(self) -> int:
        """Bytes of all its files, on the scale of readers' positions."""
        return sum(file.size for file in self._files)

    def find(self, name: str) -> SourceFile:
        """The file called `name` (or `name`.gz), the least deep where there are several.

        Raises:
            ImportLayoutError: there is none.
        """
        found = self.find_optional(name)
        if found is None:
            raise ImportLayoutError(self._missing(name))
        return found

    def find_optional(self, name: str) -> SourceFile | None:
        """The file called `name` (or `name`.gz), or None."""
        return next((file for file in self._files if file.name == name), None)

    def match(self, pattern: str) -> list[SourceFile]:
        """The files whose base name fits `pattern`, in the order of their names.

        Raises:
            ImportLayoutError: there is none.
        """
        found = self.match_optional(pattern)
        if not found:
            raise ImportLayoutError(self._missing(pattern))
        return found

    def match_optional(self, pattern: str) -> list[SourceFile]:
        """The files whose base name fits `pattern`, in the order of their names; maybe none."""
        found: dict[str, SourceFile] = {}
        for file in self._files:
            if fnmatch.fnmatchcase(file.name, pattern):
                found.setdefault(file.name, file)
        return [found[name] for name in sorted(found)]

    def _missing(self, name: str) -> str:
        names = sorted({file.name for file in self._files})
        listed = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
        message = f"{self.path}: expected a file '{name}' there (or up to {MAX_DEPTH} folders below); found "
        message += listed or "no file at all"
        archive = next((file for file in self._files if file.name.endswith(".zip")), None)
        if archive is not None:
            return f"{message}. Perhaps you mean the archive {archive.path}"
        return f"{message}. Give the folder or zip as its publisher packs it (see docs/importers.md)"


def _folder_files(root: Path) -> list[SourceFile]:
    level, files = [root], []
    for _ in range(MAX_DEPTH + 1):
        entries = sorted(entry for folder in level for entry in folder.iterdir() if not entry.name.startswith("."))
        for entry in entries:
            if entry.is_file():
                size = entry.stat().st_size
                files.append(SourceFile(entry.name.removesuffix(".gz"), entry, size, size))
        level = [entry for entry in entries if entry.is_dir()]
    return files


def _zip_files(path: Path) -> list[SourceFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except _DAMAGE as error:
        raise ImportLayoutError(f"{path}: not a readable zip ({error}); download it again") from error
    files = []
    for member in sorted(members, key=lambda info: (info.filename.count("/"), info.filename)):
        parts = PurePosixPath(member.filename).parts
        if member.is_dir() or len(parts) > MAX_DEPTH + 1 or parts[0] in ("__MACOSX", "/") or ".." in parts:
            continue
        name = parts[-1].removesuffix(".gz")
        files.append(SourceFile(name, path, member.compress_size, member.file_size, member.filename))
    return files
