"""What else could explain or predict a rate: two circuits, and curves that know nothing of the law."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize
from scipy.special import expit

from densing.checks import check_range
from densing.errors import InputError
from densing.fitters.task_scaling.line import powers
from densing.laws.capability.task_scaling import two_circuits

#: Names of the rules that `rival_rates` knows.
RIVALS = ("carried forward", "straight line", "logistic curve", "power law of the error")


def rival_rates(size: ArrayLike, rate: ArrayLike, N: ArrayLike) -> dict[str, NDArray]:
    """Rates at other sizes by simple rules.

    Parameters
    ----------
    size, rate : (n,) parameters and mean rate of each model; at least two sizes.
    N : (m,) where to predict.

    Returns
    -------
    by name in `RIVALS`, (m,) rates: the mean of the largest size; a least-squares line of the rate on ln N, kept in
    [0, 1]; a logistic curve in ln N (binomial likelihood of the rates); and 1 - rate as a power of N.

    Raises
    ------
    InputError : fewer than two sizes, or a rate outside [0, 1].
    """
    size, rate, N = (np.asarray(v, float).ravel() for v in (size, rate, N))
    if size.shape != rate.shape or len(np.unique(size)) < 2 or not (size > 0).all():
        raise InputError(
            "size, rate: must be two lists of one length with at least two different positive sizes"
        )
    if not ((rate >= 0) & (rate <= 1)).all():
        raise InputError(f"rate = {rate.tolist()!r}: must be in [0, 1]")
    design = powers(size, 1)
    ahead = np.stack([np.ones(len(N)), np.log(N) - np.log(size).mean()], 1)
    line = np.linalg.lstsq(design, rate, rcond=None)[0]
    error = np.linalg.lstsq(design, np.log(np.maximum(1 - rate, 1e-12)), rcond=None)[0]
    found = (
        np.full(len(N), rate[size == size.max()].mean()),
        np.clip(ahead @ line, 0, 1),
        expit(ahead @ _logistic(design, rate)),
        np.clip(1 - np.exp(ahead @ error), 0, 1),
    )
    return dict(zip(RIVALS, found, strict=True))


def _logistic(design: NDArray, rate: NDArray) -> NDArray:
    mean = np.clip(rate.mean(), 1e-12, 1 - 1e-12)

    def lost(theta: NDArray) -> tuple[float, NDArray]:
        eta = design @ theta
        value = np.logaddexp(0, eta) - rate * eta
        # in units of the mean rate: tiny rates would look converged at once
        return value.sum() / mean, design.T @ (expit(eta) - rate) / mean

    start = np.array([np.log(mean / (1 - mean)), 0.5])
    return optimize.minimize(lost, start, jac=True, method="BFGS").x


@dataclass(frozen=True)
class CircuitFit:
    """Two circuits against one, on F = ln(-ln rate).

    Attributes
    ----------
    c1, a1, c2, a2 : constants of the circuits, the slower first.
    aicc : corrected Akaike criterion with two circuits; aicc_one : with one. Lower is better. inf where the models are
        too few for the constants.
    """

    c1: float
    a1: float
    c2: float
    a2: float
    aicc: float
    aicc_one: float

    @property
    def preferred(self) -> bool:
        """Whether the criterion prefers two circuits. Four constants fit seven sizes whatever the cause of a bend."""
        return self.aicc < self.aicc_one


def fit_two_circuits(size: ArrayLike, F: ArrayLike, *, starts: int = 40, seed: int = 0) -> CircuitFit:
    """Fit the law of two circuits, of which one success suffices, by least squares on F.

    Parameters
    ----------
    size, F : (n,) parameters and ln(-ln rate) of each model.
    starts : random starting values, >= 1. seed : of these.

    Raises
    ------
    InputError : fewer than four sizes, or values that are not finite.
    """
    check_range("starts", starts, 1, integer=True)
    size, F = np.asarray(size, float), np.asarray(F, float)
    if size.shape != F.shape or not np.isfinite(F).all() or len(np.unique(size)) < 4:
        raise InputError("size, F: must be finite and of one length, with at least four different sizes")
    design, center = powers(size, 1), np.log(size).mean()
    one = np.linalg.lstsq(design, F, rcond=None)[0]
    reference = float(np.exp(center))  # constants at the centre of the sizes are well conditioned

    def residuals(theta: NDArray) -> NDArray:
        level1, a1, level2, a2 = theta
        p = two_circuits(size / reference, np.exp(level1), a1, np.exp(level2), a2)
        return np.log(np.maximum(-np.log(np.clip(p, 1e-300, 1 - 1e-16)), 1e-16)) - F

    rng = np.random.default_rng(seed)
    best = None
    for _ in range(starts):
        start = [
            one[0] + rng.exponential(1),
            -one[1] * rng.uniform(0, 1.2),
            one[0] + rng.exponential(2),
            -one[1] * rng.uniform(0.8, 4),
        ]
        try:
            found = optimize.least_squares(residuals, start, bounds=([-30, -5, -30, -5], [6, 20, 6, 20]))
        except ValueError:  # a start outside the bounds
            continue
        if best is None or found.cost < best.cost:
            best = found
    if best is None:
        raise InputError("F: its level or slope is outside what a pass rate of a model family can have")
    slow, fast = sorted([tuple(best.x[:2]), tuple(best.x[2:])], key=lambda pair: pair[1])
    constants = [
        value for level, a in (slow, fast) for value in (float(np.exp(level + a * center)), float(a))
    ]
    squares = [float(np.sum((design @ one - F) ** 2)), 2 * float(best.cost)]
    return CircuitFit(*constants, _aicc(squares[1], len(F), 5), _aicc(squares[0], len(F), 3))


def _aicc(square: float, n: int, k: int) -> float:
    """Of n residuals with their sum of squares, k constants with the variance."""
    if n - k - 1 <= 0:
        return float("inf")
    return n * np.log(max(square, 1e-300) / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1)
