"""Sweeps on a real Dask cluster of two worker processes on this machine."""

import os
import signal
import threading
import time

import pandas as pd
import pytest

from densing.lab import RunSpec, load_runs, missing, run_sweep
from densing.lab.runs import rows_folder

TASK = "densing_cluster_task:work"
SOURCE = """
import os, pathlib, time
def work(config):
    if config.get("fails"):
        raise RuntimeError("this run fails")
    mark = pathlib.Path(os.environ["TASK_LOG"])
    with open(mark, "a") as log:
        log.write(f"{config['x']} {os.getpid()}\\n")
    time.sleep(config.get("sleep", 0))
    return [{"row": 0, "square": config["x"] ** 2 / 3, "pid": os.getpid(), "items": [{"document": 0, "nats": 0.5}]}]
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two workers of one thread; their environment is fixed before they start."""
    from distributed import LocalCluster

    root = tmp_path_factory.mktemp("book")
    (root / "data").mkdir()
    (root / "data" / "claims.yml").write_text("[]")
    (root / "densing_cluster_task.py").write_text(SOURCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DENSING_ROOT", str(root))
        patch.setenv("TASK_LOG", str(root / "log"))
        patch.setenv("PYTHONPATH", str(root), prepend=os.pathsep)
        patch.syspath_prepend(str(root))
        patch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
        with LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            memory_limit="2GB",
            dashboard_address=None,
            local_directory=str(root / "dask"),
        ) as found:
            found.root = root
            yield found


def plan(sweep, count, **config):
    return [RunSpec(sweep, TASK, {"seed": 0, "x": x, **config}, work=1 + x) for x in range(count)]


@pytest.mark.slow
def test_runs_go_to_both_workers_and_rows_are_recorded_here(cluster, capsys):
    specs = plan("squares", 8, sleep=0.1)
    frame = run_sweep(specs, cluster=cluster.scheduler_address)
    assert list(frame["square"]) == pytest.approx([x**2 / 3 for x in range(8)], rel=1e-15)
    assert frame["pid"].nunique() == 2 and os.getpid() not in set(frame["pid"])
    out = capsys.readouterr().out
    assert f"8 of 8 runs to do, 2 workers of the Dask cluster at {cluster.scheduler_address}" in out
    assert "8/8" in out and "left" in out
    assert {"seed", "seconds", "peak_memory_mb", "versions", "commit", "work"} <= set(frame.columns)
    assert (frame["seconds"] >= 0.1).all() and (frame["peak_memory_mb"] > 50).all()
    assert len(load_runs("squares", items=True)) == 8 and missing(specs) == []
    assert len(run_sweep(specs, cluster=cluster.scheduler_address)) == 8
    assert len((cluster.root / "log").read_text().split()) == 16, "nothing was run twice"


@pytest.mark.slow
def test_the_environment_names_the_cluster_unless_one_process_is_wanted(cluster, monkeypatch, capsys):
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", cluster.scheduler_address)
    there = run_sweep(plan("named", 2), progress=True)
    assert os.getpid() not in set(there["pid"]) and "Dask cluster" in capsys.readouterr().out
    assert set(run_sweep(plan("here", 2), processes=1, progress=False)["pid"]) == {os.getpid()}
    fresh = run_sweep(plan("named", 2), cluster=cluster, fresh=True, progress=False)
    assert list(fresh["square"]) == list(there["square"]) and len(load_runs("named")) == 2


@pytest.mark.slow
def test_a_killed_worker_costs_no_row(cluster):
    specs = plan("killed", 6, sleep=0.5)
    log = cluster.root / "log"
    before = len(log.read_text().splitlines()) if log.is_file() else 0

    def kill():
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            lines = log.read_text().splitlines()[before:] if log.is_file() else []
            if len(lines) >= 3:
                os.kill(int(lines[-1].split()[1]), signal.SIGKILL)
                return
            time.sleep(0.02)

    killer = threading.Thread(target=kill)
    killer.start()
    frame = run_sweep(specs, cluster=cluster, progress=False)
    killer.join()
    assert list(frame["x"]) == list(range(6))
    runs = pd.Series([line.split()[0] for line in log.read_text().splitlines()[before:]]).value_counts()
    assert runs.sum() == 7 and runs.max() == 2, "only the run that was under way was done again"


@pytest.mark.slow
def test_a_failing_run_is_told_and_the_finished_ones_are_kept(cluster):
    good = plan("failing", 3)
    bad = RunSpec("failing", TASK, {"seed": 0, "x": 9, "fails": True}, work=0.5)
    with pytest.raises(RuntimeError, match="this run fails"):
        run_sweep([*good, bad], cluster=cluster, progress=False)
    kept = len(list(rows_folder("failing").glob("*.json")))
    assert kept >= 1 and len(missing(good)) == 3 - kept
    assert len(run_sweep(good, cluster=cluster, progress=False)) == 3


@pytest.mark.slow
def test_a_cluster_that_cannot_be_used_is_refused(cluster, monkeypatch):
    monkeypatch.setattr("densing.lab.recording.cluster._CONNECTING", 1)
    for address in ("tcp://127.0.0.1:9", "nowhere"):
        with pytest.raises(ValueError, match=f"cluster = '{address}'.*must be the address of a running Dask"):
            run_sweep(plan("refused", 2), cluster=address, progress=False)
    monkeypatch.setattr("densing.lab.recording.cluster.versions_text", _other_versions)
    with pytest.raises(ValueError, match=r"the worker tcp://.* has numpy=.*, this process numpy=0"):
        run_sweep(plan("refused", 2), cluster=cluster, progress=False)
    assert not rows_folder("refused").is_dir() or not list(rows_folder("refused").glob("*.json"))


class _OtherVersions:
    """Another answer here than on the workers."""

    def __init__(self):
        self.asked = False

    def __call__(self):
        return "numpy=0"

    def __reduce__(self):
        import densing.lab.recording.measuring as measuring

        return (getattr, (measuring, "versions_text"))


_other_versions = _OtherVersions()
