"""Where to begin: a grid of exponents, with the scales that fit best at each."""

from itertools import combinations

import numpy as np
from scipy.stats import qmc

from densing.laws.base import Law

_GRID = 12  # values of an exponent where the law has one or two
_SAMPLE = 256  # points of a Sobol sequence where it has more
_LEAST = 0.05  # share of the largest linear parameter that a start gives each: from zero the way is long
_MANY_ROWS = 2_000  # starts are judged on at most so many rows


def candidate_parameters(
    law: Law, x: np.ndarray, y: np.ndarray, weights, *, relative: bool, fixed, seed: int
):
    """Starting parameters (m, p) in scaled units, by variable projection.

    The parameters that y is not linear in are laid out on a grid (or a Sobol sequence, when there are more than two)
    over their start boxes; the linear ones follow by non-negative weighted least squares, with weights 1/y^2 when
    `relative`, which are log residuals to first order.

    Parameters
    ----------
    x, y : inputs (k, n) and response (n,) in scaled units.
    fixed : index of a parameter to its value in scaled units, for those that have one.
    """
    rng = np.random.default_rng([seed, 1])
    if len(y) > _MANY_ROWS:
        keep = np.sort(rng.choice(len(y), _MANY_ROWS, replace=False))
        x, y, weights = x[:, keep], y[keep], weights[keep]
    linear = np.array([n in law.linear for n in law.names])
    bent = [j for j in range(len(linear)) if not linear[j]]
    theta = np.ones((1, len(linear)))
    if bent:
        points = _unit_points(len(bent), seed)
        theta = np.ones((len(points), len(linear)))
        for column, j in zip(points.T, bent, strict=True):
            low, high = law.parameters[j].start
            if law.parameters[j].positive:
                theta[:, j] = low * (high / low) ** column
            else:
                theta[:, j] = low + (high - low) * column
    for j, value in fixed.items():
        theta[:, j] = value
    theta = np.unique(theta, axis=0)
    if linear.any():
        theta[:, linear] = _linear_part(law, theta, x, y, weights, linear, relative)
    return theta


def _unit_points(dimension: int, seed: int) -> np.ndarray:
    if dimension <= 2:
        axis = np.linspace(0, 1, _GRID)
        return np.stack([g.ravel() for g in np.meshgrid(*[axis] * dimension, indexing="ij")], axis=1)
    return qmc.Sobol(dimension, seed=np.random.default_rng([seed, 2])).random(_SAMPLE)


def _linear_part(law, theta, x, y, weights, linear, relative):
    """Best linear parameters (m, number of linear) at each row of `theta`, positive where the law wants them so."""
    with np.errstate(all="ignore"):
        value = law.value(theta, x)
        rows = np.swapaxes(law.jacobian(theta, x), -1, -2)[:, linear]
    root = np.sqrt(weights) / (np.abs(y) if relative else 1.0)
    # y is linear in these, so value - rows . current is what the rest contributes.
    target = (y - value + np.einsum("mqn,mq->mn", rows, theta[:, linear])) * root
    rows = rows * root
    gram = rows @ np.swapaxes(rows, 1, 2)
    moment = np.einsum("mqn,mn->mq", rows, target)
    usable = np.isfinite(gram).all(axis=(1, 2)) & np.isfinite(moment).all(axis=1)
    gram, moment = np.where(usable[:, None, None], gram, 0.0), np.where(usable[:, None], moment, 0.0)
    count = gram.shape[1]
    positive = np.array(
        [p.positive for p, is_linear in zip(law.parameters, linear, strict=True) if is_linear]
    )
    best, gain = np.zeros_like(moment), np.full(len(gram), -np.inf)
    for kept in _subsets(count, positive):
        part = gram[:, kept][:, :, kept]
        ridge = 1e-12 * np.einsum("mqq->mq", part).max(axis=1)[:, None, None] + 1e-300
        solution = np.linalg.solve(part + ridge * np.eye(len(kept)), moment[:, kept, None])[..., 0]
        lower = np.einsum("mq,mq->m", solution, moment[:, kept])  # twice the decrease of the squares
        better = (lower > gain) & np.all(solution >= 0, axis=1, where=positive[kept])
        gain = np.where(better, lower, gain)
        best[better] = 0.0
        best[np.ix_(better, kept)] = solution[better]
    size = np.abs(best).max(axis=1, keepdims=True) + 1e-12
    return np.where(positive, np.maximum(best, _LEAST * size), best)


def _subsets(count: int, positive: np.ndarray):
    """Sets of parameters that are not held at zero; with few of them, trying all is exact."""
    held = np.flatnonzero(positive)
    if len(held) > 5:
        return [list(range(count))]
    return [
        [j for j in range(count) if j not in out]
        for size in range(len(held) + 1)
        for out in combinations(held, size)
        if len(out) < count
    ]
