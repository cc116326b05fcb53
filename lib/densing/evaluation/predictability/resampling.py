"""Bootstrap over items and over groups of models at once, for statistics of per-item values."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.checks import check_range
from densing.errors import InputError
from densing.fitters.bootstrap import Estimate, cluster_weights


@dataclass(frozen=True, eq=False)
class Resampled:
    """Statistics with their bootstrap draws.

    Attributes
    ----------
    value : (statistics,) on the data themselves.
    draws : (draws, statistics).
    """

    value: NDArray
    draws: NDArray

    def estimate(self, at: int = 0, level: float = 0.95) -> Estimate:
        """One of the statistics with its percentile interval."""
        return Estimate.from_draws(float(self.value[at]), self.draws[:, at], level)


def resample_items(
    per_item: Callable[[NDArray], NDArray],
    statistic: Callable[[NDArray, NDArray], NDArray],
    *,
    models: ArrayLike,
    items: ArrayLike,
    draws: int = 1000,
    seed: int = 0,
) -> Resampled:
    """Statistics of per-item values, resampling items and whole groups of models with replacement.

    Draws of the models depend on `seed` and the number of groups only: two calls that share a seed draw the same
    groups, so statistics of several tasks under the same models may be combined draw by draw.

    Parameters
    ----------
    per_item : takes indices of models (repeats are replicates) and returns (rows, items) values, such as
        correlations; evaluated once for each different draw of groups.
    statistic : takes (rows, items) values and (B, items) weights and returns (B, statistics).
    models : (models,) labels; models with one label (a training seed, say) are drawn together. All alike: models stay
        as they are.
    items : (items,) labels; items with one label (questions from one document) are drawn together.
    draws : of the bootstrap.
    seed : of the draws.

    Raises
    ------
    InputError : labels that are not one list each, or fewer than one draw.
    """
    check_range("draws", draws, 1, integer=True)
    check_range("seed", seed, 0, integer=True)
    models, items = np.asarray(models), np.asarray(items)
    if models.ndim != 1 or items.ndim != 1 or not len(models) or not len(items):
        raise InputError("models, items: must each be a list of labels, one a model and one an item")
    group = np.unique(models, return_inverse=True)[1]
    n_groups = group.max() + 1
    rng = np.random.default_rng([int(seed), 0])
    counts = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=int(draws))
    weights = cluster_weights(items, int(draws), seed)
    every = np.arange(len(models))
    value = statistic(per_item(every), np.ones((1, len(items))))[0]
    found = np.empty((int(draws), len(value)))
    different, which = np.unique(counts, axis=0, return_inverse=True)
    for number, times in enumerate(different):
        mine = np.flatnonzero(which.ravel() == number)
        found[mine] = statistic(per_item(np.repeat(every, times[group])), weights[mine])
    return Resampled(value, found)


def weighted_median(values: NDArray, weights: NDArray) -> NDArray:
    """Medians of `values` (items,) under each row of `weights` (B, items); nan are left out, no value gives nan.

    Whole weights count a value as often as they say, so that weights of one give the ordinary median.
    """
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return np.full(len(weights), np.nan)
    order = known[np.argsort(values[known], kind="stable")]
    upto = np.cumsum(weights[:, order], axis=1, dtype=float)
    half, ranked = upto[:, -1:] / 2, values[order]
    low = np.minimum((upto < half - 1e-9).sum(axis=1), len(order) - 1)
    high = np.minimum((upto <= half + 1e-9).sum(axis=1), len(order) - 1)
    return np.where(half[:, 0] > 0, (ranked[low] + ranked[high]) / 2, np.nan)
