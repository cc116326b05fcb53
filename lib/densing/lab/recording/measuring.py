"""A run of a sweep, executed and measured: seconds, peak memory, versions, commit."""

import subprocess
import threading
import time
from types import TracebackType
from typing import Any

from densing.data.paths import repository_root
from densing.data.provenance import public_version
from densing.lab.runs import RunSpec

_RECORDED_VERSIONS = ("numpy", "torch", "tokenizers")
_STATUS, _RESET = "/proc/self/status", "/proc/self/clear_refs"
_SAMPLING_SECONDS = 0.02
_one_at_a_time = threading.RLock()


def measured_record(spec: RunSpec, threads: int) -> dict[str, Any]:
    """Run a task here and return its record: task, configuration, rows, and how they came about.

    Parameters
    ----------
    threads : that torch may use. A second run in this process waits, since threads, seconds and memory are the
        process's own.
    """
    import torch

    with _one_at_a_time:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        start = time.perf_counter()
        try:
            with PeakMemory() as memory:
                rows = spec.execute()
        finally:
            torch.set_num_threads(before)
        seconds = time.perf_counter() - start
    return {
        "task": spec.task,
        "config": spec.config,
        "rows": rows,
        "work": spec.work,
        "seconds": round(seconds, 3),
        "peak_memory_mb": round(memory.megabytes, 1),
        "versions": versions_text(),
        "commit": _commit(),
    }


class PeakMemory:
    """The largest resident memory of this process while the block runs, in `megabytes` (2^20 bytes).

    What the process held before, such as imported libraries, is included; what it held and gave back is not, so runs
    that follow each other in one process are told apart. Linux keeps the mark and lets it be reset. Elsewhere the
    memory is looked at every 20 ms, which may miss a short peak.
    """

    megabytes = float("nan")

    def __enter__(self) -> "PeakMemory":
        self._sampler = None if _reset_high_water_mark() else _Sampler()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.megabytes = (self._sampler.stop() if self._sampler else _high_water_mark()) / 2**20


class _Sampler(threading.Thread):
    def __init__(self):
        import psutil

        super().__init__(daemon=True)
        self._memory = psutil.Process().memory_info
        self._largest = self._memory().rss
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._ended.wait(_SAMPLING_SECONDS):
            self._largest = max(self._largest, self._memory().rss)

    def stop(self) -> int:
        self._ended.set()
        self.join()
        return max(self._largest, self._memory().rss)


def _reset_high_water_mark() -> bool:
    """Set the kernel's mark to what is resident now; False where that cannot be done."""
    try:
        with open(_RESET, "w") as file:
            file.write("5")
        return _high_water_mark() > 0
    except (OSError, ValueError):
        return False


def _high_water_mark() -> int:
    """The mark in bytes."""
    with open(_STATUS) as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def versions_text() -> str:
    """Versions of the packages that decide a run's numbers, as rows record them."""
    return " ".join(f"{name}={public_version(name)}" for name in _RECORDED_VERSIONS)


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
