"""From source to page, on a small book: freshness and its reasons, failures, kills, two builds at once."""

import json
import os
import signal
import subprocess
import time

import pytest

pytestmark = pytest.mark.slow


def metadata(book, slug, folder="_build/executed"):
    return json.loads((book.root / folder / f"{slug}.ipynb").read_text())["metadata"]["densing"]


def test_a_page_is_stale_exactly_when_something_it_used_changed(mini_book):
    first = mini_book.densing("build", "--no-render")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "one: never executed" in first.stdout and "2 to run" in first.stdout
    assert "[2/2]" in first.stdout
    assert "nothing to run" in mini_book.densing("build", "--no-render").stdout

    chapter = mini_book.root / "chapters" / "density" / "one.py"
    os.utime(chapter)
    os.utime(mini_book.root / "lib" / "densing" / "checks.py")
    assert "nothing to run" in mini_book.densing("build", "--no-render").stdout

    used_by_one = "densing.errors" in metadata(mini_book, "one")["inputs"]["modules"]
    assert used_by_one
    assert "densing.fitters.trend" not in metadata(mini_book, "one")["inputs"]["modules"]
    unused = mini_book.root / "lib" / "densing" / "laws" / "unused.py"
    unused.write_text('"""Nobody imports this."""\n')
    assert "nothing to run" in mini_book.densing("build", "--no-render").stdout

    # a module that only one chapter uses reruns that chapter only
    path = mini_book.root / "chapters" / "laws" / "two.py"
    path.write_text(
        path.read_text().replace("import densing.laws  # nothing of it is used", "import densing.laws.unused")
    )
    again = mini_book.densing("build", "--no-render")
    assert "1 to run" in again.stdout and "two: chapters/laws/two.py changed" in again.stdout
    unused.write_text('"""Nobody imports this, still."""\n')
    again = mini_book.densing("build", "--no-render")
    assert "1 to run" in again.stdout and "two: lib/densing/laws/unused.py changed" in again.stdout


def test_results_and_records_that_were_edited_make_a_page_stale(mini_book):
    assert mini_book.densing("build", "--no-render", "--pages").returncode == 0
    executed = mini_book.root / "_build" / "executed"
    for name in ("one.ipynb", "one.json", "two.ipynb", "two.json"):
        (executed / name).unlink()
    assert "nothing to run" in mini_book.densing("build", "--no-render").stdout
    results = mini_book.root / "data" / "results" / "one.json"
    results.write_text(results.read_text().replace('"value": 2', '"value": 3'))
    notebook = mini_book.root / "chapters" / "laws" / "two.ipynb"
    content = json.loads(notebook.read_text())
    content["metadata"]["densing"]["inputs"]["distributions"]["numpy"] = "0.1"
    notebook.write_text(json.dumps(content))
    told = mini_book.densing("build", "--no-render").stdout
    assert "one: one.json is not the one this page wrote" in told
    assert "two: its record was edited" in told and "numpy was 0.1" in told


def test_claims_are_no_input_and_verdicts_follow_them(mini_book):
    assert mini_book.densing("build").returncode == 0
    page = mini_book.root / "_build" / "html" / "chapters" / "density" / "one.html"
    assert "verdict-reproduced" in page.read_text()
    from densing.book import criterion_hash

    old = {"text": "Larger than one.", "reproduced": "number > 1"}
    new = old | {"reproduced": "number > 100"}
    claims = mini_book.root / "data" / "claims.yml"
    text = claims.read_text()
    first, second = text.split("- id: two/claim")
    first = first.replace("number > 1", "number > 100").replace(criterion_hash(old), criterion_hash(new))
    claims.write_text(first + "- id: two/claim" + second)
    again = mini_book.densing("build")
    assert again.returncode == 0 and "nothing to run" in again.stdout and "rendered in" in again.stdout
    assert "verdict-not-reproduced" in page.read_text()
    other = mini_book.root / "_build" / "html" / "chapters" / "laws" / "two.html"
    assert "verdict-reproduced" in other.read_text()
    third = mini_book.densing("build")
    assert "up to date" in third.stdout


