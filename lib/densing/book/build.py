"""From sources to the rendered book: run what is stale, stage, render."""

import base64
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from densing.book.chapters import ChapterSource, find_chapters
from densing.book.figures import page_figures
from densing.book.freshness import Page, newest_page, read_page
from densing.book.plan import Failure, run_plan
from densing.book.results import write_atomically
from densing.data.paths import repository_root
from densing.errors import InputError

_MARK = ".densing-stage"
# the README's figure: chapter and name
_COVER = ("densing_law", "two-slopes")


def build_book(
    *,
    fresh: bool = False,
    scale: str = "book",
    render: bool = True,
    only: Sequence[str] = (),
    jobs: int | None = None,
    pages: bool = False,
    engine_options: Sequence[str] = (),
    say: Callable[[str], None] = print,
    root: Path | None = None,
) -> int:
    """Run stale chapters, then stage and render the book to ``_build/html``.

    Parameters
    ----------
    fresh : run every chapter, stale or not.
    scale : ``"book"``; another scale runs every chapter at it into ``_build/<scale>`` and renders nothing.
    render : False stops after running.
    only : slugs to run; all where empty.
    jobs : chapters at a time; default the number of cores, two at most.
    pages : afterwards write executed notebooks and results back into the tree (maintainers).
    engine_options : options for Snakemake.
    say : receives each line of progress.

    Returns
    -------
    Exit status: 0, or 1 when a chapter failed or the rendering did.

    Raises
    ------
    InputError : an unknown slug, or a page that must not be written back because a table was absent.
    """
    from filelock import FileLock, Timeout

    root = root or repository_root()
    build = root / "_build"
    build.mkdir(exist_ok=True)
    lock = FileLock(build / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say("another build of this book is running; waiting for it")
        lock.acquire()
    try:
        return _build(root, build, fresh, scale, render, only, jobs, pages, engine_options, say)
    finally:
        lock.release()


def _build(root, build, fresh, scale, render, only, jobs, write_back, engine_options, say) -> int:
    chapters = find_chapters(root)
    unknown = set(only) - {chapter.slug for chapter in chapters}
    if unknown:
        raise InputError(f"SLUG = {unknown.pop()!r}: must be one of {', '.join(c.slug for c in chapters)}")
    wanted = [c for c in chapters if not only or c.slug in only]
    jobs = jobs or min(2, os.cpu_count() or 1)
    if scale != "book":
        return _run_at_scale(root, build / scale, wanted, scale, jobs, engine_options, say)
    executed = build / "executed"
    found = [newest_page(chapter, executed, root) for chapter in chapters]
    stale = [page for page in found if page.chapter in wanted and (fresh or not page.fresh)]
    failures = _run(root, stale, executed, {}, jobs, engine_options, say, fresh)
    found = [newest_page(chapter, executed, root) for chapter in chapters]
    status = 0
    if write_back:
        _write_back(root, executed, found, say)
    if render:
        status = _render(root, build, found, say)
    _report(failures, say)
    return 1 if failures else status


def _run(root, stale, folder, parameters, jobs, engine_options, say, fresh) -> list[Failure]:
    if not stale:
        say("every page is fresh: nothing to run")
        return []
    say(f"{len(stale)} to run, {jobs} at a time:")
    for page in stale:
        reasons = page.reasons or ("asked to run it afresh",)
        say(
            f"  {page.chapter.slug}: {'; '.join(reasons[:3])}"
            + (f"; and {len(reasons) - 3} more" if len(reasons) > 3 else "")
        )
    return run_plan(
        root, stale, folder, parameters=parameters, jobs=jobs, say=say, engine_options=engine_options
    )


def _run_at_scale(root, folder, chapters: Sequence[ChapterSource], scale, jobs, engine_options, say) -> int:
    parameters = {"scale": scale}
    pages = [
        read_page(c, folder / f"{c.slug}.ipynb", folder / f"{c.slug}.json", parameters) for c in chapters
    ]
    failures = _run(root, pages, folder, parameters, jobs, engine_options, say, True)
    _report(failures, say)
    return 1 if failures else 0


def _write_back(root: Path, executed: Path, pages: Sequence[Page], say) -> None:
    for page in pages:
        if page.notebook.parent != executed or not page.fresh:
            continue
        absent = page.record.get("tables_absent")
        if absent:
            raise InputError(
                f"{page.chapter.slug}: was executed without {', '.join(absent)}; a page is written back only when all "
                "its tables are present"
            )
        results = root / "data" / "results" / page.results.name
        write_atomically(results, page.results.read_text(encoding="utf-8"))
        write_atomically(page.chapter.notebook, page.notebook.read_text(encoding="utf-8"))
        say(f"  wrote {page.chapter.notebook.relative_to(root)} and {results.relative_to(root)}")
        figures = page_figures(page.chapter.notebook)
        if page.chapter.slug == _COVER[0] and _COVER[1] in figures:
            image = figures[_COVER[1]][0]["image/png"]
            (root / "_static" / "cover.png").write_bytes(base64.b64decode(image))


def _render(root: Path, build: Path, pages: Sequence[Page], say) -> int:
    from densing.book.staging import stage_book

    stage, html = build / "stage", build / "html"
    digest = stage_book(root, stage, pages)
    mark = html / _MARK
    if mark.is_file() and mark.read_text(encoding="utf-8") == digest:
        say(f"the rendered book is up to date: {_shown(html / 'index.html', root)}")
        return 0
    say("rendering")
    started = time.monotonic()
    log = build / "render.log"
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", "-n", "-W"]
    command += ["--keep-going", str(stage), "--path-output", str(root)]
    with open(log, "w", encoding="utf-8") as output:
        code = subprocess.run(
            command, stdout=output, stderr=subprocess.STDOUT, cwd=root, check=False
        ).returncode
    if code != 0 or not (html / "index.html").is_file():
        lines = log.read_text(encoding="utf-8").splitlines()
        told = [line for line in lines if "WARNING" in line or "ERROR" in line or "Error" in line] or lines[
            -15:
        ]
        say(f"rendering FAILED; the whole log is {_shown(log, root)}")
        for line in told[-20:]:
            say(f"  {line}")
        return 1
    _drop_old_pages(stage, html)
    write_atomically(mark, digest)
    say(f"rendered in {time.monotonic() - started:.0f} s: {_shown(html / 'index.html', root)}")
    return 0


def _drop_old_pages(stage: Path, html: Path) -> None:
    """Take away rendered chapters whose source is no longer staged."""
    for page in (html / "chapters").rglob("*.html"):
        source = stage / page.relative_to(html)
        if not any(source.with_suffix(ending).is_file() for ending in (".ipynb", ".md")):
            page.unlink()


def _report(failures: Sequence[Failure], say) -> None:
    for failure in failures:
        say(f"FAILED {failure.error}")


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
