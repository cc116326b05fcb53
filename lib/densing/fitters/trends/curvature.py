"""Is a trend straight, or does it bend?"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.errors import InputError
from densing.fitters.bootstrap import Estimate, cluster_bootstrap

_YEAR = 365.25


def curvature(
    date: ArrayLike,
    value: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate:
    """Change of the slope with time, per year and year: twice the quadratic coefficient of a least-squares parabola.

    A logarithm that grows on a straight line grows exponentially; an interval below zero says that it slows down.

    Parameters
    ----------
    date, value, groups : (n,) days, logarithms, families (clusters of the bootstrap).

    Raises
    ------
    InputError : fewer than four different dates, or values that are not finite.
    """
    date, value = np.asarray(date, float), np.asarray(value, float)
    if (
        date.ndim != 1
        or date.shape != value.shape
        or not (np.isfinite(date).all() and np.isfinite(value).all())
    ):
        raise InputError("date, value: must be two lists of finite numbers of one length")
    if len(np.unique(date)) < 4:
        raise InputError(f"date: has {len(np.unique(date))} different dates; a bend needs at least 4")
    t = (date - date.mean()) / _YEAR
    design = np.column_stack([np.ones_like(t), t, t**2])

    def second_derivative(weights: NDArray) -> NDArray:
        normal = np.einsum("bn,ni,nj->bij", weights, design, design)
        right = (weights * value) @ design
        result = np.full(len(weights), np.nan)
        good = np.linalg.cond(normal) < 1e10
        result[good] = 2 * np.linalg.solve(normal[good], right[good][..., None])[:, 2, 0]
        return result

    groups = np.arange(len(date)) if groups is None else groups
    return cluster_bootstrap(second_derivative, groups, draws=draws, level=level, seed=seed)
