"""Permutation of dates among releases: the null of every trend, and its p-value.

Models of one maker and one day are siblings: they share data, recipe and luck. Exchanging single models breaks that
bond and makes any trend look surer than it is, so whole releases exchange their dates.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.checks import check_range
from densing.errors import InputError


def release_labels(date: ArrayLike, groups: ArrayLike | None = None) -> NDArray[np.int64]:
    """Number the releases: rows of one group and one date.

    Parameters
    ----------
    date : (n,) numbers.
    groups : (n,) labels of families; None: each row is a release of its own.
    """
    date = np.asarray(date, float)
    if groups is None:
        return np.arange(len(date))
    groups = np.asarray(groups)
    if groups.shape != date.shape:
        raise InputError(f"groups: must have one label a row, has shape {groups.shape} for {len(date)} rows")
    _, group = np.unique(groups, return_inverse=True)
    _, day = np.unique(date, return_inverse=True)
    return np.unique(group * (day.max(initial=0) + 1) + day, return_inverse=True)[1]


def permute_dates(
    date: ArrayLike, releases: ArrayLike, permutations: int = 10_000, seed: int = 0
) -> NDArray[np.float64]:
    """Dates after random exchanges among releases.

    Parameters
    ----------
    date : (n,) numbers, equal within a release.
    releases : (n,) labels 0 to R - 1, as `release_labels` gives them.
    permutations : number P.

    Returns
    -------
    (P, n) dates: rows of one release move together, and each release's date is used once.
    """
    check_range("permutations", permutations, 1, integer=True)
    date, releases = np.asarray(date, float), np.asarray(releases)
    own = np.full(releases.max() + 1, np.nan)
    own[releases] = date
    if not np.array_equal(own[releases], date):
        raise InputError("date: must be equal within a release")
    rng = np.random.default_rng(seed)
    drawn = np.broadcast_to(own, (int(permutations), len(own)))
    return rng.permuted(drawn, axis=1)[:, releases]


def permutation_p(observed: float, null: ArrayLike) -> float:
    """One-sided p: the share of null values at least as large as the observed one, which counts as one of them.

    References
    ----------
    Phipson and Smyth (2010), Permutation p-values should never be zero.
    """
    null = np.asarray(null, float)
    null = null[~np.isnan(null)]
    # sums in another order must not part a value from itself
    reach = observed - 1e-9 * (np.std(null) if len(null) else 0.0)
    return float((1 + (null >= reach).sum()) / (1 + len(null)))
