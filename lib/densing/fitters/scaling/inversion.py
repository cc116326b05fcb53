"""Solving a law for one of its inputs."""

import numpy as np

from densing.laws.base import Law

_REACH = 40.0  # how far, in powers of e, the search goes beyond the data on either side
_HALVINGS = 60  # of an interval of 80: what is left is below double precision
_BATCH = 32  # parameter vectors evaluated together, each at its own point


def solve_input(
    law: Law, theta: np.ndarray, target: float, x: np.ndarray, unknown: int, typical: float
) -> np.ndarray:
    """Value of input `unknown` at which the law equals `target`, for each row of `theta` (B, p), by bisection.

    Parameters
    ----------
    x : the other inputs (k,); the entry of the unknown one is ignored.
    typical : size of the unknown input in the data; the search spans 17 decades either way.

    Returns
    -------
    (B,): inf where even the largest input does not bring the law to the target, 0 where the smallest passes it.
    """
    parts = np.array_split(theta, -(-len(theta) // _BATCH))
    return np.concatenate([_solve(law, part, target, x, unknown, typical) for part in parts])


def _solve(law, theta, target, x, unknown, typical):
    def at(log_input):
        points = np.repeat(np.asarray(x, dtype=float)[:, None], len(theta), axis=1)
        points[unknown] = typical * np.exp(log_input)
        with np.errstate(all="ignore"):
            return np.diagonal(law.value(theta, points))

    low, high = np.full(len(theta), -_REACH), np.full(len(theta), _REACH)
    first, last = at(low), at(high)
    sign = np.where(last <= first, 1.0, -1.0)  # of a falling law
    missed, passed = sign * last >= sign * target, sign * first <= sign * target
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        before = sign * at(middle) > sign * target
        low, high = np.where(before, middle, low), np.where(before, high, middle)
    return np.where(missed, np.inf, np.where(passed, 0.0, typical * np.exp(0.5 * (low + high))))
