"""Rates measured in turn, and workers that run together."""

import importlib
import time

import numpy as np
import pytest

from densing.errors import InputError
from densing.systems import Rates, RateWorkers, compare, speed_ratio


def _sleeper(pause):
    def rate(seconds):
        begin, steps = time.perf_counter(), 0
        while time.perf_counter() - begin < seconds:
            time.sleep(pause)
            steps += 1
        return steps / (time.perf_counter() - begin)

    return rate


def test_ratio_of_two_sleepers():
    rates = compare({"quick": _sleeper(0.002), "slow": _sleeper(0.008)}, rounds=5, seconds=0.06)
    ratio = speed_ratio(rates, "quick", "slow")
    assert 2 < ratio.value < 4.5
    assert ratio.lower <= ratio.value <= ratio.upper
    assert rates.best(["slow", "quick"]) == "quick"


def test_ratio_is_of_medians_and_a_common_slowdown_cancels():
    slow = np.array([1.0, 0.5, 0.25, 1.0, 0.5])
    ratio = speed_ratio(Rates({"a": 3 * slow, "b": slow}), "a", "b")
    assert (ratio.value, ratio.lower, ratio.upper) == pytest.approx((3, 3, 3))


# The worker processes import what they run, so it has to be in a file that they find.
STEPS = """
import time

def make_steps(argument):
    def step():
        time.sleep(0.01)
        return argument

    def fail():
        raise ValueError("broken step")

    return {"step": step, "fail": fail}
"""


def test_workers_add_up(tmp_path, monkeypatch):
    (tmp_path / "rate_steps.py").write_text(STEPS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    make_steps = importlib.import_module("rate_steps").make_steps
    with RateWorkers(make_steps, 5.0, processes=2) as workers:
        assert workers.names == ["step", "fail"]
        one = workers.rate("step", 0.3)
        two = workers.rate("step", 0.3, processes=2)
        assert 250 < one <= 500
        assert 1.6 < two / one < 2.4
        with pytest.raises(ValueError, match="broken step"):
            workers.rate("fail", 0.1)


def test_bad_input():
    with pytest.raises(InputError, match="contenders"):
        compare({})
    with pytest.raises(InputError, match="rounds"):
        compare({"a": _sleeper(0.001)}, rounds=1)
