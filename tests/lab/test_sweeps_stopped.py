"""Sweeps that are killed, started twice, or merged without their plan."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from densing.lab import RunSpec, load_runs, merge_sweeps, missing, run_sweep
from densing.lab import runs as runs_module
from densing.lab.recording.measuring import PeakMemory
from densing.lab.recording.row_files import claimed, finished_runs

TASK = "densing_stopped_task:work"
SOURCE = """
import os, time
def work(config):
    time.sleep(config["sleep"])
    with open(os.environ["TASK_LOG"], "a") as log:
        log.write(f"{config['x']}\\n")
    return [{"row": row, "value": config["x"] / 7 + row,
             "items": [{"item": i, "nats": config["x"] / 3 + i} for i in range(40)]} for row in range(3)]
"""
# A process that has imported everything forks children. Each works through a growing plan, and is killed so and so long
# after it has finished so and so many runs; both are read from standard input.
CHILDREN = """
import json, os, signal, sys, time
import pandas, pyarrow, torch, filelock, joblib, tqdm
from densing.lab import RunSpec, run_sweep
from densing.lab.runs import rows_folder
import densing_stopped_task
torch.set_num_threads(1)
plan = [RunSpec("stopped", "densing_stopped_task:work", {"seed": 0, "x": x, "sleep": 0.02}) for x in range(160)]
def finished():
    return len(list(rows_folder("stopped").glob("*.json")))
