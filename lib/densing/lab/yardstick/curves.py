"""The two curves of the yardstick: loss against size at one budget, and the law of size and tokens."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from densing.errors import InputError
from densing.fitters.scaling.coordinates import coordinates_for
from densing.fitters.scaling.frames import read_rows
from densing.fitters.scaling.problem import Problem
from densing.lab.yardstick.rows import ReferenceRows
from densing.laws.loss.chinchilla import chinchilla
from densing.laws.loss.power import hestness_power

NAMES = ("E", "A", "B", "alpha", "beta")
_LEAST_SIZES = 4  # a curve of three parameters and one size to disagree with it
LEAST_BUDGETS = 3
_NO_FLOOR = 1e-12  # stands for a floor of zero
_STARTS = 64


@dataclass(frozen=True, eq=False)
class FittedCurve:
    """A curve through the cells (size, budget) of a family, fitted by least squares of log losses.

    Seeds are averaged first, which changes nothing in least squares but its cost; a cell counts as many times as it
    has runs. Parameters stand in the order E, A, B, alpha, beta of L = E + A / N^alpha + B / D^beta; the curve of
    one budget has B = 0 and its D term inside E.

    Attributes
    ----------
    rows : the runs; cell : index of each run's cell (n,); n_parameters, tokens, runs : of the cells (m,).
    theta : fitted parameters (5,).
    """

    rows: ReferenceRows
    cell: NDArray
    n_parameters: NDArray
    tokens: NDArray
    runs: NDArray
    theta: NDArray
    _problem: Problem
    _starts: NDArray

    @property
    def params(self) -> pd.Series:
        """Fitted parameters, by name."""
        return pd.Series(self.theta, index=list(NAMES))

    @property
    def one_budget(self) -> bool:
        """Whether this is the curve of one budget."""
        return self._problem.law is hestness_power

    def cell_means(self, values: NDArray) -> NDArray:
        """Means (..., m) over the runs of each cell, of values (..., n)."""
        return np.asarray(values) @ self._averaging

    @cached_property
    def _averaging(self) -> NDArray:
        member = self.cell[:, None] == np.arange(len(self.runs))
        return member / self.runs

    @cached_property
    def log_fitted(self) -> NDArray:
        """Logarithm of the fitted loss of each run (n,)."""
        return np.log(loss_at(self.theta, self.n_parameters, self.tokens))[self.cell]

    @cached_property
    def cell_residuals(self) -> NDArray:
        """Mean log residual of each cell (m,)."""
        return self.cell_means(self.rows.log_loss - self.log_fitted)

    @cached_property
    def tangent(self) -> NDArray:
        """Orthonormal basis (m, q) of the directions that a change of parameters moves the weighted cells in."""
        law = self._problem.law
        x = self._problem.rows.x
        slopes = law.jacobian(self._problem.coordinates.natural(self._starts[0]), x, on="log")
        coordinates = self._problem.coordinates
        free = (coordinates.mixing != 0).any(axis=1) & ~coordinates.at_bound(self._starts[0])
        return orthonormal(slopes[:, free] * np.sqrt(self.runs)[:, None])

    def refit(self, log_loss: NDArray) -> NDArray:
        """Parameters (B, 5) of the curve refitted to other log losses of the same runs (B, n)."""
        means = self.cell_means(log_loss) - np.log(self._problem.coordinates.response)
        weights = np.tile(self.runs.astype(float), (len(means), 1))
        with threadpool_limits(limits=1):
            found = self._problem.refit(self._starts, weights, means)
        return _in_order(self._problem, found.z)


def fit_curve(rows: ReferenceRows, *, one_budget: bool, constant: bool = True) -> FittedCurve:
    """Fit E' + A / N^alpha to the rows of one budget, or L = E + A / N^alpha + B / D^beta to all.

    Parameters
    ----------
    rows : runs; of a single budget with `one_budget`.
    constant : whether the law has a floor E; without it E is 0.

    Raises
    ------
    InputError : fewer than four sizes, or, for the law, fewer than three budgets.
    """
    sizes, budgets = np.unique(rows.n_parameters), np.unique(rows.tokens)
    if len(sizes) < _LEAST_SIZES:
        at = f" at {budgets[0]:g} tokens" if one_budget and len(budgets) else ""
        raise InputError(
            f"reference: has {len(sizes)} sizes{at}; a curve of three parameters needs at least {_LEAST_SIZES}"
        )
    if not one_budget and len(budgets) < LEAST_BUDGETS:
        raise InputError(
            f"reference: has {len(budgets)} budgets; the law of size and tokens needs at least {LEAST_BUDGETS}"
        )
    cells, cell, runs = np.unique(
        np.stack([rows.n_parameters, rows.tokens]), axis=1, return_inverse=True, return_counts=True
    )
    cell = cell.ravel()
    table = pd.DataFrame(
        {
            "n": cells[0],
            "d": cells[1],
            "loss": np.exp(np.bincount(cell, rows.log_loss) / runs),
            "runs": runs.astype(float),
        }
    )
    law = hestness_power if one_budget else chinchilla
    columns = {"m": "n", "y": "loss"} if one_budget else {"N": "n", "D": "d", "y": "loss"}
    fixed = {} if constant else {"gamma" if one_budget else "E": _NO_FLOOR}
    data = read_rows(law, table, columns, weights="runs")
    with threadpool_limits(limits=1):
        coordinates = coordinates_for(law, data.x, data.y, fixed=fixed)
        problem = Problem(law, data, coordinates, np.inf, "log", constraints={"fixed": fixed})
        optimum = problem.solve(_STARTS)
    starts = np.concatenate([optimum.z[None], optimum.others])
    theta = _in_order(problem, optimum.z[None])[0]
    return FittedCurve(rows, cell, cells[0], cells[1], runs, theta, problem, starts)


def _in_order(problem: Problem, z: NDArray) -> NDArray:
    theta = problem.coordinates.natural(z)
    if problem.law is chinchilla:
        return theta
    a, slope, floor = theta.T
    return np.stack([floor, a, np.zeros(len(a)), -slope, np.ones(len(a))], axis=1)


def orthonormal(columns: NDArray, tolerance: float = 1e-7) -> NDArray:
    """Orthonormal basis of the space that `columns` (n, k) span."""
    if not columns.size:
        return np.zeros((len(columns), 0))
    scale = np.linalg.norm(columns, axis=0)
    left, strength, _ = np.linalg.svd(columns / np.where(scale > 0, scale, 1.0), full_matrices=False)
    return left[:, strength > tolerance * max(strength.max(), 1e-300)]


def loss_at(theta: NDArray, n_parameters: ArrayLike, tokens: ArrayLike) -> NDArray:
    """The law E + A / N^alpha + B / D^beta for parameters (..., 5); sizes and tokens broadcast against them."""
    shape = (..., *([None] * np.ndim(n_parameters)))
    floor, a, b, alpha, beta = (np.asarray(part)[shape] for part in np.moveaxis(np.asarray(theta), -1, 0))
    return floor + a * np.power(n_parameters, -alpha) + b * np.power(tokens, -beta)


def effective_parameters(theta: NDArray, loss: ArrayLike, tokens: float) -> NDArray:
    """Size at which the curve with parameters (..., 5) reaches a loss after `tokens` tokens.

    N = [A / (L - E - B D^-beta)]^(1/alpha); inf at and below the floor, nan where the curve does not fall with size.
    """
    floor, a, b, alpha, beta = np.moveaxis(np.asarray(theta, float), -1, 0)
    with np.errstate(all="ignore"):
        reducible = np.asarray(loss, float) - floor - b * np.power(tokens, -beta)
        size = np.power(a / reducible, 1 / alpha)
    size = np.where(reducible > 0, size, np.inf)
    return np.where((alpha > 0) & (a > 0), size, np.nan)


def optimal_parameters(theta: NDArray, flops: float) -> NDArray:
    """Size (...) of least loss at C = 6 N D on laws with parameters (..., 5)."""
    return chinchilla.allocate(np.asarray(theta, float), np.array([flops]))["N"][..., 0]


def optimal_for_loss(theta: NDArray, loss: ArrayLike) -> NDArray:
    """Size of the compute-optimal model of a loss: along the optimum alpha A / N^alpha = beta B / D^beta."""
    floor, a, _, alpha, beta = np.moveaxis(np.asarray(theta, float), -1, 0)
    with np.errstate(all="ignore"):
        reducible = np.asarray(loss, float) - floor
        size = np.power(a * (1 + alpha / beta) / reducible, 1 / alpha)
    size = np.where(reducible > 0, size, np.inf)
    return np.where((alpha > 0) & (beta > 0), size, np.nan)


def slope_at(theta: NDArray, n_parameters: float) -> NDArray:
    """Fall of the loss per e-fold of size, -dL / d ln N = alpha A / N^alpha, for parameters (..., 5)."""
    _, a, _, alpha, _ = np.moveaxis(np.asarray(theta, float), -1, 0)
    return alpha * a * np.power(float(n_parameters), -alpha)
