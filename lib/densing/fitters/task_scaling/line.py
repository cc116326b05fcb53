"""Maximum likelihood of a line (or parabola) of F on ln N, with a spread between models, and profile intervals."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from densing.errors import FitError
from densing.fitters.bootstrap import Estimate
from densing.fitters.task_scaling.likelihood import CountCells, ExactCells

_TAU = (1e-4, 10.0)  # where the spread is looked for


@dataclass(frozen=True, eq=False)
class LineFit:
    """A fitted linear predictor of F.

    Attributes
    ----------
    design : (n, k). theta : (k,) coefficients. tau : spread between models; 0 where none is allowed.
    log_likelihood : at the maximum, up to a constant of the data.
    cells : the data. spread : whether tau was estimated.
    """

    design: NDArray
    theta: NDArray
    tau: float
    log_likelihood: float
    cells: CountCells | ExactCells
    spread: bool

    @property
    def degrees(self) -> int:
        """Models less coefficients."""
        return self.design.shape[0] - self.design.shape[1]

    @cached_property
    def influence(self) -> NDArray:
        """(k, n): change of each coefficient with the F of each model."""
        weight = -self.cells.terms(self.design @ self.theta, self.tau)[2]
        return np.linalg.solve((self.design.T * weight) @ self.design, self.design.T * weight)

    @cached_property
    def covariance(self) -> NDArray:
        """(k, k), inverse of the observed information; scaled by n / degrees where the spread was estimated."""
        _, _, second = self.cells.terms(self.design @ self.theta, self.tau)
        covariance = np.linalg.inv(-(self.design.T * second) @ self.design)
        return covariance * (len(second) / self.degrees if self.spread else 1.0)

    def profile(self, place: int, level: float) -> Estimate:
        """The coefficient at `place` with its profile-likelihood interval.

        The limit of the likelihood ratio is the chi-squared one; where the spread was estimated it is
        n ln(1 + t^2 / degrees), which makes the interval Student's exactly if the data are normal.
        """
        n, others = len(self.design), np.delete(self.design, place, 1)
        if self.spread:
            limit = n * np.log1p(stats.t.ppf((1 + level) / 2, self.degrees) ** 2 / self.degrees)
        else:
            limit = stats.chi2.ppf(level, 1)
        column, best = self.design[:, place], self.theta[place]
        start = np.delete(self.theta, place)

        def excess(value: float) -> float:
            held = fit_line(others, self.cells, self.spread, offset=value * column, start=start)
            return 2 * (self.log_likelihood - held.log_likelihood) - limit

        width = np.sqrt(self.covariance[place, place])
        return Estimate(best, _crossing(excess, best, -width), _crossing(excess, best, width), level)


def _crossing(excess, start: float, step: float) -> float:
    inside = start
    for _ in range(60):
        outside = inside + step
        if excess(outside) > 0:
            low, high = sorted((inside, outside))
            return float(optimize.brentq(excess, low, high, xtol=1e-9 + 1e-7 * abs(step)))
        inside, step = outside, 1.6 * step
    return float(np.copysign(np.inf, step))


def powers(size: NDArray, degree: int) -> NDArray:
    """(n, degree + 1): powers of ln N less its mean."""
    x = np.log(size)
    return (x - x.mean())[:, None] ** np.arange(degree + 1)


def fit_line(
    design: NDArray,
    cells: CountCells | ExactCells,
    spread: bool,
    *,
    offset: NDArray | float = 0.0,
    start: NDArray | None = None,
) -> LineFit:
    """Fit F = offset + design @ theta.

    Parameters
    ----------
    design : (n, k); k may be 0.
    cells : the data of the n models.
    spread : estimate a spread between models; exact data need it.

    Raises
    ------
    FitError : no maximum was found (no model passes anything, or every sample passes).
    """
    offset = np.broadcast_to(np.asarray(offset, float), (len(design),))
    if cells.exact:
        return _least_squares(design, cells, offset)
    theta = np.zeros(design.shape[1]) if start is None else np.asarray(start, float)
    if start is None:
        rate = (cells.passes + 0.5) / (cells.samples + 1)
        theta = np.linalg.lstsq(design, np.log(-np.log(rate)) - offset, rcond=None)[0]
    if not spread:
        theta, value = _newton(design, cells, offset, 0.0, theta)
        return LineFit(design, theta, 0.0, value, cells, False)
    fits = {}

    def lost(log_tau: float) -> float:
        fits[log_tau] = _newton(design, cells, offset, float(np.exp(log_tau)), theta)
        return -fits[log_tau][1]

    found = optimize.minimize_scalar(lost, bounds=np.log(_TAU), method="bounded", options={"xatol": 1e-4})
    best, tau = fits[found.x], float(np.exp(found.x))
    without = _newton(design, cells, offset, 0.0, theta)
    if without[1] >= best[1]:
        best, tau = without, 0.0
    return LineFit(design, best[0], tau, best[1], cells, True)


def _least_squares(design: NDArray, cells: ExactCells, offset: NDArray) -> LineFit:
    y, root = cells.F - offset, np.sqrt(np.broadcast_to(cells.precision, cells.F.shape))
    theta = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]
    scatter = float(np.sqrt(np.mean(((y - design @ theta) * root) ** 2)))
    tau = max(scatter, 1e-12 * (1 + np.abs(y).max()))  # on an exact line the likelihood stays finite
    value = cells.terms(offset + design @ theta, tau)[0]
    return LineFit(design, theta, tau, float(value.sum()), cells, True)


def _newton(
    design: NDArray, cells: CountCells, offset: NDArray, tau: float, theta: NDArray
) -> tuple[NDArray, float]:
    value, first, second = cells.terms(offset + design @ theta, tau)
    total = value.sum()
    for _ in range(100):
        if not len(theta):
            break
        information = -(design.T * second) @ design
        try:
            step = np.linalg.solve(information, design.T @ first)
        except np.linalg.LinAlgError:
            raise FitError(
                "pass counts: the law is not determined; add sizes with passes and failures"
            ) from None
        for _ in range(40):  # halve until the likelihood does not fall
            new_value, new_first, new_second = cells.terms(offset + design @ (theta + step), tau)
            if new_value.sum() >= total - 1e-12 * abs(total):
                break
            step = step / 2
        theta, first, second = theta + step, new_first, new_second
        gained, total = new_value.sum() - total, new_value.sum()
        # with a spread the derivatives are those of a quadrature, right to about eleven digits
        if np.abs(step).max() < 1e-10 * (1 + np.abs(theta).max()) or abs(gained) < 1e-11 * (1 + abs(total)):
            break
    else:
        raise FitError("pass counts: no maximum found; are all counts zero, or all passes?")
    return theta, float(total)
