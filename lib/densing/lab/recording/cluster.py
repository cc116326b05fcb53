"""Runs of a sweep on a Dask cluster."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from densing.errors import InputError
from densing.lab.recording.execution import recorded_run
from densing.lab.recording.measuring import measured_record, versions_text
from densing.lab.recording.row_files import read_record, write_record
from densing.lab.runs import RunSpec

if TYPE_CHECKING:
    from distributed import Client

ADDRESS_VARIABLE = "DASK_SCHEDULER_ADDRESS"
_PATIENCE = 60  # seconds for a first worker
_CONNECTING = 10  # seconds for the scheduler


def named_cluster() -> str | None:
    """Address of the scheduler that the environment names, None if it names none."""
    return os.environ.get(ADDRESS_VARIABLE) or None


@contextmanager
def connected(cluster: Any) -> Iterator["Client"]:
    """A client of the cluster, whose workers have what runs need.

    Parameters
    ----------
    cluster : address of a scheduler, a cluster object, or a client, which stays open.

    Raises
    ------
    InputError : nobody answers, there is no worker, or a worker has other versions or no copy of this library.
    """
    from distributed import Client

    if isinstance(cluster, Client):
        _check_workers(cluster)
        yield cluster
        return
    try:
        client = Client(cluster, timeout=_CONNECTING, set_as_default=False)
    except (OSError, ValueError, TimeoutError, ImportError) as error:
        raise InputError(
            f"cluster = {str(cluster)!r} (or ${ADDRESS_VARIABLE}): must be the address of a running Dask scheduler, "
            f"such as tcp://127.0.0.1:8786 ({type(error).__name__})"
        ) from None
    with client:
        _check_workers(client)
        yield client


def runs_on_cluster(
    specs: Sequence[RunSpec], client: "Client", threads: int, write: bool
) -> Iterator[tuple[RunSpec, dict[str, Any]]]:
    """Give each run to a worker, the first ones first, and yield its record when it has finished.

    A run whose worker dies is given to another one; after three such deaths, or when a task fails, the error is
    raised here and the other runs are cancelled. Workers of one thread each use the cluster best: a worker never
    works on two runs at once.

    Parameters
    ----------
    write : the worker writes the row file where it is, so that a record that is lost on its way is not computed
        again; then it is written here, unless both see the same files.
    """
    from distributed import as_completed

    futures = {
        client.submit(
            _on_worker, spec, threads, write, key=f"{spec.sweep}-{spec.digest}-{os.urandom(4).hex()}"
        ): spec
        for spec in specs
    }
    try:
        for future in as_completed(list(futures), loop=client.loop):
            spec, record = futures.pop(future), future.result()
            if write and read_record(spec) is None:
                write_record(spec, record)
            yield spec, record
            future.release()
    finally:
        client.cancel(list(futures))


def _on_worker(spec: RunSpec, threads: int, write: bool) -> dict[str, Any]:
    return recorded_run(spec, threads, wait=True) if write else measured_record(spec, threads)


def _check_workers(client: "Client") -> None:
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError:
        raise InputError(f"cluster: no worker has joined {_address(client)} within {_PATIENCE} s") from None
    wanted = versions_text()
    for worker, found in client.run(versions_text, on_error="return").items():
        if isinstance(found, BaseException):
            raise InputError(f"cluster: the worker {worker} cannot import this library ({found})")
        if found != wanted:
            raise InputError(f"cluster: the worker {worker} has {found}, this process {wanted}")


def describe(client: "Client") -> str:
    """Where runs will be executed, for the line that is printed before they start."""
    count = len(client.nthreads())
    return f"{count} worker{'s' if count > 1 else ''} of the Dask cluster at {_address(client)}"


def _address(client: "Client") -> str:
    return client.scheduler.address if client.scheduler else "an unknown address"
