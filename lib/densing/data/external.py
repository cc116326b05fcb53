"""Where files are looked for that the book reads and does not ship."""

import os
from collections.abc import Callable
from pathlib import Path

from densing.data.paths import repository_root
from densing.errors import InputError


def external_folder() -> Path:
    """The folder of this checkout for such files; version control ignores it."""
    return repository_root() / "data" / "external"


def find_external(file: str, sha256: str, digest: Callable[[Path], str]) -> Path | None:
    """Path of `file`: in the folder that ``$DENSING_EXTERNAL`` names, else in ``data/external``; None if in neither.

    Parameters
    ----------
    file : name of the file.
    sha256 : what `digest` of it must be.

    Raises
    ------
    InputError : the file that was found is another one; names it.
    """
    named = os.environ.get("DENSING_EXTERNAL")
    for folder in ([Path(named)] if named else []) + [external_folder()]:
        path = folder / file
        if path.is_file():
            found = digest(path)
            if found != sha256:
                raise InputError(
                    f"{path}: SHA-256 is {found[:12]}..., the registered file has {sha256[:12]}...; "
                    "the file is damaged or another version"
                )
            return path
    return None
