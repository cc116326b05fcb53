"""Packages read for the data inside them: registered in `data/archives.toml`, read in place, never imported."""

import hashlib
import tarfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from densing.checks import check_choice
from densing.data.external import find_external
from densing.data.paths import repository_root
from densing.data.provenance import record_external
from densing.errors import ArchiveMissing, InputError


@cache
def registered_archives() -> dict[str, dict[str, Any]]:
    """The registry of package archives: name to version, file, sha256, megabytes, heavy, licence and contents."""
    path = repository_root() / "data" / "archives.toml"
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


@dataclass(frozen=True)
class Archive:
    """A wheel (``.whl``) or source archive (``.tar.gz``) whose members are read without unpacking it.

    Parameters
    ----------
    name : of the package.
    path : of the file.

    A ``.tar.gz`` has no index: each call reads it from its beginning, so take many members by one `read`.
    """

    name: str
    path: Path

    def members(self, pattern: str = "*") -> list[str]:
        """Names of the files inside, sorted; those that match the shell-style `pattern` (``*`` also matches ``/``)."""
        if self._zipped:
            with ZipFile(self.path) as file:
                names = [info.filename for info in file.infolist() if not info.is_dir()]
        else:
            with tarfile.open(self.path, "r|gz") as file:
                names = [info.name for info in file if info.isfile()]
        return sorted(name for name in names if fnmatchcase(name, pattern))

    def member(self, name: str) -> bytes:
        """Content of the file `name` inside.

        Raises
        ------
        InputError : no such member; names the nearest ones.
        """
        if self._zipped:
            with ZipFile(self.path) as file:
                if name in file.NameToInfo:
                    return file.read(name)
        else:
            for found, content in self._stream():
                if found == name:
                    return content.read()
        near = ", ".join(get_close_matches(name, self.members(), 3)) or "none is like it"
        raise InputError(f"name = {name!r}: must be a member of {self.path.name} ({near})")

    def text(self, name: str) -> str:
        """Content of the UTF-8 file `name` inside, with plain line ends.

        Raises
        ------
        InputError : no such member, or one that is not UTF-8 text.
        """
        try:
            text = self.member(name).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise InputError(f"{self.path.name}: {name} is not UTF-8 text") from None
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def read(self, pattern: str = "*") -> Iterator[tuple[str, bytes]]:
        """Names and contents of all files that match, in the order of the archive, in one pass."""
        if self._zipped:
            with ZipFile(self.path) as file:
                for info in file.infolist():
                    if not info.is_dir() and fnmatchcase(info.filename, pattern):
                        yield info.filename, file.read(info)
        else:
            for name, content in self._stream():
                if fnmatchcase(name, pattern):
                    yield name, content.read()

    @property
    def _zipped(self) -> bool:
        return self.path.suffix == ".whl"

    def _stream(self) -> Iterator[tuple[str, Any]]:
        with tarfile.open(self.path, "r|gz") as file:
            for info in file:
                if info.isfile():
                    yield info.name, file.extractfile(info)


def open_archive(name: str) -> Archive:
    """The registered archive `name`, its checksum verified; a running chapter notes that it was used.

    Raises
    ------
    InputError : no archive of this name is registered, or the file is another one.
    ArchiveMissing : it is not on this machine; says which command gets it.
    """
    return Archive(name, archive_path(name))


def archive_path(name: str) -> Path:
    """Path of the registered archive `name`: in the folder ``$DENSING_EXTERNAL``, else in ``data/external``.

    Raises
    ------
    InputError, ArchiveMissing : as `open_archive`.
    """
    check_choice("name", name, registered_archives())
    entry = registered_archives()[name]
    record_external(name, entry["sha256"])
    path = find_external(entry["file"], entry["sha256"], archive_digest)
    if path is None:
        raise ArchiveMissing(
            f"{name}: {entry['file']} is not on this machine; `densing fetch {name}` gets it "
            f"({entry['megabytes']:g} MB, into data/external)"
        )
    return path


def archive_digest(path: Path) -> str:
    """SHA-256 of a file's bytes; not computed twice in a process for a file that has not changed."""
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@cache
def _digest(path: Path, size: int, modified: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
