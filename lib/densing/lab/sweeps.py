"""Run the configurations of a sweep that are not recorded yet, in parallel, losing nothing when stopped."""

import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from densing.checks import check_range
from densing.data.paths import repository_root
from densing.data.provenance import public_version
from densing.errors import InputError
from densing.lab.runs import (
    RunSpec,
    load_runs,
    merge_rows,
    missing,
    read_record,
    record_frames,
    runs_path,
    write_record,
)

if TYPE_CHECKING:
    import pandas as pd

_RECORDED_VERSIONS = ("numpy", "torch", "tokenizers")


def run_sweep(
    specs: Iterable[RunSpec],
    *,
    processes: int = 2,
    threads: int = 1,
    fresh: bool = False,
    items: bool = False,
    progress: bool = True,
) -> "pd.DataFrame | tuple[pd.DataFrame, pd.DataFrame]":
    """Run what is missing of a sweep, merge it into ``data/runs/<sweep>.csv`` and return the rows of `specs`.

    Every finished run is written at once (one JSON file under ``_build/rows/<sweep>``, atomic rename), so a
    sweep that is killed goes on where it stopped. The largest runs start first. Before it starts it prints
    what will run and the cost in core-minutes, estimated from recorded seconds per unit of `RunSpec.work`.

    Parameters
    ----------
    specs : runs of one sweep.
    processes : parallel processes (joblib).
    threads : threads of each; models this small are slower with two.
    fresh : run everything again, whatever is recorded; nothing is written, the rows are only returned.
    items : return the item-level rows too, as a second frame.
    progress : print the estimate and show a progress bar.

    Raises
    ------
    InputError : specs of several sweeps, repeated specs, or a damaged row file (named).
    """
    check_range("processes", processes, 1, integer=True)
    check_range("threads", threads, 1, integer=True)
    specs = list(specs)
    if not specs:
        raise InputError("specs = []: must hold at least one run")
    place = {spec.digest: i for i, spec in enumerate(specs)}
    if len(place) != len(specs):
        raise InputError("specs: the same configuration twice")
    if len({spec.sweep for spec in specs}) != 1:
        raise InputError(f"specs: must be runs of one sweep, these are of {sorted({s.sweep for s in specs})}")
    todo = specs if fresh else missing(specs)
    records = _run(
        sorted(todo, key=lambda spec: -spec.work), len(specs), processes, threads, not fresh, progress
    )
    if fresh:
        frames = record_frames(sorted(records, key=lambda pair: place[pair[0].digest]))
    else:
        if any(read_record(spec) is not None for spec in specs):
            merge_rows(specs)
        frames = [_own(load_runs(specs[0].sweep), place)]
        if items:
            frames.append(_own(load_runs(specs[0].sweep, items=True), place))
    return tuple(frames) if items else frames[0]


def estimate_seconds(specs: Sequence[RunSpec]) -> float | None:
    """Core-seconds that `specs` will take, from recorded seconds per unit of work; None when nothing is recorded."""
    import numpy as np

    if not specs or not runs_path(specs[0].sweep).is_file():
        return None
    recorded = load_runs(specs[0].sweep).drop_duplicates("digest")
    rates = (recorded["seconds"] / recorded["work"]).to_numpy()
    return float(np.median(rates) * sum(spec.work for spec in specs)) if len(rates) else None


def _run(
    todo: list[RunSpec], total: int, processes: int, threads: int, write: bool, progress: bool
) -> list[tuple[RunSpec, dict]]:
    from joblib import Parallel, delayed
    from tqdm import tqdm

    if not todo:
        return []
    if progress:
        seconds = estimate_seconds(todo)
        cost = (
            "cost unknown: nothing recorded yet"
            if seconds is None
            else f"about {seconds / 60:.1f} core-minutes"
        )
        print(
            f"{todo[0].sweep}: {len(todo)} of {total} runs to do, {processes} processes of {threads}; {cost}",
            flush=True,
        )
    jobs = (delayed(_execute)(spec, threads, write) for spec in todo)
    if processes == 1 or len(todo) == 1:
        finished = (job[0](*job[1], **job[2]) for job in jobs)
    else:
        finished = Parallel(
            n_jobs=min(processes, len(todo)), backend="loky", return_as="generator_unordered"
        )(jobs)
    bar = tqdm(total=sum(spec.work for spec in todo), disable=not progress, file=sys.stdout, mininterval=1,
               bar_format="{desc}{percentage:3.0f}% |{bar:20}| {elapsed} passed, {remaining} left")  # fmt: skip
    records = []
    for spec, record in finished:
        records.append((spec, record))
        bar.set_description_str(f"{len(records)}/{len(todo)} ")
        bar.update(spec.work)
    bar.close()
    return records


def _execute(spec: RunSpec, threads: int, write: bool) -> tuple[RunSpec, dict]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    start = time.perf_counter()
    try:
        rows = spec.execute()
    finally:
        torch.set_num_threads(before)
    record = {
        "task": spec.task,
        "config": spec.config,
        "rows": rows,
        "work": spec.work,
        "seconds": round(time.perf_counter() - start, 3),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "versions": " ".join(f"{name}={public_version(name)}" for name in _RECORDED_VERSIONS),
        "commit": _commit(),
    }
    if write:
        write_record(spec, record)
    return spec, record


def _commit() -> str:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=repository_root(),
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _own(frame: "pd.DataFrame", place: dict[str, int]) -> "pd.DataFrame":
    """The rows of these runs, in the order of the plan."""
    kept = frame[frame["digest"].isin(place)]
    return kept.sort_values("digest", key=lambda digests: digests.map(place), kind="stable").reset_index(
        drop=True
    )
