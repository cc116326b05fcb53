"""Documents from a reader's own files: a file is a document, or a line of a .jsonl file is."""

import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from densing.errors import InputError

SUFFIXES = (".txt", ".md", ".py", ".jsonl")
MAX_BYTES = 2_000_000_000


def read_texts(path: str | Path) -> list[str]:
    """Documents of a file, or of all text files in a folder and its sub-folders, in the order of their names.

    Line ends become newlines; empty documents are left out. Names that begin with a dot are not looked at, nor links
    to folders.

    Parameters
    ----------
    path : a .txt, .md or .py file (one document), a .jsonl file (a document a line, an object with the key "text"), or
        a folder. In a folder, files that are not UTF-8 text are left out with a warning.

    Raises
    ------
    InputError : no such path, another kind of file, a file that is not UTF-8 text or not such JSON (named with its
        line), a folder without a document, or more than 2 GB.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    files = sorted(_text_files(path)) if path.is_dir() else [path]
    if not path.is_dir() and path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: must be a folder or a file with one of the endings {', '.join(SUFFIXES)}")
    try:
        total = sum(file.stat().st_size for file in files)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    if total > MAX_BYTES:
        raise InputError(f"{path}: has {total / 1e9:.1f} GB of text, at most {MAX_BYTES / 1e9:g} GB are read")
    texts: list[str] = []
    skipped = []
    for file in files:
        text = _decoded(file)
        if text is None and not path.is_dir():
            raise InputError(f"{path}: is not UTF-8 text")
        if text is None:
            skipped.append(file.relative_to(path).as_posix())
        else:
            texts += [one for one in _documents(file, text) if one.strip()]
    if skipped:
        shown = ", ".join(skipped[:3]) + (", ..." if len(skipped) > 3 else "")
        warnings.warn(f"{path}: left out {len(skipped)} files that are not UTF-8 text: {shown}", stacklevel=2)
    if not texts:
        raise InputError(f"{path}: holds no text in files ending in {', '.join(SUFFIXES)}")
    return texts


def _text_files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if (
                not name.startswith(".")
                and name.lower().endswith(SUFFIXES)
                and os.path.isfile(f"{place}/{name}")
            ):
                yield Path(place, name)


def _decoded(file: Path) -> str | None:
    """Content of a file, None if it is not UTF-8 text."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error})") from None
    return None if "\0" in text else text.replace("\r\n", "\n").replace("\r", "\n")


def _documents(file: Path, text: str) -> Iterator[str]:
    if file.suffix.lower() != ".jsonl":
        yield text
        return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)["text"]
            found.encode("utf-8")  # a lone surrogate can be written in JSON, but not in UTF-8
        except (ValueError, TypeError, KeyError, AttributeError):
            raise InputError(
                f'{file}: line {number} must be a JSON object with text under "text", such as {{"text": "..."}}'
            ) from None
        yield found
