"""The command line: what it prints, how soon, and how it refuses."""

import json
import subprocess
import sys
import time

import pytest

from densing.book import load_claims
from densing.book.cli.run import join_pairs
from densing.data import repository_root
from densing.errors import InputError


def densing(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "densing.book.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=repository_root(),
    )


@pytest.mark.parametrize(
    "arguments", [("--help",), ("list",), ("ledger",), ("list", "--json"), ("ledger", "--json")]
)
def test_lists_answer_soon_and_do_without_torch(arguments):
    code = (
        "import sys, time\n"
        f"sys.argv = ['densing', *{arguments!r}]\n"
        "from densing.book.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules\n"
        "print(time.process_time(), file=sys.stderr)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True) for _ in range(3)]
    assert all(run.returncode == 0 for run in runs), runs[0].stderr
    # processor time, so that a busy machine does not decide
    assert min(float(run.stderr.strip().splitlines()[-1]) for run in runs) < 1.0


def test_list_as_json():
    chapters = json.loads(densing("list", "--json").stdout)
    assert chapters and set(chapters[0]) == {"slug", "part", "title", "systems", "claims"}
    one = next(c for c in chapters if c["slug"] == "densing_law")
    assert one["part"] == "density" and one["systems"] == [1] and "densing-law/doubling-time" in one["claims"]


def test_ledger_as_json():
    rows = json.loads(densing("ledger", "--json").stdout)
    assert [row["id"] for row in rows] == [claim.id for claim in load_claims()]
    for row in rows:
        assert set(row) == {"id", "system", "published", "measured", "verdict", "chapter"}
        assert set(row["published"]) == {"value", "unit"}
        assert row["measured"] is None or set(row["measured"]) == {"value", "lower", "upper", "level"}
        words = {"reproduced", "partly", "not reproduced", "not at this scale", "pending", "not yet measured"}
        assert row["verdict"] in words


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("run", "no_such"), "SLUG = 'no_such'"),
        (("run", "densing_law", "--scale", "huge"), "--scale = 'huge'"),
        (("run", "densing_law", "-p", "no_such", "1"), "no such parameter; it has scale"),
        (("run", "densing_law", "-p", "draws"), "-p: must be followed by NAME and VALUE"),
        (("build", "--jobs", "0"), "--jobs = 0"),
        (("build", "no_such"), "SLUG = 'no_such'"),
        (("new", "Bad-Name"), "SLUG = 'Bad-Name'"),
        (("new", "densing_law"), "a chapter of this name exists"),
        (("new", "fine", "--part", "nowhere"), "--part = 'nowhere'"),
    ],
)
def test_bad_use_is_one_line_and_status_two(arguments, word):
    started = time.monotonic()
    done = densing(*arguments)
    assert done.returncode == 2
    assert word in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr and time.monotonic() - started < 30


def test_pairs_are_joined():
    assert join_pairs(["run", "x", "-p", "a", "-3", "-p", "b=2"]) == ["run", "x", "-p", "a=-3", "-p", "b=2"]
    with pytest.raises(InputError, match="NAME and VALUE"):
        join_pairs(["run", "x", "-p"])


@pytest.mark.slow
def test_new_writes_a_chapter_that_runs_once_it_is_registered(mini_book):
    done = mini_book.densing("new", "fresh_idea", "--part", "recipes")
    assert done.returncode == 0, done.stderr
    assert (mini_book.root / "chapters" / "recipes" / "fresh_idea.py").is_file()
    assert mini_book.densing("run", "fresh_idea", "--scale", "quick").returncode == 0


@pytest.mark.slow
def test_numbers_of_the_command_line():
    from types import SimpleNamespace

    from densing.book.cli.run import _value

    chapter = SimpleNamespace(parameters={"tokens": 1.0, "draws": 0, "flag": False, "name": ""})
    read = {name: _value(chapter, name, "3e3") for name in chapter.parameters}
    assert read == {"tokens": 3000.0, "draws": 3000, "flag": "3e3", "name": "3e3"}
    assert type(read["draws"]) is int and _value(chapter, "draws", "[1, 2]") == [1, 2]


def test_a_value_that_the_chapter_refuses_is_one_line(mini_book):
    done = mini_book.densing("run", "one", "-p", "seed", "-1")
    assert done.returncode == 2
    assert done.stderr.strip() == "densing: seed = -1: must be a whole number in [0, 4.29497e+09]"
