"""The optimum of a loss that is U-shaped on a logarithmic axis, and how it moves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from densing.checks import check_range
from densing.errors import InputError
from densing.fitters.bootstrap import Estimate


@dataclass(frozen=True)
class QuadraticOptimum:
    """A quadratic y = c0 + c1·ln x + c2·ln²x and its vertex.

    Attributes
    ----------
    coefficients : c0, c1, c2.
    curvature : c2 with its interval.
    optimum : x at the vertex with its interval; nan ends where more than a twentieth of the draws are not
        convex.
    bracketed : convex, and the vertex between the smallest and the largest x.
    log_draws : ln of the vertex in every bootstrap draw, nan where the draw is not convex.
    """

    coefficients: tuple[float, float, float]
    curvature: Estimate
    optimum: Estimate
    bracketed: bool
    log_draws: np.ndarray

    def predict(self, x: ArrayLike) -> np.ndarray:
        """The quadratic at `x`."""
        return np.polyval(self.coefficients[::-1], np.log(np.asarray(x, float)))


def quadratic_optimum(
    x: ArrayLike, y: ArrayLike, *, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> QuadraticOptimum:
    """Least-squares quadratic of `y` in ln `x`, with a bootstrap that draws the runs within each value of
    `x`.

    Rows of one x are the seeds of one cell. A drawn cell's deviations from its mean are widened by sqrt(n/(n
    - 1)), without which the bootstrap of n = 3 seeds would understate their variance by a third.

    Parameters
    ----------
    x : (n,) > 0, at least three distinct values. y : (n,).
    draws, level, seed : of the bootstrap.

    Raises
    ------
    InputError : shapes, signs or numbers that do not allow a quadratic.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.ndim != 1 or x.shape != y.shape:
        raise InputError(f"x, y: must be two lists of one length, have shapes {x.shape}, {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all() and (x > 0).all()):
        raise InputError("x, y: must be finite, and x above 0")
    values, cell = np.unique(x, return_inverse=True)
    if len(values) < 3:
        raise InputError(f"x: {len(values)} distinct values, a quadratic needs at least 3")
    check_range("draws", draws, 1, integer=True)
    check_range("level", level, 0, 1, open_low=True, open_high=True)
    drawn = _draw_cells(y, cell, int(draws), np.random.default_rng(seed))
    design = np.vander(np.log(x), 3, increasing=True)
    solve = np.linalg.pinv(design)
    coefficients = solve @ y
    resampled = drawn @ solve.T
    with np.errstate(all="ignore"):
        log_draws = np.where(resampled[:, 2] > 0, -resampled[:, 1] / (2 * resampled[:, 2]), np.nan)
    vertex = -coefficients[1] / (2 * coefficients[2]) if coefficients[2] > 0 else np.nan
    ends = Estimate.from_draws(vertex, log_draws, level)
    with np.errstate(over="ignore"):
        optimum = Estimate(*np.exp([ends.value, ends.lower, ends.upper]), level)
    return QuadraticOptimum(
        coefficients=tuple(map(float, coefficients)),
        curvature=Estimate.from_draws(coefficients[2], resampled[:, 2], level),
        optimum=optimum,
        bracketed=bool(np.log(values[0]) < vertex < np.log(values[-1])),
        log_draws=log_draws,
    )


def optimum_slope(
    optima: Sequence[QuadraticOptimum], x: ArrayLike, *, scale: ArrayLike = 1.0, level: float = 0.95
) -> Estimate:
    """Slope of ln(scale·optimum) on ln x over several optima, least squares, with the interval of their
    draws.

    Parameters
    ----------
    optima : at least two, with equally many draws.
    x : (k,) what the optimum moves with, > 0. scale : (k,) factors of the optima, widths for instance.
    """
    x, factor = np.log(np.asarray(x, float)), np.log(np.broadcast_to(np.asarray(scale, float), len(optima)))
    if x.shape != (len(optima),) or len(optima) < 2 or not np.isfinite(x).all():
        raise InputError(f"x: must be {len(optima)} numbers above 0 for as many optima, at least two")
    centred = x - x.mean()
    weights = centred / (centred @ centred)
    value = weights @ (np.log([optimum.optimum.value for optimum in optima]) + factor)
    draws = np.stack([optimum.log_draws for optimum in optima], axis=1) + factor
    return Estimate.from_draws(value, draws @ weights, level)


def _draw_cells(y: np.ndarray, cell: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """`y` redrawn within its cells, (draws, n)."""
    drawn = np.empty((draws, len(y)))
    for c in range(cell.max() + 1):
        rows = np.flatnonzero(cell == c)
        n = len(rows)
        own = y[rows]
        widen = np.sqrt(n / (n - 1)) if n > 1 else 0.0
        chosen = own[rng.integers(0, n, (draws, n))]
        drawn[:, rows] = own.mean() + widen * (chosen - own.mean())
    return drawn