print("ready", flush=True)
for line in sys.stdin:
    more, delay = map(float, line.split())
    begun = finished()
    child = os.fork()
    if child == 0:
        for size in range(begun // 4 * 4 + 4, len(plan) + 1, 4):
            run_sweep(plan[:size], processes=1, progress=False)
        os._exit(0)
    while finished() < begun + more:
        time.sleep(0.001)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    print("killed" if os.WIFSIGNALED(status) else "finished", flush=True)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "claims.yml").write_text("[]")
    (tmp_path / "densing_stopped_task.py").write_text(SOURCE)
    monkeypatch.setenv("DENSING_ROOT", str(tmp_path))
    monkeypatch.setenv("TASK_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def plan(count, sleep=0.0, sweep="stopped"):
    return [RunSpec(sweep, TASK, {"seed": 0, "x": x, "sleep": sleep}) for x in range(count)]


def expect_whole(count):
    """The table and its items are those of an undisturbed sweep of so many runs."""
    frame, items = load_runs("stopped"), load_runs("stopped", items=True)
    assert list(frame["x"]) == [x for x in range(count) for _ in range(3)]
    assert np.array_equal(frame["value"], [x / 7 + row for x in range(count) for row in range(3)])
    assert len(items) == count * 120 and not items.duplicated(["digest", "row", "item"]).any()
    order = dict(zip(frame["digest"], frame["x"], strict=True))
    assert np.array_equal(items["nats"], items["digest"].map(order) / 3 + items["item"])


@pytest.mark.slow
def test_killed_twenty_times_it_loses_no_finished_row(place):
    rng = random.Random(0)
    starter = subprocess.Popen(
        [sys.executable, "-c", CHILDREN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    folder, table = runs_module.rows_folder("stopped"), runs_module.runs_path("stopped")
    try:
        assert starter.stdout.readline() == "ready\n"
        finished, kills = {}, 0
        for _ in range(20):
            starter.stdin.write(f"{rng.randrange(7)} {rng.uniform(0, 0.08)}\n")
            starter.stdin.flush()
            kills += starter.stdout.readline() == "killed\n"
            now = {path.name: path.read_bytes() for path in folder.glob("*.json")}
            assert finished.items() <= now.items(), "a finished row was lost or changed"
            finished = now
            assert len(finished_runs("stopped")) == len(now), "every row file is sound"
            if table.is_file():
                merged = load_runs("stopped")
                assert set(merged["digest"]) <= {name[:16] for name in now}
                assert (merged.groupby("digest").size() == 3).all()
        assert kills == 20, "each was stopped in the middle"
        assert 20 < len(finished) < 160
    finally:
        starter.kill()
        starter.wait()
    specs = plan(160, sleep=0.02)
    assert len(missing(specs)) == 160 - len(finished)
    run_sweep(specs, processes=1, progress=False)
    expect_whole(160)
    counts = pd.Series((place / "log").read_text().split()).value_counts()
    assert len(counts) == 160 and counts.sum() <= 160 + kills, (
        "a kill costs at most the run that was under way"
    )


@pytest.mark.slow
def test_two_processes_share_a_sweep_and_corrupt_nothing(place):
    script = (
        "import time, sys\n"
        "from densing.lab import RunSpec, run_sweep\n"
        "import torch, pandas\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        f"plan = [RunSpec('stopped', {TASK!r}, {{'seed': 0, 'x': x, 'sleep': 0.03}}) for x in range(24)]\n"
        "for size in range(4, 25, 4):\n    run_sweep(plan[:size], processes=1, progress=False)\n"
    )
    pair = [
        subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in pair:
        assert process.stdout.readline() == "ready\n"
    for process in pair:
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.wait(timeout=60) for process in pair] == [0, 0]
    expect_whole(24)
    counts = pd.Series((place / "log").read_text().split()).value_counts()
    assert len(counts) == 24 and counts.max() == 1, "no run was done by both"


def test_a_claim_is_for_one_process_and_void_when_that_is_killed(place):
    spec = plan(1)[0]
    script = (
        "import sys, time\n"
        "from densing.lab import RunSpec\n"
        "from densing.lab.recording.row_files import claimed\n"
        f"with claimed(RunSpec('stopped', {TASK!r}, {{'seed': 0, 'x': 0, 'sleep': 0.0}}), wait=False) as mine:\n"
        "    print(mine, flush=True); time.sleep(60)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "True\n"
    with claimed(spec, wait=False) as mine:
        assert not mine
    other.send_signal(signal.SIGKILL)
    other.wait()
    with claimed(spec, wait=False) as mine:
        assert mine


def test_rows_are_merged_without_the_plan_as_with_it(place, capsys):
    specs = plan(6)
    path = runs_module.runs_path("stopped")
    run_sweep(specs[3:], processes=1, progress=False)
    run_sweep(specs, processes=1, progress=False)
    table, items = path.read_bytes(), runs_module.runs_path("stopped", items=True).read_bytes()
    path.unlink()
    runs_module.runs_path("stopped", items=True).unlink()
    found = merge_sweeps()
    assert found.to_dict("records") == [{"sweep": "stopped", "added": 6, "recorded": 6}]
    assert path.read_bytes() == table
    assert runs_module.runs_path("stopped", items=True).read_bytes() == items
    assert merge_sweeps(["stopped"]).to_dict("records") == [{"sweep": "stopped", "added": 0, "recorded": 6}]
    assert path.read_bytes() == table
    with pytest.raises(ValueError, match="sweeps = 'other': no finished runs here; there are stopped"):
        merge_sweeps(["other"])


def test_items_left_by_a_merge_that_was_stopped_do_not_come_twice(place):
    specs = plan(4)
    run_sweep(specs[:2], processes=1, progress=False)
    table = runs_module.runs_path("stopped").read_bytes()
    run_sweep(specs, processes=1, progress=False)
    runs_module.runs_path("stopped").write_bytes(table)  # killed between the items and the table
    assert len(run_sweep(specs, processes=1, progress=False)) == 12
    expect_whole(4)


def test_the_command_merges_and_refuses_in_one_line(place):
    run_sweep(plan(2), processes=1, progress=False)
    runs_module.runs_path("stopped").unlink()

    def densing(*arguments):
        command = [sys.executable, "-m", "densing.book.cli", "rows", *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    assert densing("stopped").stdout == "stopped: 2 runs added, 2 recorded\n"
    expect_whole(2)
    record = next(runs_module.rows_folder("stopped").glob("*.json"))
    record.write_text(record.read_text()[:-9])
    refused = densing()
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert f"{record}: damaged row" in refused.stderr


def test_a_record_under_another_name_and_a_cut_table_are_refused(place):
    specs = plan(2)
    run_sweep(specs, processes=1, progress=False)
    folder, path = runs_module.rows_folder("stopped"), runs_module.runs_path("stopped")
    (folder / f"{specs[0].digest}.json").replace(folder / f"{'0' * 16}.json")
    with pytest.raises(ValueError, match="0000.json: damaged row; delete the file"):
        merge_sweeps()
    whole = path.read_text()
    path.write_text(whole[:-60])
    with pytest.raises(ValueError, match=r"stopped.csv: damaged row in line 7"):
        load_runs("stopped")
    path.write_text(whole + whole.splitlines()[1] + "\n")
    with pytest.raises(ValueError, match="damaged row in line 8"):
        run_sweep(plan(3), processes=1, progress=False)
    path.write_text("<<<<<<< ours\n" + whole)
    with pytest.raises(ValueError, match="damaged table"):
        load_runs("stopped")


def test_numbers_and_lists_survive_merging_again(place):
    values = [0.1 + 0.2, 1 / 3, 2**-40 / 3, 123456789.123456789]
    (place / "densing_exact_task.py").write_text(
        "def work(config):\n    return [{'row': 0, 'value': config['value']}]\n"
    )
    specs = [
        RunSpec(
            "exact",
            "densing_exact_task:work",
            {
                "mode": ("b", None, "zz", None)[i],
                "sizes": [i, 2],
                "value": value,
                **({"extra": True} if i > 1 else {}),
            },
        )
        for i, value in enumerate(values)
    ]
    path = runs_module.runs_path("exact")
    run_sweep(specs[:2], processes=1, progress=False)
    assert list(load_runs("exact")["sizes"]) == ["[1, 2]", "[0, 2]"], "no mode comes first"
    found = run_sweep(specs, processes=1, progress=False)
    assert list(found["value"]) == values
    assert list(found["sizes"]) == [json.dumps([i, 2]) for i in range(4)]
    in_pieces = path.read_bytes()
    path.unlink()
    columns = run_sweep(specs, processes=1, progress=False).columns
    assert set(columns) == set(found.columns) and path.read_bytes() == in_pieces


@pytest.mark.parametrize("sampled", [False, True])
def test_peak_memory_is_of_the_run_and_not_of_the_one_before(sampled, monkeypatch):
    if sampled:
        monkeypatch.setattr("densing.lab.recording.measuring._reset_high_water_mark", lambda: False)

    def peak(megabytes):
        with PeakMemory() as memory:
            block = np.ones(megabytes * 2**17)
            time.sleep(0.1)
            del block
        return memory.megabytes

    small, large, small_again = peak(1), peak(200), peak(1)
    assert 180 < large - small < 260
    assert abs(small_again - small) < 40
