"""What a running chapter has used: library modules, distributions, files, external tables.

The runner calls `start_recording` before a chapter's first cell and `inputs_used` after its last;
the answer decides later whether the chapter's page is stale (`densing.book.freshness`).
"""

import hashlib
import re
import sys
from importlib import metadata
from pathlib import Path

from densing.data.paths import repository_root

# parts of the library that a running chapter loads and that cannot change what it finds
_NO_INFLUENCE = frozenset(f"densing.book.{name}" for name in ("chapters", "claims", "results", "verdicts"))
_baseline: set[str] = set()
_files: dict[str, str] = {}
_external: dict[str, str] = {}


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file. Line endings of text do not count, so that every platform gets the same value."""
    content = Path(path).read_bytes()
    if b"\0" not in content:
        content = content.replace(b"\r\n", b"\n")
    return hashlib.sha256(content).hexdigest()


def start_recording() -> None:
    """Forget what was used so far; modules that are loaded already belong to the kernel, not to the chapter."""
    _baseline.clear()
    _baseline.update(name.partition(".")[0] for name in sys.modules)
    _files.clear()
    _external.clear()


def record_file(path: str | Path) -> Path:
    """Note that the chapter read `path` (inside the repository), and hand it back."""
    path = Path(path)
    try:
        name = path.resolve().relative_to(repository_root()).as_posix()
    except ValueError:
        name = path.resolve().as_posix()
    _files[name] = file_digest(path)
    return path


def record_external(name: str, sha256: str) -> None:
    """Note that the chapter asked for the external table `name`, whether it was there or not."""
    _external[name] = sha256


def inputs_used() -> dict[str, dict[str, str]]:
    """What was used since `start_recording`.

    Returns
    -------
    dict with four maps: ``modules`` (of this library, name to SHA-256 of the source), ``distributions``
    (name to public version; those that the library requires by name), ``files`` (path in the repository to
    SHA-256), ``external`` (table to SHA-256). A room's ``__init__`` is an export table and is left out: a new name
    in it changes no result.
    """
    modules, top = {}, set()
    for name, module in sorted(sys.modules.items()):
        package = name.partition(".")[0]
        file = getattr(module, "__file__", None)
        if package == "densing":
            if file and Path(file).name != "__init__.py" and name not in _NO_INFLUENCE:
                modules[name] = file_digest(file)
        elif package not in _baseline:
            top.add(package)
    owners = metadata.packages_distributions()
    required = {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in metadata.requires("densing") or []}
    names = {owner for package in top for owner in owners.get(package, []) if owner.lower() in required}
    return {
        "modules": modules,
        "distributions": {name.lower(): public_version(name) for name in sorted(names, key=str.lower)},
        "files": dict(sorted(_files.items())),
        "external": dict(sorted(_external.items())),
    }


def public_version(distribution: str) -> str | None:
    """Version of an installed distribution without its local label (``2.13.0+cpu`` is ``2.13.0``); None if absent."""
    try:
        return metadata.version(distribution).partition("+")[0]
    except metadata.PackageNotFoundError:
        return None
