"""Where things are."""

import os
from pathlib import Path

from densing.errors import InputError


def repository_root() -> Path:
    """The checkout that this library belongs to, or the folder that ``$DENSING_ROOT`` names.

    Raises
    ------
    InputError : when that folder holds no book (no ``data/claims.yml``).
    """
    named = os.environ.get("DENSING_ROOT")
    root = Path(named).resolve() if named else Path(__file__).resolve().parents[3]
    if not (root / "data" / "claims.yml").is_file():
        raise InputError(
            f"DENSING_ROOT = {str(root)!r}: must be a checkout of the book (a folder with data/claims.yml)"
        )
    return root


def output_folder() -> Path:
    """Where a running chapter writes its results: ``$DENSING_OUTPUT``, else ``_build/results``; made if absent."""
    folder = Path(os.environ.get("DENSING_OUTPUT") or repository_root() / "_build" / "results")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
