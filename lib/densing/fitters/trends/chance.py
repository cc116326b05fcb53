"""What chance alone makes of records: how many there would be, and how far a running maximum would climb."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.checks import check_range
from densing.errors import InputError
from densing.fitters.trends.permutation import permutation_p, permute_dates, release_labels
from densing.fitters.trends.records import record_frontier, running_maximum


@dataclass(frozen=True)
class RecordTest:
    """Number of records against chance; made by `record_test`.

    Attributes
    ----------
    n, observed : number of values, and of records among them.
    expected, deviation : mean and standard deviation for n exchangeable values, whatever their distribution.
    expected_releases, permutation_p : mean when whole releases exchange their dates, and the one-sided p.
    null_counts : the permuted counts.
    """

    n: int
    observed: int
    expected: float
    deviation: float
    expected_releases: float
    permutation_p: float
    null_counts: NDArray = field(repr=False)


def record_test(
    date: ArrayLike,
    value: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    permutations: int = 10_000,
    seed: int = 0,
    same_day: str = "best",
) -> RecordTest:
    """Test whether there are more records than chance gives.

    The i-th of n exchangeable values is a record with probability 1/i, so their number has mean H_n, the n-th harmonic
    number, and variance H_n - sum 1/i^2. Values that come in releases are not exchangeable one by one; the p-value
    exchanges releases.

    Parameters
    ----------
    date, value, groups : (n,) days, logarithms, families.

    References
    ----------
    Renyi (1962); Arnold, Balakrishnan and Nagaraja, Records (1998), section 2.3.
    """
    date, value = _checked(date, value)
    n = len(value)
    inverse = 1 / np.arange(1, n + 1)
    observed = int(record_frontier(date, value, same_day=same_day).sum())
    shuffled = permute_dates(date, release_labels(date, groups), permutations, seed)
    counts = record_frontier(shuffled, value[None], same_day=same_day).sum(axis=1)
    return RecordTest(
        n=n,
        observed=observed,
        expected=float(inverse.sum()),
        deviation=float(np.sqrt(inverse.sum() - (inverse**2).sum())),
        expected_releases=float(counts.mean()),
        permutation_p=permutation_p(observed, counts),
        null_counts=counts,
    )


@dataclass(frozen=True)
class ExcessResults:
    """A running maximum against the one that chance would give; made by `excess_over_chance`.

    Attributes
    ----------
    dates : (m,) distinct dates.
    observed : (m,) running maximum.
    expected, lower, upper : (m,) its mean and pointwise interval when releases exchange their dates.
    slope_per_day : least-squares slope of `observed` minus `expected`.
    permutation_p : one-sided p of that slope.
    """

    dates: NDArray
    observed: NDArray
    expected: NDArray
    lower: NDArray
    upper: NDArray
    slope_per_day: float
    permutation_p: float


def excess_over_chance(
    date: ArrayLike,
    value: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    permutations: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> ExcessResults:
    """Subtract from the running maximum what it would be, on average, without any trend.

    Parameters
    ----------
    date, value, groups : (n,) days, logarithms, families.
    level : of the pointwise interval of the chance curve.
    """
    check_range("level", level, 0, 1, open_low=True, open_high=True)
    date, value = _checked(date, value)
    dates = np.unique(date)
    observed = running_maximum(date, value, dates)
    shuffled = permute_dates(date, release_labels(date, groups), permutations, seed)
    null = running_maximum(shuffled, value[None], dates)
    expected = null.mean(axis=0)
    lower, upper = np.quantile(null, ((1 - level) / 2, (1 + level) / 2), axis=0)
    u = dates - dates.mean()
    contrast = u / (u @ u)
    slope = float(contrast @ (observed - expected))
    return ExcessResults(
        dates, observed, expected, lower, upper, slope, permutation_p(slope, (null - expected) @ contrast)
    )


def _checked(date: ArrayLike, value: ArrayLike) -> tuple[NDArray, NDArray]:
    date, value = np.asarray(date, float), np.asarray(value, float)
    if (
        value.ndim != 1
        or value.shape != date.shape
        or not (np.isfinite(date).all() and np.isfinite(value).all())
    ):
        raise InputError("date, value: must be two lists of finite numbers of one length")
    if len(np.unique(date)) < 2:
        raise InputError("date: must hold at least two different dates")
    return date, value
