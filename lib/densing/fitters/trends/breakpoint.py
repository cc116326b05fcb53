"""Does a trend change its slope at a given date?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from densing.checks import check_range
from densing.errors import InputError
from densing.fitters.bootstrap import Estimate, cluster_weights
from densing.fitters.trends.fit import as_days
from densing.fitters.trends.permutation import permutation_p, release_labels

_DATES_A_SIDE = 3


@dataclass(frozen=True)
class BreakpointResults:
    """A continuous line of two pieces; made by `breakpoint_test`.

    Attributes
    ----------
    before, after : slopes per day with intervals.
    ratio : slope after over slope before.
    f_statistic, p : of the bend, p by wild bootstrap.
    n_before, n_after : number of values on each side.
    """

    before: Estimate
    after: Estimate
    ratio: Estimate
    f_statistic: float
    p: float
    n_before: int
    n_after: int


def breakpoint_test(
    date: ArrayLike,
    value: ArrayLike,
    at: float | str,
    groups: ArrayLike | None = None,
    *,
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    strict: bool = True,
) -> BreakpointResults:
    """Fit a continuous line of two pieces that meet at `at`, and test the bend.

    The Chow-type F compares it with one straight line. Its null distribution comes from a wild bootstrap: residuals of
    the straight line, their signs turned at random for whole releases. Intervals come from a bootstrap over families.

    Parameters
    ----------
    date, value : (n,) days or dates, and logarithms.
    at : day or date of the joint, of the kind of `date`.
    groups : (n,) families; None: each row stands alone.
    strict : False: where a side of `at` has fewer than three different dates, the results are nan.

    Raises
    ------
    InputError : fewer than three different dates on a side of `at`.

    References
    ----------
    Chow (1960); Cameron, Gelbach and Miller (2008) for the clustered wild bootstrap with the null imposed.
    """
    check_range("draws", draws, 1, integer=True)
    days = as_days(date)
    numeric = np.asarray(date).dtype.kind in "iuf"
    joint = float(at) if numeric else float(as_days([at], origin=np.asarray(date).min(), name="at")[0])
    value = np.asarray(value, float)
    if value.shape != days.shape or not np.isfinite(value).all():
        raise InputError("date, value: must be two lists of one length, and finite")
    sides = [len(np.unique(days[days < joint])), len(np.unique(days[days >= joint]))]
    counts = {"n_before": int((days < joint).sum()), "n_after": int((days >= joint).sum())}
    if min(sides) < _DATES_A_SIDE:
        if not strict:
            nothing = Estimate(np.nan, np.nan, np.nan, level)
            return BreakpointResults(nothing, nothing, nothing, f_statistic=np.nan, p=np.nan, **counts)
        raise InputError(
            f"at = {at!r}: leaves {sides[0]} dates before and {sides[1]} after; each side needs {_DATES_A_SIDE}"
        )
    scale = np.ptp(days)
    t, bend = (days - joint) / scale, np.maximum(days - joint, 0) / scale
    straight = np.column_stack([np.ones_like(t), t])
    bent = np.column_stack([straight, bend])

    # observed F and its wild-bootstrap null, by the two projections
    releases = release_labels(days, groups)
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], size=(draws, releases.max() + 1))[:, releases]
    q0, q1 = (np.linalg.qr(design)[0] for design in (straight, bent))
    fitted = q0 @ (q0.T @ value)
    wild = np.vstack([value, fitted + signs * (value - fitted)])
    rss0, rss1 = (((wild - wild @ q @ q.T) ** 2).sum(axis=1) for q in (q0, q1))
    f = (rss0 - rss1) / np.maximum(rss1 / (len(value) - 3), np.finfo(float).tiny)

    weights = cluster_weights(np.arange(len(days)) if groups is None else groups, draws, seed)
    weights = np.vstack([np.ones(len(days)), weights])
    normal = np.einsum("bn,ni,nj->bij", weights, bent, bent)
    right = (weights * value) @ bent
    solvable = np.linalg.cond(normal) < 1e10
    beta = np.full((len(weights), 3), np.nan)
    beta[solvable] = np.linalg.solve(normal[solvable], right[solvable][..., None])[..., 0]
    before, after = beta[:, 1] / scale, (beta[:, 1] + beta[:, 2]) / scale
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = after / before
    estimates = [Estimate.from_draws(part[0], part[1:], level) for part in (before, after, ratio)]
    return BreakpointResults(*estimates, f_statistic=float(f[0]), p=permutation_p(f[0], f[1:]), **counts)
