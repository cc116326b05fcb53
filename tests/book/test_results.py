"""Results files: what they hold, and that they appear whole."""

import json
from dataclasses import dataclass

import pytest

from densing.book import load_results
from densing.book.results import measured_number, write_atomically
from densing.errors import InputError

GOOD = {"chapter": "a", "scale": "book", "parameters": {}, "measurements": {"a/b": {"x": {"value": 1.5}}}}


@dataclass
class Interval:
    value: float
    lower: float
    upper: float
    level: float = 0.95


@pytest.mark.parametrize(
    "place",
    [("verdict",), ("measurements", "a/b", "x", "verdict"), ("measurements", "a/b", "verdict")],
)
def test_no_place_for_a_verdict(tmp_path, place):
    results = json.loads(json.dumps(GOOD))
    target = results
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = "reproduced"
    path = tmp_path / "a.json"
    path.write_text(json.dumps(results))
    with pytest.raises(InputError, match=r"a\.json"):
        load_results(path)


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("{")
    with pytest.raises(InputError, match=r"a\.json: is not JSON"):
        load_results(path)


def test_numbers_as_they_are_stored():
    assert measured_number("x", 1 / 3) == {"value": 0.3333333333}
    assert measured_number("x", True) == {"value": True}
    assert measured_number("x", float("nan")) == {"value": None}
    assert measured_number("x", Interval(1, 0.5, 2)) == {"value": 1, "lower": 0.5, "upper": 2, "level": 0.95}


@pytest.mark.parametrize("wrong", ["reproduced", None, [1], Interval(1, 2, 0.5)])
def test_what_is_no_number_is_refused(wrong):
    with pytest.raises(InputError, match="x"):
        measured_number("x", wrong)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \ud800")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
