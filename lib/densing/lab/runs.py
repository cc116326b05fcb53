"""Runs of a sweep, and the committed table of those that are recorded."""

import hashlib
import importlib
import json
from collections.abc import Sequence
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


def runs_path(sweep: str, *, items: bool = False) -> Path:
    """The committed table of a sweep; with `items` its item-level rows."""
    return repository_root() / "data" / "runs" / (f"{sweep}_items.parquet" if items else f"{sweep}.csv")


def load_runs(sweep: str, *, items: bool = False) -> "pd.DataFrame":
    """The recorded rows of a sweep, as committed.

    Raises
    ------
    InputError : no such sweep, lists those that are recorded; or a damaged row, named.
    """
    import pandas as pd

    path = runs_path(sweep, items=items)
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.csv"))) or "none"
        raise InputError(f"sweep = {sweep!r}: no recorded rows; recorded are {known}")
    record_file(path)
    return pd.read_parquet(path) if items else read_table(sweep)


def read_table(sweep: str) -> "pd.DataFrame":
    """The committed rows of a sweep, numbers to their last digit.

    Raises
    ------
    InputError : a table that is not whole: names the file and the line.
    """
    import pandas as pd

    path = runs_path(sweep)
    try:
        frame = pd.read_csv(path, float_precision="round_trip", dtype={"digest": str})
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: damaged table ({error})") from None
    if not {"digest", "row"} <= set(frame.columns):
        raise InputError(f"{path}: damaged table; must have the columns digest and row")
    bad = ~frame["digest"].str.fullmatch(r"[0-9a-f]{16}").eq(True) | frame.duplicated(["digest", "row"])
    for column in {"row", "seconds"} & set(frame.columns):
        bad |= frame[column].isna()
    if bad.any():
        raise InputError(f"{path}: damaged row in line {int(bad.to_numpy().argmax()) + 2}")
    return frame


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
