"""The second step: a logistic curve from the loss of the answers to the score, and its scatter."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from densing.fitters.scaling.coordinates import coordinates_for
from densing.fitters.scaling.frames import read_rows
from densing.fitters.scaling.losses import automatic_delta
from densing.fitters.scaling.problem import Problem
from densing.laws.capability.saturation import sigmoid
from densing.laws.capability.sigmoid import loss_to_score

LEVELS = ("c", "gamma", "l0", "d")
_STARTS = 64
_SPAN, _LEAST_CELLS = (0.1, 0.9), 8
_LEAST_DELTA = 1e-6
# Webb's six points: mean 0 and variance 1 as for a change of sign, but more patterns where clusters are few.
_WEBB = np.sqrt([1.5, 1.0, 0.5])


@dataclass(frozen=True, eq=False)
class ScoreCurve:
    """S(x) = c / (1 + exp(-gamma (x - l0))) + d with gamma < 0, fitted to runs.

    Attributes
    ----------
    levels : c, gamma, l0 and d by name. free_levels : whether c and d were fitted.
    dispersion : seed variance of a score S over S (1 - S); of the residuals where there is one seed.
    """

    levels: dict[str, float]
    free_levels: bool
    dispersion: float
    _problem: Problem
    _z: NDArray
    _cluster: NDArray

    def noise(self, score: float) -> float:
        """Variance of the score of one run about the mean of its size and budget."""
        return self.dispersion * max(score * (1 - score), 0.0)

    def refits(self, rng: np.random.Generator, draws: int) -> NDArray:
        """Parameters (B, 4) of refits to the curve plus residuals of randomly changed sign and size, by cluster.

        References
        ----------
        Cameron, Gelbach and Miller (2008) for the wild cluster bootstrap; Webb (2023) for the six points.
        """
        problem, n = self._problem, len(self._cluster)
        fitted = problem.y + problem.objective.residuals(self._z[None], problem.y)[0]
        residual = (problem.y - fitted) * np.sqrt(n / max(n - len(self._z), 1))
        clusters = self._cluster.max() + 1
        factor = rng.choice(np.concatenate([_WEBB, -_WEBB]), (draws, clusters))
        weights = np.tile(problem.rows.weights, (draws, 1))
        with threadpool_limits(limits=1):
            found = problem.refit(self._z[None], weights, fitted + residual * factor[:, self._cluster])
        return _in_order(problem, found.z)


def fit_scores(x: NDArray, score: NDArray, chance: float, cell: NDArray, size: NDArray) -> ScoreCurve:
    """Fit the logistic curve with a Huber loss whose delta is 1.345 robust standard deviations, from 64 starts.

    Parameters
    ----------
    x : loss of each run (n,), or another predictor that the score falls with. score : (n,).
    chance : the floor, where it is not fitted.
    cell : index of each run's size and budget (n,). size : label of each run's size (n,), the cluster of its residuals.
    """
    means = np.bincount(cell, score) / np.bincount(cell)
    rescaled = (means - chance) / (1 - chance)
    free = len(means) >= _LEAST_CELLS and rescaled.min() < _SPAN[0] and rescaled.max() > _SPAN[1]
    data = read_rows(sigmoid, pd.DataFrame({"x": -x, "y": score}), {"x": "x", "y": "y"})
    fixed = {} if free else {"lo": chance, "hi": 1.0}
    with threadpool_limits(limits=1):
        coordinates = coordinates_for(sigmoid, data.x, data.y, fixed=fixed)
        make = lambda delta: Problem(sigmoid, data, coordinates, delta, "identity", 0, {"fixed": fixed})  # noqa: E731
        first = make(np.inf)
        z = first.solve(_STARTS).z
        residual = first.objective.residuals(z[None], first.y)[0] * np.sqrt(first.in_units(1.0))
        problem = make(max(automatic_delta(residual), _LEAST_DELTA))
        z = problem.solve(_STARTS).z
    levels = dict(zip(LEVELS, _in_order(problem, z[None])[0].tolist(), strict=True))
    cluster = np.unique(size, return_inverse=True)[1]
    fitted = loss_to_score(x, **levels)
    return ScoreCurve(levels, free, _dispersion(score, fitted, cell, means, len(z)), problem, z, cluster)


def _in_order(problem: Problem, z: NDArray) -> NDArray:
    """Parameters c, gamma, l0, d (B, 4): the fitter's curve rises with minus x."""
    low, high, k, x0 = problem.coordinates.natural(z).T
    return np.stack([high - low, -k, -x0, low], axis=1)


def _dispersion(score: NDArray, fitted: NDArray, cell: NDArray, means: NDArray, parameters: int) -> float:
    """Seed variance within cells, pooled, over S (1 - S): binomial noise of items and noise of runs together."""
    counts = np.bincount(cell)
    squares = float(((score - means[cell]) ** 2).sum())
    expected = float(((counts - 1) * means * (1 - means)).sum())
    if counts.max() == 1:  # one seed: the scatter about the curve stands for its noise
        squares = float(((score - fitted) ** 2).sum())
        expected = float((score * (1 - score)).sum()) * (1 - parameters / len(score))
    return squares / expected if expected > 0 else 0.0
