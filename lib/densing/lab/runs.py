"""Recorded runs: one JSON file a finished run while a sweep works, one committed table a sweep afterwards."""

import hashlib
import importlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from densing.checks import check_range
from densing.data.paths import repository_root
from densing.data.provenance import record_file
from densing.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
TIMING = ("seconds", "peak_memory_mb", "versions", "commit")


@dataclass(frozen=True, eq=False)
class RunSpec:
    """One run of a sweep: a function and its configuration.

    Parameters
    ----------
    sweep : name of the table, ``data/runs/<sweep>.csv``.
    task : ``"module:function"``; the function takes `config` and returns rows (a list of flat dicts), and
        optionally item-level rows under the key ``"items"`` of a row.
    config : plain numbers and text; its digest, with the task's name, identifies the run.
    work : expected effort in any unit that is proportional to seconds (FLOPs, say); not part of the identity.
    """

    sweep: str
    task: str
    config: dict[str, Any]
    work: float = 1.0

    @property
    def digest(self) -> str:
        """SHA-256 of task and configuration, 16 hexadecimal digits."""
        text = json.dumps([self.task, self.config], sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def execute(self) -> list[Row]:
        """Run the task here and now."""
        module, _, name = self.task.partition(":")
        return getattr(importlib.import_module(module), name)(dict(self.config))


def rows_folder(sweep: str) -> Path:
    """Where the finished runs of a sweep are kept before they are merged."""
    return repository_root() / "_build" / "rows" / sweep


def write_record(spec: RunSpec, record: dict[str, Any]) -> None:
    """Write the record of a finished run, all or nothing."""
    folder = rows_folder(spec.sweep)
    folder.mkdir(parents=True, exist_ok=True)
    body = json.dumps(record, sort_keys=True)
    check = hashlib.sha256(body.encode()).hexdigest()
    part = folder / f".{spec.digest}.{os.getpid()}.part"
    with open(part, "w", encoding="utf-8") as file:
        json.dump({"sha256": check, "record": record}, file, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, folder / f"{spec.digest}.json")


def read_record(spec: RunSpec) -> dict[str, Any] | None:
    """The record of a finished run, None if there is none.

    Raises
    ------
    InputError : a damaged file, named; delete it to run that configuration again.
    """
    path = rows_folder(spec.sweep) / f"{spec.digest}.json"
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        body = json.dumps(content["record"], sort_keys=True)
        sound = hashlib.sha256(body.encode()).hexdigest() == content["sha256"]
    except (ValueError, KeyError, TypeError):
        sound = False
    if not sound:
        raise InputError(f"{path}: damaged row; delete the file to run this configuration again")
    return content["record"]


def runs_path(sweep: str, *, items: bool = False) -> Path:
    """The committed table of a sweep; with `items` its item-level rows."""
    return repository_root() / "data" / "runs" / (f"{sweep}_items.parquet" if items else f"{sweep}.csv")


def load_runs(sweep: str, *, items: bool = False) -> "pd.DataFrame":
    """The recorded rows of a sweep, as committed.

    Raises
    ------
    InputError : no such sweep; lists those that are recorded.
    """
    import pandas as pd

    path = runs_path(sweep, items=items)
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.csv"))) or "none"
        raise InputError(f"sweep = {sweep!r}: no recorded rows; recorded are {known}")
    record_file(path)
    return pd.read_parquet(path) if items else pd.read_csv(path)


def missing(specs: Iterable[RunSpec]) -> list[RunSpec]:
    """Those of `specs` that neither the committed tables nor finished row files hold."""
    specs = list(specs)
    done: dict[str, set[str]] = {}
    for sweep in {spec.sweep for spec in specs}:
        done[sweep] = set(load_runs(sweep)["digest"]) if runs_path(sweep).is_file() else set()
    return [spec for spec in specs if spec.digest not in done[spec.sweep] and read_record(spec) is None]


def record_frames(records: Iterable[tuple[RunSpec, dict[str, Any]]]) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """Records of finished runs as two tables: rows with their configuration, and item-level rows."""
    import pandas as pd

    rows, items = [], []
    for spec, record in records:
        shared = {"digest": spec.digest, **record["config"]}
        about = {key: value for key, value in record.items() if key not in ("rows", "task", "config")}
        for row in record["rows"]:
            rows.append(shared | {key: value for key, value in row.items() if key != "items"} | about)
            items.extend({"digest": spec.digest, "row": row["row"], **item} for item in row.get("items", ()))
    return pd.DataFrame(rows), pd.DataFrame(items)


def merge_rows(specs: Sequence[RunSpec]) -> "pd.DataFrame":
    """Add the finished runs of `specs` (one sweep) to ``data/runs/<sweep>.csv``; what is there already stays.

    The rows are sorted by their configuration, so the file depends neither on the order of finishing nor on
    how often a sweep was stopped. A lock keeps two processes from merging at once.
    """
    import pandas as pd
    from filelock import FileLock

    names = {spec.sweep for spec in specs}
    if len(names) != 1:
        raise InputError(f"specs: must be runs of one sweep, these are of {sorted(names)}")
    sweep = names.pop()
    path, item_path = runs_path(sweep), runs_path(sweep, items=True)
    rows_folder(sweep).mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(rows_folder(sweep) / ".merge.lock"):
        old = pd.read_csv(path) if path.is_file() else None
        known = set() if old is None else set(old["digest"])
        records = {spec: read_record(spec) for spec in specs if spec.digest not in known}
        rows, items = record_frames((spec, record) for spec, record in records.items() if record is not None)
        if not len(rows):
            return pd.DataFrame() if old is None else old
        keys = [*specs[0].config, "digest", "row"]
        frame = pd.concat([old, rows], ignore_index=True).sort_values(keys, kind="stable", ignore_index=True)
        if len(items):
            place = {digest: i for i, digest in enumerate(frame["digest"].unique())}
            before = pd.read_parquet(item_path) if item_path.is_file() else None
            items = pd.concat([before, items], ignore_index=True)
            items = items.assign(place=items["digest"].map(place)).sort_values(
                ["place", "row"], kind="stable"
            )
            content = items.drop(columns="place").reset_index(drop=True).to_parquet(index=False)
            _replace(item_path, content)
        _replace(path, frame.to_csv(index=False, lineterminator="\n").encode())
    return frame


def _replace(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_bytes(content)
    os.replace(part, path)


def rerun_sample(
    specs: Sequence[RunSpec], count: int, *, largest_seconds: float = 60, seed: int = 0
) -> "pd.DataFrame":
    """Run `count` recorded runs again and put every numeric metric beside its record.

    Parameters
    ----------
    specs : the plan of the sweep.
    count : how many, >= 1.
    largest_seconds : draw only among runs that took at most this long.
    seed : of the draw.

    Returns
    -------
    Frame with columns digest, row, metric, recorded, rerun.
    """
    import numpy as np
    import pandas as pd

    check_range("count", count, 1, integer=True)
    recorded = load_runs(specs[0].sweep)
    cheap = set(recorded.loc[recorded["seconds"] <= largest_seconds, "digest"])
    candidates = [spec for spec in specs if spec.digest in cheap]
    if len(candidates) < count:
        raise InputError(
            f"count = {count}: only {len(candidates)} recorded runs took at most {largest_seconds} s"
        )
    found = []
    for i in np.random.default_rng(seed).choice(len(candidates), count, replace=False):
        spec = candidates[i]
        old = recorded[recorded["digest"] == spec.digest].set_index("row")
        for row in spec.execute():
            for metric, value in row.items():
                if isinstance(value, float) and metric not in TIMING:
                    found.append((spec.digest, row["row"], metric, float(old.loc[row["row"], metric]), value))
    return pd.DataFrame(found, columns=["digest", "row", "metric", "recorded", "rerun"])
