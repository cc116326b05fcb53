import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from joblib.externals.loky import get_reusable_executor

from densing.data import repository_root
from densing.lab import RunSpec, load_runs, merge_rows, missing, rerun_sample, run_sweep, vocabulary_plan
from densing.lab import runs as runs_module

TASK = "densing_test_task:work"
SOURCE = """
import os, time
def work(config):
    time.sleep(config.get("sleep", 0))
    with open(os.environ["TASK_LOG"], "a") as log:
        log.write(f"{config['x']}\\n")
    return [{"row": 0, "square": float(config["x"] ** 2), "items": [{"document": 0, "nats": config["x"] /
    2}]},
            {"row": 1, "square": float(config["x"] ** 2 + 1)}]
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "claims.yml").write_text("[]")
    (tmp_path / "densing_test_task.py").write_text(SOURCE)
    monkeypatch.setenv("DENSING_ROOT", str(tmp_path))
    monkeypatch.setenv("TASK_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.syspath_prepend(str(tmp_path))
    get_reusable_executor().shutdown(wait=True)  # processes of an earlier test do not know the task
    return tmp_path


def specs(count, **config):
    return [RunSpec("squares", TASK, {"x": x, **config}, work=1 + x) for x in range(count)]


def test_digest_is_of_the_configuration_alone():
    a, b = RunSpec("s", "m:f", {"x": 1, "y": 2}), RunSpec("s", "m:f", {"y": 2, "x": 1}, work=9)
    assert a.digest == b.digest and len(a.digest) == 16
    assert RunSpec("s", "m:f", {"x": 1, "y": 3}).digest != a.digest
    assert RunSpec("s", "m:g", {"x": 1, "y": 2}).digest != a.digest


@pytest.mark.parametrize("processes", [1, 2])
def test_rows_are_recorded_once_and_looked_up_after(place, processes, capsys):
    frame = run_sweep(specs(5), processes=processes)
    assert list(frame["square"]) == [0, 1, 1, 2, 4, 5, 9, 10, 16, 17]
    assert "squares: 5 of 5 runs to do" in capsys.readouterr().out
    more = run_sweep(specs(7), processes=1)
    assert "2 of 7 runs to do" in (out := capsys.readouterr().out) and "core-minutes" in out
    assert sorted((place / "log").read_text().split()) == list("0123456")
    assert len(more) == 14 and {"x", "seconds", "peak_memory_mb", "versions", "commit", "work"} <= set(
        more.columns
    )
    items = load_runs("squares", items=True)
    assert list(items["nats"]) == [x / 2 for x in range(7)]
    assert len(run_sweep(specs(3), processes=1)) == 6 and missing(specs(7)) == []


def test_merged_file_does_not_depend_on_the_order_of_finishing(place):
    plan = specs(4)
    path = place / "data" / "runs" / "squares.csv"
    run_sweep(plan[2:], processes=1, progress=False)
    run_sweep(plan, processes=1, progress=False)
    assert list(load_runs("squares")["x"]) == [0, 0, 1, 1, 2, 2, 3, 3]
    before = path.read_bytes()
    merge_rows(plan[::-1])
    run_sweep(plan[1:3], processes=1, progress=False)
    assert path.read_bytes() == before


def test_damaged_row_is_named_and_refused(place):
    plan = specs(2)
    run_sweep(plan, processes=1, progress=False)
    (place / "data" / "runs" / "squares.csv").unlink()
    path = runs_module.rows_folder("squares") / f"{plan[1].digest}.json"
    content = json.loads(path.read_text())
    content["record"]["rows"][0]["square"] = 99.0
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"{plan[1].digest}.json: damaged row"):
        run_sweep(plan, processes=1, progress=False)
    path.write_text(path.read_text()[:40])
    with pytest.raises(ValueError, match="damaged row"):
        missing(plan)
    path.unlink()
    assert [spec.digest for spec in missing(plan)] == [plan[1].digest]


@pytest.mark.slow
def test_a_killed_sweep_loses_no_finished_row(place):
    plan = specs(8, sleep=0.4)
    script = (
        "from densing.lab import RunSpec, run_sweep\n"
        f"run_sweep([RunSpec('squares', {TASK!r}, {{'x': x, 'sleep': 0.4}}, work=1 + x) for x in range(8)], processes=1)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], start_new_session=True, stdout=subprocess.DEVNULL
    )
    folder = runs_module.rows_folder("squares")
    deadline = time.monotonic() + 100
    while len(list(folder.glob("*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = len(list(folder.glob("*.json")))
    assert 2 <= done < 8 and len(missing(plan)) == 8 - done
    run_sweep(plan, processes=1, progress=False)
    counts = pd.Series((place / "log").read_text().split()).value_counts()
    assert len(counts) == 8 and (counts > 1).sum() <= 1  # at most the run that was under way is done twice


def test_fresh_runs_again_and_merges_nothing(place):
    run_sweep(specs(2), processes=1, progress=False)
    before = (place / "data" / "runs" / "squares.csv").read_bytes()
    frame = run_sweep(specs(2), processes=1, progress=False, fresh=True)
    assert list(frame["square"]) == [0, 1, 1, 2]
    assert list(run_sweep(specs(2), processes=1, progress=False, fresh=True, items=True)[1]["nats"]) == [
        0,
        0.5,
    ]
    assert (place / "data" / "runs" / "squares.csv").read_bytes() == before
    assert len((place / "log").read_text().split()) == 6


def test_rerun_finds_a_forged_row(place):
    plan = specs(3)
    run_sweep(plan, processes=1, progress=False)
    honest = rerun_sample(plan, 3)
    assert (honest["recorded"] == honest["rerun"]).all() and len(honest) == 6
    path = place / "data" / "runs" / "squares.csv"
    frame = pd.read_csv(path)
    frame.loc[0, "square"] = 7.5
    frame.to_csv(path, index=False)
    assert (rerun_sample(plan, 3)["recorded"] != rerun_sample(plan, 3)["rerun"]).sum() == 1


@pytest.mark.parametrize(
    "bad, told",
    [
        (lambda: run_sweep([]), "specs = "),
        (lambda: run_sweep(specs(2) + specs(1)), "the same configuration twice"),
        (lambda: run_sweep([*specs(1), RunSpec("other", TASK, {"x": 1})]), "one sweep"),
        (lambda: run_sweep(specs(1), processes=0), "processes = 0"),
        (lambda: load_runs("nothing"), "no recorded rows"),
    ],
)
def test_refusals(place, bad, told):
    with pytest.raises(ValueError, match=told):
        bad()


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_recorded_vocabulary_runs_come_again(built_corpus):
    """One of the three smallest recorded runs, on the built corpus: the same numbers on the same versions."""
    plan = vocabulary_plan()
    recorded = load_runs("vocabulary")
    assert set(spec.digest for spec in plan) <= set(recorded["digest"])
    cheap = sorted(plan, key=lambda spec: (spec.work, -spec.config["vocab_size"]))[:3]
    again = rerun_sample(cheap, 1)
    losses = again[again["metric"].isin(["loss_nats", "bits_per_character", "unigram_normalized_loss"])]
    assert len(losses) == 3
    assert (losses["recorded"] - losses["rerun"]).abs().max() < 1e-3 * losses["recorded"].abs().max()


def test_recorded_rows_are_where_the_chapter_looks():
    assert (repository_root() / "data" / "runs" / "vocabulary.csv").is_file()
