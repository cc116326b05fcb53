"""Which chapters must run, and running them: a plan for Snakemake, its progress, its failures."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from densing.book.execute import THREAD_VARIABLES
from densing.book.freshness import Page
from densing.book.results import write_atomically


@dataclass(frozen=True)
class Failure:
    """A chapter that did not finish, and what it said."""

    slug: str
    error: str


def run_plan(
    root: Path,
    pages: Sequence[Page],
    folder: Path,
    *,
    parameters: dict[str, object],
    jobs: int,
    say,
    engine_options: Sequence[str] = (),
) -> list[Failure]:
    """Run the chapters of `pages` through Snakemake, `jobs` at a time, and say what finished and what is left.

    Parameters
    ----------
    folder : receives ``<slug>.ipynb`` and ``<slug>.json`` of each chapter as it finishes.
    say : called with each line to print.
    engine_options : handed on to Snakemake (``--executor slurm``, ``--profile ...``).

    Returns
    -------
    The chapters that failed; the others have finished all the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    slugs = [page.chapter.slug for page in pages]
    for slug in slugs:
        (folder / f"{slug}.error.json").unlink(missing_ok=True)
        # Snakemake must not take an older page for this run's
        (folder / f"{slug}.ipynb").unlink(missing_ok=True)
    plan = folder / "plan.json"
    content = {"python": sys.executable, "folder": str(folder), "slugs": slugs, "parameters": parameters}
    write_atomically(plan, json.dumps(content, indent=1) + "\n")
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile"), "--config", f"plan={plan}",
        "--directory", str(folder), "--cores", str(jobs), "--nolock", "--rerun-incomplete", "--keep-going",
        "--quiet", "all", *engine_options,
    ]  # fmt: skip
    environment = dict(os.environ)
    if jobs > 1:
        environment.update({name: "1" for name in THREAD_VARIABLES})
    log = folder / "snakemake.log"
    _follow(command, environment, log, len(slugs), _expected_seconds(pages), jobs, say)
    failures = []
    for slug in slugs:
        report = folder / f"{slug}.error.json"
        if report.is_file():
            failures.append(Failure(slug, json.loads(report.read_text(encoding="utf-8"))["error"]))
        elif not (folder / f"{slug}.ipynb").is_file():
            failures.append(Failure(slug, f"did not finish; the runner's log is {log.relative_to(root)}"))
    return failures


def _follow(command, environment, log, total, expected, jobs, say) -> None:
    started = time.monotonic()
    finished: list[str] = []
    with open(log, "w", encoding="utf-8") as record:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        try:
            for line in process.stdout:
                record.write(line)
                record.flush()
                word, _, rest = line.strip().partition(" ")
                if word not in ("@done", "@failed"):
                    continue
                slug, seconds = rest.split()
                finished.append(slug)
                left = sum(s for name, s in expected.items() if name not in finished) / jobs
                outcome = "done" if word == "@done" else "FAILED"
                say(
                    f"  [{len(finished)}/{total}] {slug} {outcome} in {float(seconds):.0f} s"
                    + (
                        f"; {total - len(finished)} left, about {_duration(left)}"
                        if len(finished) < total
                        else ""
                    )
                )
            process.wait()
        except BaseException:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
    say(f"  chapters took {_duration(time.monotonic() - started)}")


def _expected_seconds(pages: Sequence[Page]) -> dict[str, float]:
    """Seconds each chapter took last time; 15 where nothing is known."""
    return {page.chapter.slug: page.record.get("seconds", 15.0) for page in pages}


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _die_with_parent() -> None:
    """Ask Linux to end the runner when the build is killed, so that no orphan writes pages later."""
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
