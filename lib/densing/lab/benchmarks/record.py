"""Measuring benchmarks and keeping their results, one entry a benchmark, in ``data/results/benchmarks.json``."""

import json
import os
import platform
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from densing.checks import check_choices
from densing.data.paths import repository_root
from densing.data.provenance import public_version
from densing.errors import InputError

_VERSIONS = ("torch", "numpy", "transformers")


def benchmarks_path() -> Path:
    """Where the results of benchmarks are committed."""
    return repository_root() / "data" / "results" / "benchmarks.json"


def load_benchmarks() -> dict[str, dict[str, Any]]:
    """Recorded results, benchmark to its entry; empty before the first recording."""
    path = benchmarks_path()
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise InputError(f"{path.name}: is not JSON ({error}); `densing bench` writes it anew") from None


def record_benchmarks(names: Iterable[str] = (), *, rounds: int = 7, seconds: float = 2.0) -> dict[str, dict]:
    """Measure benchmarks (all by default) and write each to the results as soon as it is done.

    Nothing else should run on the machine meanwhile: times are taken in turns, so a steady load slows all
    contenders alike, but a load that comes and goes widens the intervals.

    Parameters
    ----------
    names : some of `BENCHMARKS`.
    rounds, seconds : turns that count, and the length of one.
    """
    names = list(names) or list(BENCHMARKS)
    check_choices("names", names, BENCHMARKS)
    results = load_benchmarks()
    for name in names:
        measured = BENCHMARKS[name](rounds, seconds)
        results[name] = {
            "date": date.today().isoformat(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "versions": {package: public_version(package) for package in _VERSIONS},
            "rounds": rounds,
            "measured": measured,
        }
        path = benchmarks_path()
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        part.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        os.replace(part, path)
    return results


def _training_speed(rounds: int, seconds: float) -> list[dict[str, Any]]:
    from tqdm import tqdm

    from densing.lab.benchmarks.training_speed import BENCHED_SIZES, measure_training_speed

    sizes = tqdm(BENCHED_SIZES, desc="training speed")
    return [asdict(measure_training_speed(size, rounds=rounds, seconds=seconds)) for size in sizes]


#: Benchmark to a function of rounds and seconds that returns what the results file keeps.
BENCHMARKS: dict[str, Callable[[int, float], Any]] = {"training_speed": _training_speed}
