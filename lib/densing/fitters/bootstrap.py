"""Bootstrap intervals: resampling whole clusters, paired comparisons, and the estimate that carries its interval."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.checks import check_range
from densing.errors import InputError

_TOLERATED_NAN = 0.05


@dataclass(frozen=True)
class Estimate:
    """A measured number and the interval that belongs to it.

    Parameters
    ----------
    value : the point estimate.
    lower, upper : ends of the interval, in the value's unit; nan where none could be computed.
    level : confidence level of the interval, in (0, 1).

    Raises
    ------
    InputError : `lower` above `upper`, or a level outside (0, 1).
    """

    value: float
    lower: float
    upper: float
    level: float = 0.95

    def __post_init__(self):
        check_range("level", self.level, 0, 1, open_low=True, open_high=True)
        for name in ("value", "lower", "upper"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if self.lower > self.upper:
            raise InputError(f"lower = {self.lower!r}: must not be above upper = {self.upper!r}")

    @classmethod
    def from_draws(cls, value: float, draws: ArrayLike, level: float = 0.95) -> Self:
        """The estimate `value` with the percentile interval of its bootstrap `draws`.

        Draws in which the statistic is undefined (nan) are left out; where they are more than a twentieth of all,
        the interval is nan, because the rest no longer stands for the whole.
        """
        check_range("level", level, 0, 1, open_low=True, open_high=True)
        draws = np.asarray(draws, float).ravel()
        undefined = np.isnan(draws)
        if not len(draws) or undefined.mean() > _TOLERATED_NAN:
            return cls(value, math.nan, math.nan, level)
        # order statistics, not interpolation: draws may be infinite
        ends = ((1 - level) / 2, (1 + level) / 2)
        lower, upper = np.quantile(draws[~undefined], ends, method="inverted_cdf")
        return cls(value, lower, upper, level)

    def transform(self, function: Callable[[float], float]) -> "Estimate":
        """The estimate of a monotone `function` of the value; a falling function turns the interval round."""
        ends = sorted((function(self.lower), function(self.upper)))
        return Estimate(function(self.value), *ends, self.level)

    def __format__(self, spec: str) -> str:
        """`f"{estimate:.2f}"` is ``value [lower, upper]``, each number in the format `spec`."""
        return f"{self.value:{spec}} [{self.lower:{spec}}, {self.upper:{spec}}]"


def cluster_weights(groups: ArrayLike, draws: int = 2000, seed: int = 0) -> NDArray[np.int64]:
    """How often each row stands in each bootstrap draw, when whole clusters are drawn with replacement.

    Parameters
    ----------
    groups : (n,) labels; rows with one label are one cluster.
    draws : number of draws B.
    seed : of the random numbers.

    Returns
    -------
    (B, n) counts, equal within a cluster; each draw holds as many clusters as there are.

    Raises
    ------
    InputError : no rows, or fewer than one draw.
    """
    check_range("draws", draws, 1, integer=True)
    labels, cluster = np.unique(np.asarray(groups), return_inverse=True)
    if not len(labels):
        raise InputError("groups: must hold at least one row")
    rng = np.random.default_rng(seed)
    k = len(labels)
    counts = rng.multinomial(k, np.full(k, 1 / k), size=int(draws))
    return counts[:, cluster]


def cluster_bootstrap(
    statistic: Callable[[NDArray], NDArray],
    groups: ArrayLike,
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """A statistic with the percentile interval of a cluster bootstrap.

    Parameters
    ----------
    statistic : takes (B, n) row weights, all draws at once, and returns (B,) values. The point estimate is its
        value at weights of one.
    groups : (n,) cluster labels; `range(n)` for the ordinary bootstrap.

    References
    ----------
    Davison and Hinkley, Bootstrap Methods and their Application (1997), section 3.8.
    """
    weights = cluster_weights(groups, draws, seed)
    value = np.asarray(statistic(np.ones((1, weights.shape[1]), weights.dtype)), float)
    values = np.asarray(statistic(weights), float)
    if value.shape != (1,) or values.shape != (len(weights),):
        raise InputError(
            f"statistic: must return one value a draw, returned shapes {value.shape}, {values.shape}"
        )
    return Estimate.from_draws(value[0], values, level)


def paired_bootstrap(
    first: ArrayLike,
    second: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Mean of `first` minus `second`, measured on the same items, with a bootstrap over items.

    Parameters
    ----------
    first, second : (n,) measurements; row i of both belongs to item i.
    groups : (n,) labels where several items must be resampled together; None: each item by itself.

    Raises
    ------
    InputError : other shapes, or a value that is not finite.
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    if first.ndim != 1 or first.shape != second.shape:
        raise InputError(
            f"first, second: must be two lists of one length, have shapes {first.shape}, {second.shape}"
        )
    difference = first - second
    if not np.isfinite(difference).all():
        raise InputError("first, second: must be finite")
    groups = np.arange(len(difference)) if groups is None else np.asarray(groups)
    if groups.shape != difference.shape:
        raise InputError(f"groups: must have one label an item, has shape {groups.shape}")

    def mean(weights: NDArray) -> NDArray:
        return weights @ difference / weights.sum(axis=1)

    return cluster_bootstrap(mean, groups, draws=draws, level=level, seed=seed)
