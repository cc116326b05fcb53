"""From finished row files to the committed table of a sweep."""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from densing.data.paths import repository_root
from densing.errors import InputError
from densing.lab.recording.row_files import Record, finished_runs, read_record
from densing.lab.runs import RunSpec, read_table, rows_folder, runs_path

if TYPE_CHECKING:
    import pandas as pd


def merge_sweeps(sweeps: Sequence[str] = ()) -> "pd.DataFrame":
    """Add the finished runs on this machine to the committed tables; what ``make rows`` does.

    No plan is needed: a row file tells its task and configuration. A file of a configuration that no plan holds any
    more is merged too; delete it before if it is not wanted.

    Parameters
    ----------
    sweeps : names of folders in ``_build/rows``; none: all.

    Returns
    -------
    Frame with columns sweep, added and recorded (runs).

    Raises
    ------
    InputError : no such folder, or a damaged row file (named).
    """
    import pandas as pd

    folder = repository_root() / "_build" / "rows"
    known = sorted(path.name for path in folder.glob("*") if any(path.glob("*.json")))
    for sweep in sweeps:
        if sweep not in known:
            raise InputError(
                f"sweeps = {sweep!r}: no finished runs here; there are {', '.join(known) or 'none'}"
            )
    counts = []
    for sweep in sweeps or known:
        before = read_table(sweep)["digest"].nunique() if runs_path(sweep).is_file() else 0
        after = merge_rows(finished_runs(sweep))["digest"].nunique()
        counts.append({"sweep": sweep, "added": after - before, "recorded": after})
    return pd.DataFrame(counts, columns=["sweep", "added", "recorded"])


def merge_rows(specs: Sequence[RunSpec]) -> "pd.DataFrame":
    """Add the finished runs of `specs` (one sweep) to ``data/runs/<sweep>.csv``; what is there already stays.

    The rows are sorted by their configuration, so the file depends neither on the order of finishing nor on
    how often a sweep was stopped. A lock keeps two processes from merging at once.

    Raises
    ------
    InputError : specs of several sweeps, a damaged row file, or a table that is not whole (named).
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
        old = read_table(sweep) if path.is_file() else None
        known = set() if old is None else set(old["digest"])
        records = {spec: read_record(spec) for spec in specs if spec.digest not in known}
        rows, items = record_frames((spec, record) for spec, record in records.items() if record is not None)
        if not len(rows):
            return pd.DataFrame(columns=["digest", "row"]) if old is None else old
        frame = _sorted(
            pd.concat([old, rows], ignore_index=True), {key for spec in specs for key in spec.config}
        )
        if len(items):
            # written first: when this is stopped in between, the same items come again and replace themselves
            before = pd.read_parquet(item_path) if item_path.is_file() else None
            if before is not None:
                items = pd.concat([before[~before["digest"].isin(items["digest"])], items], ignore_index=True)
            place = {digest: i for i, digest in enumerate(frame["digest"].unique())}
            items = items.assign(place=items["digest"].map(place)).sort_values(
                ["place", "row"], kind="stable"
            )
            content = items.drop(columns="place").reset_index(drop=True).to_parquet(index=False)
            _replace(item_path, content)
        _replace(path, frame.to_csv(index=False, lineterminator="\n").encode())
    return frame


def record_frames(records: Iterable[tuple[RunSpec, Record]]) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """Records of finished runs as two tables: rows with their configuration, and item-level rows."""
    import pandas as pd

    rows, items = [], []
    for spec, record in records:
        shared = {"digest": spec.digest, **{key: _cell(value) for key, value in record["config"].items()}}
        about = {key: value for key, value in record.items() if key not in ("rows", "task", "config")}
        for row in record["rows"]:
            rows.append(shared | {key: value for key, value in row.items() if key != "items"} | about)
            items.extend({"digest": spec.digest, "row": row["row"], **item} for item in row.get("items", ()))
    return pd.DataFrame(rows), pd.DataFrame(items)


def _cell(value: Any) -> Any:
    """A value of a configuration as a table can hold it, the same before and after it was written."""
    return json.dumps(value) if isinstance(value, (list, tuple, dict)) else value


def _sorted(frame: "pd.DataFrame", configured: set[str]) -> "pd.DataFrame":
    """Rows in the order of their configuration, read in the order of the table's columns."""
    keys = [column for column in frame.columns if column in configured] + ["digest", "row"]
    return frame.sort_values(keys, kind="stable", ignore_index=True, key=_sortable)


def _sortable(column: "pd.Series") -> "pd.Series":
    """Text and mixed values by their text, and nothing the same whether it was written as a table or not."""
    return column.where(column.notna(), "").astype(str) if column.dtype == object else column


def _replace(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_bytes(content)
    os.replace(part, path)
