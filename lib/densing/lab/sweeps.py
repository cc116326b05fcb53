"""Run the configurations of a sweep that are not recorded yet, in parallel, losing nothing when stopped."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from densing.checks import check_range
from densing.errors import InputError
from densing.lab.recording.cluster import connected, describe, named_cluster, runs_on_cluster
from densing.lab.recording.execution import recorded_run
from densing.lab.recording.measuring import measured_record
from densing.lab.recording.merging import merge_rows, record_frames
from densing.lab.recording.row_files import missing
from densing.lab.runs import RunSpec, load_runs, runs_path

if TYPE_CHECKING:
    import pandas as pd

Outcome = tuple[RunSpec, dict[str, Any] | None]


def run_sweep(
    specs: Iterable[RunSpec],
    *,
    processes: int = 2,
    threads: int = 1,
    cluster: Any = None,
    fresh: bool = False,
    items: bool = False,
    progress: bool = True,
) -> "pd.DataFrame | tuple[pd.DataFrame, pd.DataFrame]":
    """Run what is missing of a sweep, merge it into ``data/runs/<sweep>.csv`` and return the rows of `specs`.

    Every finished run is written at once (one JSON file under ``_build/rows/<sweep>``, atomic rename), so a
    sweep that is killed goes on where it stopped, and two processes given one sweep share its runs. The largest runs
    start first. Before it starts it prints what will run and the cost in core-minutes, estimated from recorded
    seconds per unit of `RunSpec.work`.

    Every row carries its configuration, seconds, commit, versions and ``peak_memory_mb``: the largest resident memory
    of the process while the run lasted, imported libraries included.

    Parameters
    ----------
    specs : runs of one sweep.
    processes : parallel processes (joblib); with 1, everything runs in this process.
    threads : threads of each; models this small are slower with two.
    cluster : address of a Dask scheduler, a cluster object or a client: the runs go to its workers, which must have
        this library and the same versions. None: the one that ``$DASK_SCHEDULER_ADDRESS`` names, unless `processes`
        is 1.
    fresh : run everything again, whatever is recorded; nothing is written, the rows are only returned.
    items : return the item-level rows too, as a second frame.
    progress : print the estimate and show a progress bar.

    Raises
    ------
    InputError : specs of several sweeps, repeated specs, a cluster that cannot be used, or a damaged row (named).
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
    if not fresh:
        merge_rows(specs)  # of a sweep that was stopped: the estimate needs them
    if cluster is None and processes > 1:
        cluster = named_cluster()
    todo = sorted(specs if fresh else missing(specs), key=lambda spec: -spec.work)
    finished = _run(todo, len(specs), processes, threads, cluster, not fresh, progress) if todo else []
    if fresh:
        frames = record_frames(sorted(finished, key=lambda pair: place[pair[0].digest]))
    else:
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
    todo: list[RunSpec], total: int, processes: int, threads: int, cluster: Any, write: bool, progress: bool
) -> list[Outcome]:
    """Run everything; the records of fresh runs, since the others are on the disk."""
    from tqdm import tqdm

    with connected(cluster) if cluster is not None else nullcontext() as client:
        if progress:
            where = f"{processes} processes of {threads}" if client is None else describe(client)
            print(f"{todo[0].sweep}: {len(todo)} of {total} runs to do, {where}; {_cost(todo)}", flush=True)
        if client is not None:
            finished = runs_on_cluster(todo, client, threads, write)
        else:
            finished = _with_others(todo, processes, threads, write, progress)
        bar = tqdm(total=sum(spec.work for spec in todo), disable=not progress, file=sys.stdout, mininterval=1,
                   bar_format="{desc}{percentage:3.0f}% |{bar:20}| {elapsed} passed, {remaining} left")  # fmt: skip
        records, done = [], 0
        with bar:
            for spec, record in finished:
                done += 1
                if not write:
                    records.append((spec, record))
                bar.set_description_str(f"{done}/{len(todo)} ")
                bar.update(spec.work)
    return records


def _cost(specs: list[RunSpec]) -> str:
    seconds = estimate_seconds(specs)
    if seconds is None:
        return "cost unknown: nothing recorded yet"
    return f"about {seconds / 60:.1f} core-minutes"


def _with_others(
    todo: list[RunSpec], processes: int, threads: int, write: bool, progress: bool
) -> Iterator[Outcome]:
    """Outcomes of all runs, as they finish; runs that another process works on are left for the end."""
    busy = []
    for spec, record in _in_processes(_execute, todo, processes, threads, write):
        if record is None:
            busy.append(spec)
        else:
            yield spec, record
    if busy and progress:
        print(f"\n{busy[0].sweep}: waiting for {len(busy)} runs of another process", flush=True)
    yield from _in_processes(_await, busy, processes, threads, write)


def _in_processes(
    work: Callable[..., Outcome], todo: list[RunSpec], processes: int, threads: int, write: bool
) -> Iterator[Outcome]:
    from joblib import Parallel, delayed

    if processes == 1 or len(todo) <= 1:
        return (work(spec, threads, write) for spec in todo)
    jobs = (delayed(work)(spec, threads, write) for spec in todo)
    return Parallel(n_jobs=min(processes, len(todo)), backend="loky", return_as="generator_unordered")(jobs)


def _execute(spec: RunSpec, threads: int, write: bool, wait: bool = False) -> Outcome:
    """Run one configuration where this is called; no record if another process is at it."""
    if not write:
        return spec, measured_record(spec, threads)
    record = recorded_run(spec, threads, wait=wait)
    # the rows, which may be large, are on the disk
    return spec, record if record is None else record | {"rows": []}


def _await(spec: RunSpec, threads: int, write: bool) -> Outcome:
    return _execute(spec, threads, write, wait=True)


def _own(frame: "pd.DataFrame", place: dict[str, int]) -> "pd.DataFrame":
    """The rows of these runs, in the order of the plan."""
    kept = frame[frame["digest"].isin(place)]
    return kept.sort_values("digest", key=lambda digests: digests.map(place), kind="stable").reset_index(
        drop=True
    )
