"""One JSON file a finished run, named by the run's digest; written whole, sealed by a checksum, claimed by a lock."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from densing.errors import InputError
from densing.lab.runs import RunSpec, load_runs, rows_folder, runs_path

Record = dict[str, Any]


def write_record(spec: RunSpec, record: Record) -> None:
    """Write the record of a finished run, all or nothing."""
    folder = rows_folder(spec.sweep)
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{spec.digest}.{os.getpid()}.part"
    with open(part, "w", encoding="utf-8") as file:
        json.dump({"sha256": _checksum(record), "record": record}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, folder / f"{spec.digest}.json")


def read_record(spec: RunSpec) -> Record | None:
    """The record of a finished run, None if there is none.

    Raises
    ------
    InputError : a damaged file, named; delete it to run that configuration again.
    """
    path = rows_folder(spec.sweep) / f"{spec.digest}.json"
    return _read(path)[1] if path.is_file() else None


def finished_runs(sweep: str) -> list[RunSpec]:
    """The runs of a sweep whose records are on this machine, as their records describe them.

    Raises
    ------
    InputError : a damaged file, named.
    """
    return [_read(path)[0] for path in sorted(rows_folder(sweep).glob("*.json"))]


def missing(specs: Iterable[RunSpec]) -> list[RunSpec]:
    """Those of `specs` that neither the committed tables nor finished row files hold."""
    specs = list(specs)
    done: dict[str, set[str]] = {}
    for sweep in {spec.sweep for spec in specs}:
        done[sweep] = set(load_runs(sweep)["digest"]) if runs_path(sweep).is_file() else set()
    return [spec for spec in specs if spec.digest not in done[spec.sweep] and read_record(spec) is None]


@contextmanager
def claimed(spec: RunSpec, *, wait: bool) -> Iterator[bool]:
    """Whether this process may work on a run: one at a time may, and the claim of a killed one is void.

    Parameters
    ----------
    wait : for another process to finish, instead of yielding False.
    """
    from filelock import FileLock, Timeout

    rows_folder(spec.sweep).mkdir(parents=True, exist_ok=True)
    lock = FileLock(rows_folder(spec.sweep) / f".{spec.digest}.lock")
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _read(path: Path) -> tuple[RunSpec, Record]:
    """A record and the run that it is of; both must agree with the checksum and with the name of the file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        record = content["record"]
        spec = RunSpec(path.parent.name, record["task"], record["config"], record["work"])
        sound = _checksum(record) == content["sha256"] and spec.digest == path.stem
    except (ValueError, KeyError, TypeError):
        sound = False
    if not sound:
        raise InputError(f"{path}: damaged row; delete the file to run this configuration again")
    return spec, record


def _checksum(record: Record) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
