"""Quantile regression on one regressor, exact, for many data sets at once.

For a slope b the best intercept is a weighted quantile of y - b x, so the check loss has a profile f(b) that is convex
and piecewise linear in b alone. Its minimum is bracketed by slopes of opposite subgradient and closed in by the
crossing of the two tangents: on a piecewise linear function that ends in the exact minimum after finitely many steps,
also where points lie on one line, which stops pivoting methods.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.checks import check_range
from densing.errors import FitError, InputError

_ITERATIONS = 200
_RELATIVE_GAP = 1e-13
_BLOCK = 1_000_000


def quantile_slopes(
    x: ArrayLike, y: ArrayLike, q: float = 0.5, *, weights: ArrayLike | None = None
) -> tuple[NDArray, NDArray]:
    """Lines that minimise the weighted check loss, one for each data set.

    Parameters
    ----------
    x, y : (n,) or (B, n); a single row is used for every data set.
    q : quantile, in (0, 1).
    weights : (n,) or (B, n), at least 0; None for ones. Bootstrap counts are weights.

    Returns
    -------
    slopes, intercepts : (B,) each; B = 1 where every input is a single row. nan where the positive weights of a data
        set stand on a single value of x.

    Raises
    ------
    InputError : a quantile outside (0, 1), shapes that do not fit, values that are not finite, negative weights.
    FitError : no convergence (not met in practice; never an approximate answer).

    References
    ----------
    Koenker and Bassett (1978), Regression quantiles, Econometrica 46. The search is by tangents on the profile.
    """
    check_range("q", q, 0, 1, open_low=True, open_high=True)
    x, y = np.atleast_2d(np.asarray(x, float)), np.atleast_2d(np.asarray(y, float))
    w = None if weights is None else np.atleast_2d(np.asarray(weights, float))
    parts = [part for part in (x, y, w) if part is not None]
    try:
        rows, n = np.broadcast_shapes(*(part.shape for part in parts))
    except ValueError:
        raise InputError(f"x, y, weights: shapes {[p.shape for p in parts]} do not fit together") from None
    if not all(np.isfinite(part).all() for part in parts) or (w is not None and (w < 0).any()):
        raise InputError("x, y, weights: must be finite, and weights at least 0")
    slopes, intercepts = np.empty(rows), np.empty(rows)
    step = max(1, _BLOCK // n)
    for start in range(0, rows, step):
        block = slice(start, min(start + step, rows))
        pick = [None if p is None else (p[block] if len(p) > 1 else p) for p in (x, y, w)]
        slopes[block], intercepts[block] = _solve(*pick, q, block.stop - block.start)
    return slopes, intercepts


def _solve(x: NDArray, y: NDArray, w: NDArray | None, q: float, rows: int) -> tuple[NDArray, NDArray]:
    n = x.shape[1]
    x = np.broadcast_to(x, (rows, n))
    y = np.broadcast_to(y, (rows, n))
    w = None if w is None else np.broadcast_to(w, (rows, n))
    mass = np.ones((rows, n)) if w is None else w
    total = mass.sum(axis=1)
    # centred and scaled, so that one tolerance serves days and logarithms
    with np.errstate(invalid="ignore", divide="ignore"):
        x0 = (mass * x).sum(axis=1) / total
        y0 = (mass * y).sum(axis=1) / total
        x = x - x0[:, None]
        y = y - y0[:, None]
        x_scale = np.sqrt((mass * x**2).sum(axis=1) / total)
        y_scale = np.sqrt((mass * y**2).sum(axis=1) / total)
    # a spread within rounding error of the mean is none
    usable = x_scale > 1e-12 * (1 + np.abs(x0))
    y_scale = np.where(y_scale > 0, y_scale, 1.0)
    slopes, intercepts = np.full(rows, np.nan), np.full(rows, np.nan)
    if usable.any():
        u = x[usable] / x_scale[usable, None]
        v = y[usable] / y_scale[usable, None]
        profile = _Profile(u, v, None if w is None else w[usable], q)
        slope, intercept = profile.minimum()
        slopes[usable] = slope * y_scale[usable] / x_scale[usable]
        intercepts[usable] = y0[usable] + intercept * y_scale[usable] - slopes[usable] * x0[usable]
    return slopes, intercepts


class _Profile:
    """f(b) = min over a of the check loss, with a subgradient, for rows of data."""

    def __init__(self, u: NDArray, v: NDArray, w: NDArray | None, q: float):
        self.u, self.v, self.w, self.q = u, v, w, q

    def at(self, b: NDArray, rows: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """Value, subgradient and best intercept at slopes `b` of the given rows."""
        u = self.u[rows]
        residual = self.v[rows] - b[:, None] * u
        if self.w is None:
            intercept, dual = self._equal_weights(residual)
        else:
            intercept, dual = self._weighted(residual, self.w[rows])
        # the dual sums to zero, so the intercept drops out of the value
        return np.einsum("ij,ij->i", dual, residual), -np.einsum("ij,ij->i", dual, u), intercept

    def _equal_weights(self, residual: NDArray) -> tuple[NDArray, NDArray]:
        n, q = residual.shape[1], self.q
        k = min(max(int(np.ceil(q * n - 1e-9)), 1), n) - 1
        intercept = np.partition(residual, k, axis=1)[:, k]
        above, below = residual > intercept[:, None], residual < intercept[:, None]
        dual = q * above - (1 - q) * below
        on = ~(above | below)
        # points on the line share what makes the dual sum to zero
        share = -dual.sum(axis=1) / on.sum(axis=1)
        return intercept, np.where(on, share[:, None], dual)

    def _weighted(self, residual: NDArray, w: NDArray) -> tuple[NDArray, NDArray]:
        q = self.q
        order = np.argsort(residual, axis=1)
        ordered = np.take_along_axis(w, order, axis=1)
        upto = np.cumsum(ordered, axis=1)
        target = q * upto[:, -1:]
        # of each point, the share of its weight below the quantile counts q - 1, the rest q
        below = np.clip(target - (upto - ordered), 0, ordered)
        dual = np.empty_like(residual)
        np.put_along_axis(dual, order, q * ordered - below, axis=1)
        place = np.argmax(upto >= target * (1 - 1e-12), axis=1)
        intercept = np.take_along_axis(residual, np.take_along_axis(order, place[:, None], 1), 1)[:, 0]
        return intercept, dual

    def minimum(self) -> tuple[NDArray, NDArray]:
        """The minimising slope and its intercept, row by row."""
        rows = np.arange(len(self.u))
        weight = np.ones_like(self.u) if self.w is None else self.w
        b = (weight * self.u * self.v).sum(axis=1) / (weight * self.u**2).sum(axis=1)
        value, gradient, intercept = self.at(b, rows)
        best = [b.copy(), intercept.copy(), value.copy()]
        left, right = self._bracket(rows, b, value, gradient, best)
        active = rows[(left[1] < 0) & (right[1] > 0)]
        width = right[0] - left[0]
        for iteration in range(_ITERATIONS):
            if not len(active):
                return best[0], best[1]
            (bl, gl, fl), (br, gr, fr) = ([part[active] for part in side] for side in (left, right))
            crossing = bl + (fr - fl - gr * (br - bl)) / (gl - gr)
            lowest = fl + gl * (crossing - bl)
            # every third step halves the bracket where tangents crawl
            crawling = (iteration % 3 == 2) & (br - bl > 0.5 * width[active])
            b = np.where(crawling, (bl + br) / 2, np.clip(crossing, bl, br))
            value, gradient, intercept = self.at(b, active)
            self._keep(best, active, b, intercept, value)
            if iteration % 3 == 2:
                width[active] = br - bl
            # the tangents bound f from below: meeting the bound proves the minimum
            proven = best[2][active] - lowest <= _RELATIVE_GAP * (
                1 + np.abs(best[2][active]) + np.abs(fl) + np.abs(fr)
            )
            done = proven | (gradient == 0)
            for side, where in ((left, gradient < 0), (right, gradient > 0)):
                for part, new in zip(side, (b, gradient, value), strict=True):
                    part[active[where]] = new[where]
            active = active[~done]
        raise FitError(
            "quantile regression: no convergence; look for values of x or y of very different size"
        )

    def _bracket(self, rows, b, value, gradient, best):
        left, right = ([b.copy(), gradient.copy(), value.copy()] for _ in range(2))
        for side, sign in ((left, 1.0), (right, -1.0)):
            # step outwards until the subgradient has the sign of that side
            reach, active = 0.1, rows[sign * gradient > 0]
            while len(active):
                trial = b[active] - sign * reach
                f, g, a = self.at(trial, active)
                self._keep(best, active, trial, a, f)
                for part, new in zip(side, (trial, g, f), strict=True):
                    part[active] = new
                active = active[sign * g > 0]
                reach *= 4
        return left, right

    @staticmethod
    def _keep(best, active, b, intercept, value):
        better = value < best[2][active]
        index = active[better]
        for part, new in zip(best, (b, intercept, value), strict=True):
            part[index] = new[better]
