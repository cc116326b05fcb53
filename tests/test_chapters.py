"""Every chapter: its page is fresh, it runs at quick scale, and it does without tables that are not ours to ship."""

import json
import os
import subprocess
import sys

import pytest

from densing.book import find_chapters
from densing.book.freshness import read_page
from densing.book.ledger import committed_ledger
from densing.book.results import load_results
from densing.data import repository_root

ROOT = repository_root()
CHAPTERS = find_chapters()
pytestmark = pytest.mark.slow


def run(chapter, folder, *arguments, **environment):
    command = [
        sys.executable,
        "-m",
        "densing.book.cli",
        "run",
        chapter.slug,
        "--output",
        str(folder),
        *arguments,
    ]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, cwd=ROOT, env=os.environ | environment
    )


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda c: c.slug)
def test_the_committed_page_is_fresh(chapter):
    page = read_page(chapter, chapter.notebook, ROOT / "data" / "results" / f"{chapter.slug}.json")
    assert page.fresh, f"run make pages: {page.reasons}"


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda c: c.slug)
def test_quick_scale_runs_the_real_code(chapter, tmp_path):
    done = run(chapter, tmp_path, "--scale", "quick")
    assert done.returncode == 0, done.stderr
    results = load_results(tmp_path / f"{chapter.slug}.json")
    assert results["scale"] == "quick" and results["measurements"]


@pytest.mark.parametrize(
    "chapter",
    [
        c
        for c in CHAPTERS
        if c.notebook.is_file()
        and json.loads(c.notebook.read_text())["metadata"]["densing"]["inputs"]["external"]
    ],
    ids=lambda c: c.slug,
)
def test_without_external_tables_nothing_but_the_mark_changes(chapter, tmp_path):
    empty = tmp_path / "no-tables"
    empty.mkdir()
    if any((ROOT / "data" / "external").glob("*.csv")):
        pytest.skip("data/external holds tables, which the loader would find")
    done = run(chapter, tmp_path, DENSING_EXTERNAL=str(empty))
    assert done.returncode == 0, done.stderr
    found = load_results(tmp_path / f"{chapter.slug}.json")
    committed = load_results(ROOT / "data" / "results" / f"{chapter.slug}.json")
    assert found["recorded"], "the absent tables are named"
    assert found["measurements"].keys() == committed["measurements"].keys()
    from densing.book import ledger_rows, load_claims

    claims = [claim for claim in load_claims() if claim.chapter == chapter.slug]
    verdicts = [[row.verdict for row in ledger_rows(claims, [r])] for r in (found, committed)]
    assert verdicts[0] == verdicts[1]
    page = json.loads((tmp_path / f"{chapter.slug}.ipynb").read_text())
    text = json.dumps(page)
    assert "is not on this machine" in text
    figures = [f"{name}" for name in _figures(page)]
    assert figures == list(_figures(json.loads(chapter.notebook.read_text())))


def _figures(notebook):
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            figure = output.get("metadata", {}).get("densing", {}).get("figure")
            if figure:
                yield figure["name"]


def test_every_claim_of_a_finished_chapter_is_measured_or_pending():
    finished = {chapter.slug for chapter in CHAPTERS}
    for row in committed_ledger():
        if row.claim.chapter in finished:
            assert row.verdict != "not yet measured", row.claim.id
