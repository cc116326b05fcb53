"""Naive rules that a fitted law must beat before its extrapolation means anything."""

import numpy as np

_STEPS = 3  # sizes that the last rule looks at
_PER_DECADE = 2  # sizes a decade where the predictor is continuous


def carry_forward(by: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The response of the largest run, whatever the size."""
    return np.full(len(new), y[np.argmax(by)])


def straight_line(by: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """A straight line through all runs, in log-log."""
    return _power(by, y, new)


def last_three_sizes(by: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """A power law through the best run of each of the last three sizes.

    Sizes are distinct values of the predictor where there are at most twelve, else half-decades of it.
    """
    sizes = by if len(np.unique(by)) <= 12 else np.floor(_PER_DECADE * np.log10(by))
    last = np.unique(sizes)[-_STEPS:]
    best = [np.flatnonzero(sizes == size)[np.argmin(y[sizes == size])] for size in last]
    return _power(by[best], y[best], new)


NAIVE_RULES = {
    "largest run carried forward": carry_forward,
    "straight line in log-log": straight_line,
    "power law through the last three sizes": last_three_sizes,
}


def _power(by, y, new):
    if len(np.unique(by)) < 2:
        return np.full(len(new), y.mean())
    # A response that may be negative has no logarithm: a line in the logarithm of the predictor then.
    positive = (y > 0).all()
    slope, level = np.polyfit(np.log(by), np.log(y) if positive else y, 1)
    line = level + slope * np.log(new)
    return np.exp(line) if positive else line