def test_a_failing_chapter_is_reported_last_and_the_others_finish(mini_book):
    mini_book.add("broken", 3, code='values = {}\nvalues["missing"]')
    built = mini_book.densing("build")
    assert built.returncode == 1
    assert "two done" in built.stdout and "one done" in built.stdout and "broken FAILED" in built.stdout
    last = built.stdout.strip().splitlines()[-2:]
    assert "FAILED broken: cell" in last[0] and "KeyError: 'missing'" in last[0]
    assert (mini_book.root / "_build" / "html" / "chapters" / "laws" / "two.html").is_file()
    assert not (mini_book.root / "_build" / "executed" / "broken.ipynb").exists()
    assert (mini_book.root / "_build" / "executed" / "broken.failed.ipynb").is_file()


def test_a_killed_build_keeps_finished_chapters_and_the_next_resumes(mini_book):
    mini_book.add("slow", 3, code="import time\ntime.sleep(600)")
    process = subprocess.Popen(
        mini_book.command("build", "--no-render", "--jobs", "2"), cwd=mini_book.root, env=mini_book.environment(),
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    for line in process.stdout:
        if "[2/3]" in line:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = [p.stem for p in (mini_book.root / "_build" / "executed").glob("*.ipynb")]
    assert sorted(finished) == ["one", "two"]
    chapter = mini_book.root / "chapters" / "laws" / "slow.py"
    chapter.write_text(chapter.read_text().replace("time.sleep(600)", "pass"))
    again = mini_book.densing("build", "--no-render")
    assert again.returncode == 0, again.stdout + again.stderr
    assert not any(f"  {slug}:" in again.stdout for slug in finished)
    assert "  slow: never executed" in again.stdout


def test_a_second_build_waits_and_says_so(mini_book):
    first = subprocess.Popen(
        mini_book.command("build", "--no-render"), cwd=mini_book.root, env=mini_book.environment(), stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not (mini_book.root / "_build" / "executed" / "plan.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    second = mini_book.densing("build", "--no-render")
    assert first.wait() == 0
    assert "another build of this book is running" in second.stdout
    assert "nothing to run" in second.stdout and second.returncode == 0


def test_quick_scale_runs_everything_beside_the_book(mini_book):
    quick = mini_book.densing("build", "--scale", "quick")
    assert quick.returncode == 0, quick.stdout + quick.stderr
    results = json.loads((mini_book.root / "_build" / "quick" / "one.json").read_text())
    assert results["scale"] == "quick" and results["parameters"] == {"scale": "quick"}
    assert not (mini_book.root / "_build" / "executed").exists()


def test_the_injected_cell_is_hidden_and_the_change_is_told(mini_book):
    from densing.book import find_chapter
    from densing.book.freshness import read_page
    from densing.book.staging import stage_notebook

    out = mini_book.root / "out"
    done = mini_book.densing("run", "one", "-p", "seed", "7", "--output", str(out))
    assert done.returncode == 0, done.stderr
    stored = json.loads((out / "one.ipynb").read_text())
    assert any("injected-parameters" in c["metadata"].get("tags", []) for c in stored["cells"])
    page = read_page(find_chapter("one", mini_book.root), out / "one.ipynb", out / "one.json", {"seed": 7})
    staged = json.loads(stage_notebook(page, []))
    assert not any("injected-parameters" in c["metadata"].get("tags", []) for c in staged["cells"])
    assert "Executed with `seed = 7`" in "".join(staged["cells"][0]["source"])
    assert "densing run one -p seed 7" in staged["cells"][-1]["source"]


def test_a_build_leaves_the_tree_as_it_was(mini_book):
    (mini_book.root / ".gitignore").write_text("/_build/\n__pycache__/\n")

    def git(*arguments):
        return subprocess.run(
            ["git", "-C", mini_book.root, *arguments], capture_output=True, text=True, check=True
        ).stdout

    git("init", "-q")
    git("add", "-A")
    git("-c", "user.name=t", "-c", "user.email=t@example.invalid", "commit", "-qm", "t")
    assert mini_book.densing("build").returncode == 0
    assert git("status", "--porcelain") == ""


def test_a_claim_that_nobody_measured_stops_its_chapter(mini_book):
    path = mini_book.root / "chapters" / "laws" / "two.py"
    path.write_text(path.read_text().replace('chapter.measure("two/claim", number=2)\n', ""))
    built = mini_book.densing("run", "two")
    assert built.returncode == 2
    assert "neither measured nor pending: two/claim" in built.stderr
