"""Intervals of estimates from draws, from leave-one-out refits and from curvature."""

import numpy as np
from scipy import stats

from densing.fitters.scaling.problem import Problem

_BLOCK_ROWS = 100_000  # rows whose derivatives are held at once


def percentile(draws: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends (m,) of the percentile interval of `draws` (B, m)."""
    return _quantiles(draws, np.array([(1 - level) / 2, (1 + level) / 2]))


def bca(draws: np.ndarray, estimate: np.ndarray, left_out: np.ndarray, level: float):
    """Bias-corrected and accelerated interval: percentiles moved for the median bias and the skewness.

    Parameters
    ----------
    draws : bootstrap (B, m). estimate : (m,). left_out : leave-one-out refits (units, m).

    References
    ----------
    Efron 1987, section 4.
    """
    count = len(draws)
    below = (draws < estimate).mean(axis=0) + 0.5 * (draws == estimate).mean(axis=0)
    bias = stats.norm.ppf(np.clip(below, 0.5 / count, 1 - 0.5 / count))
    pull = left_out.mean(axis=0) - left_out
    with np.errstate(all="ignore"):
        acceleration = (pull**3).sum(axis=0) / (6 * (pull**2).sum(axis=0) ** 1.5)
    acceleration = np.nan_to_num(acceleration)
    z = stats.norm.ppf([[(1 - level) / 2], [(1 + level) / 2]])
    moved = stats.norm.cdf(bias + (bias + z) / (1 - acceleration * (bias + z)))
    columns = [_quantiles(draws[:, [j]], moved[:, j]) for j in range(draws.shape[1])]
    return np.array([c[0][0] for c in columns]), np.array([c[1][0] for c in columns])


def mahalanobis(draws: np.ndarray, point: np.ndarray) -> tuple[np.ndarray, float]:
    """Mahalanobis distances of `draws` (B, m) and of a `point` (m,) from the mean of the draws.

    The share of draws that are at least as far out as the point says whether it belongs to their distribution.
    """
    centre = draws.mean(axis=0)
    inverse = np.linalg.inv(np.atleast_2d(np.cov(draws, rowvar=False)))
    away = np.vstack([draws, point]) - centre
    distance = np.sqrt(np.einsum("bi,ij,bj->b", away, inverse, away))
    return distance[:-1], float(distance[-1])


def _quantiles(draws, at):
    # Draws may be infinite (an allocation, an inverse), where interpolation would give nan.
    method = "linear" if np.isfinite(draws).all() else "inverted_cdf"
    lower, upper = np.quantile(draws, at, axis=0, method=method)
    return lower, upper


def spread(problem: Problem, z: np.ndarray) -> float:
    """Variance scale of the estimates: E[psi^2] / E[psi']^2 with a correction for the fitted parameters.

    With least squares this is the residual variance. Residuals in the data's units.
    """
    weights = problem.rows.weights
    r = problem.objective.residuals(z[None], problem.y)[0]
    squared, slope = problem.loss.calibration(r, weights)
    n, q = len(r), len(z)
    return float(problem.in_units(squared / slope**2 * n / (n - q) * weights.mean()))


def wald_covariance(problem: Problem, z: np.ndarray) -> np.ndarray:
    """Covariance (p, p) of the natural parameters from the curvature at the optimum; zero for fixed ones."""
    law, c, rows = problem.law, problem.coordinates, problem.rows
    gram = np.zeros((len(z), len(z)))
    for at in range(0, len(rows.y), _BLOCK_ROWS):
        part = slice(at, at + _BLOCK_ROWS)
        slopes = law.jacobian(c.natural(z), rows.x[:, part], problem.on) @ c.mixing
        gram += slopes.T @ (slopes * rows.weights[part, None])
    size = np.sqrt(np.diag(gram))
    size[size == 0] = 1.0
    covariance = np.linalg.pinv(gram / np.outer(size, size), hermitian=True) / np.outer(size, size)
    return spread(problem, z) * c.mixing @ covariance @ c.mixing.T
