"""Rates from counts that were stopped at a number of passes or at a cap on samples, with exact intervals.

A row holds passes s among samples K. Where it was stopped by its passes, the last sample is a pass and K is random
(negative binomial); where it is censored, the cap ended it and s is random (binomial). Both have the likelihood
p^s (1 - p)^(K - s), but not the same unbiased estimate.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from densing.checks import check_choice, check_range
from densing.errors import InputError
from densing.fitters.bootstrap import Estimate

ESTIMATORS = ("mle", "unbiased")


def stopped_rate(
    passes: ArrayLike, samples: ArrayLike, censored: ArrayLike, estimator: str = "unbiased"
) -> NDArray:
    """Estimated rate of each row.

    Parameters
    ----------
    passes, samples, censored : (n,) see the module.
    estimator : ``"mle"``, s / K: biased upward where the passes stopped it, for one pass by the factor
        -ln p / (1 - p). ``"unbiased"``, (s - 1) / (K - 1) where the passes stopped it and s / K where the cap did:
        exactly unbiased for the two rules together.

    Raises
    ------
    InputError : impossible counts, an unknown estimator, or ``"unbiased"`` for rows stopped at their first pass.

    References
    ----------
    Haldane (1945), On a method of estimating frequencies; Girshick, Mosteller and Savage (1946), Unbiased estimates
    for certain binomial sampling problems.
    """
    check_choice("estimator", estimator, ESTIMATORS)
    s, k, cut = checked_counts(passes, samples, censored)
    if estimator == "mle":
        return s / k
    if (~cut & (s < 2)).any():
        raise InputError("estimator = 'unbiased': needs passes of at least 2 where a row was stopped by them")
    return np.where(cut, s / k, (s - 1) / np.maximum(k - 1, 1))


def expected_stopped_rate(p: ArrayLike, passes: int) -> NDArray:
    """Mean of passes / samples when sampling goes on until `passes`, without a cap: above p, and not by little.

    For one pass it is -p ln p / (1 - p): seven times p at p = 0.001.

    Parameters
    ----------
    p : rates in (0, 1]. passes : r, at least 1. In general the mean is 2F1(1, r; r + 1; -(1 - p) / p).

    Raises
    ------
    InputError : a rate outside (0, 1], or passes below 1.
    """
    check_range("passes", passes, 1, integer=True)
    p = np.asarray(p, float)
    if not ((p > 0) & (p <= 1)).all():
        raise InputError(f"p = {p.tolist()!r}: must be in (0, 1]")
    # E[r / K] = r * integral of u^(r-1) p / (p + (1 - p) u) over u in (0, 1)
    return special.hyp2f1(1, passes, passes + 1, -(1 - p) / p)


def stopped_variance(passes: ArrayLike, samples: ArrayLike, censored: ArrayLike) -> NDArray:
    """Estimated variance of the unbiased rate of each row; exactly unbiased where the passes stopped it."""
    s, k, cut = checked_counts(passes, samples, censored)
    p = stopped_rate(s, k, cut)
    return p * (1 - p) / np.maximum(np.where(cut, k, k - 2), 1)


def stopped_interval(
    passes: ArrayLike, samples: ArrayLike, censored: ArrayLike, level: float = 0.95
) -> tuple[NDArray, NDArray]:
    """Exact (Clopper-Pearson) interval of the rate of each row: coverage is at least `level` at every rate.

    The outcomes of the two rules are ordered: stopped earlier, stopped later, cut with more passes, cut with
    fewer. The tail of an outcome is a binomial one, K samples with at least s passes, or (upper end of a stopped
    row) K - 1 samples with fewer than s.

    Returns
    -------
    lower, upper (n,).
    """
    check_range("level", level, 0, 1, open_low=True, open_high=True)
    s, k, cut = checked_counts(passes, samples, censored)
    tail = (1 - level) / 2
    failures = k - s
    with np.errstate(invalid="ignore"):
        lower = np.where(s > 0, stats.beta.ppf(tail, np.maximum(s, 1), failures + 1), 0.0)
        upper = stats.beta.ppf(1 - tail, np.where(cut, s + 1, s), np.maximum(failures, 1))
    return lower, np.where(failures > 0, upper, 1.0)


def mean_rate(
    passes: ArrayLike,
    samples: ArrayLike,
    censored: ArrayLike,
    level: float = 0.95,
    estimator: str = "unbiased",
) -> Estimate:
    """Mean rate over rows (a test set), with an interval for these very instances.

    The rarer of passes and failures is treated as a weighted sum of Poisson counts, whose gamma interval keeps its
    coverage when the sum is 0 or the weights differ. For another draw of instances use `cluster_bootstrap` on the
    rates of the instances.

    Raises
    ------
    InputError : as `stopped_rate`.

    References
    ----------
    Fay and Feuer (1997), Confidence intervals for directly standardized rates.
    """
    check_range("level", level, 0, 1, open_low=True, open_high=True)
    s, k, cut = checked_counts(passes, samples, censored)
    rates = stopped_rate(s, k, cut, estimator)
    n = len(rates)
    variance = stopped_variance(s, k, cut).sum() / n**2 if (cut | (s > 1)).all() else (rates**2).sum() / n**2
    weight = 1 / (n * k.min())  # what one more pass, where it counts most, would add
    value, tail = rates.mean(), (1 - level) / 2
    mirrored = value > 0.5
    count = 1 - value if mirrored else value
    low = _gamma_quantile(tail, count, variance)
    high = _gamma_quantile(1 - tail, count + weight, variance + weight**2)
    low, high = min(low, count), min(max(high, count), 1.0)
    return Estimate(value, 1 - high, 1 - low, level) if mirrored else Estimate(value, low, high, level)


def _gamma_quantile(share: float, mean: float, variance: float) -> float:
    if mean <= 0 or variance <= 0:
        return mean
    return float(stats.gamma.ppf(share, mean**2 / variance, scale=variance / mean))


def checked_counts(
    passes: ArrayLike, samples: ArrayLike, censored: ArrayLike
) -> tuple[NDArray, NDArray, NDArray]:
    """Counts as arrays of one shape (n,).

    Raises
    ------
    InputError : no rows, other shapes, numbers that are not whole, more passes than samples, or a row that stopped
        without a pass.
    """
    s, k = np.atleast_1d(np.asarray(passes, float)), np.atleast_1d(np.asarray(samples, float))
    cut = np.atleast_1d(np.asarray(censored))
    if not (s.shape == k.shape == cut.shape) or not s.size:
        raise InputError(
            f"passes, samples, censored: must be of one shape and not empty, have {s.shape}, {k.shape}, {cut.shape}"
        )
    if not np.isin(cut, (0, 1)).all():
        raise InputError("censored: must be true or false")
    cut = cut.astype(bool)
    good = np.isfinite(s) & np.isfinite(k) & (s == np.floor(s)) & (k == np.floor(k))
    good &= (s >= 0) & (k >= 1) & (s <= k)
    if not good.all():
        at = int(np.argmin(good))
        raise InputError(
            f"passes, samples: row {at} has {s[at]:g} of {k[at]:g}, must be whole numbers, "
            "0 <= passes <= samples, samples >= 1"
        )
    if (~cut & (s < 1)).any():
        at = int(np.argmax(~cut & (s < 1)))
        raise InputError(f"censored: row {at} was not cut and has no pass; a stopped row has at least one")
    return s, k, cut
