"""Power laws of the log-likelihoods of many choices at once: one exponent, shrunken slopes, residuals kept together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class ChoiceLaws:
    """Lines y = level - slope · x(alpha) of minus log p for every series (a choice of an item).

    x(alpha) = (1 - exp(-alpha z)) / alpha - mean, z = ln C - mean ln C, is C^-alpha up to scale and shift, so that the
    line is c_0 + c_1 C^-alpha; at alpha = 0 it is ln C.

    Attributes
    ----------
    alpha : shared exponent.
    center : mean of ln C. shift : mean of the uncentred x over the models.
    level, slope : (series,); slopes shrunken towards the line of slope on level of their kind.
    error : (series,) standard deviation of what is left unknown of each slope, over that of a residual.
    residuals : (models, series) about the unshrunken lines.
    spread : sum of x^2 over models.
    """

    alpha: float
    center: float
    shift: float
    level: NDArray
    slope: NDArray
    error: NDArray
    residuals: NDArray
    spread: float

    def x(self, log_compute: NDArray) -> NDArray:
        """The transformed scale at other amounts of compute."""
        return transformed(log_compute - self.center, self.alpha) - self.shift

    def value(self, log_compute: NDArray) -> NDArray:
        """(targets, series) expected log p."""
        return self.slope * self.x(np.asarray(log_compute, float))[:, None] - self.level


def transformed(z: NDArray, alpha: float) -> NDArray:
    """(1 - exp(-alpha z)) / alpha, z itself at alpha = 0."""
    return z if alpha == 0 else -np.expm1(-alpha * z) / alpha


def choose_exponent(y: NDArray, z: NDArray, exponents: NDArray, weights: NDArray) -> NDArray:
    """The exponent with the largest profile likelihood under each row of model weights.

    Parameters
    ----------
    y : (models, series) minus log p. z : (models,) centred ln C.
    exponents : (E,) candidates.
    weights : (B, models), how often each model counts.

    Returns
    -------
    (B,) the candidate with the least sum over series of ln(residual sum of squares): every series has a variance of
    its own, so a noisy one does not decide for all.
    """
    total = weights.sum(axis=1, keepdims=True)
    # the level of a series does not matter and would cost digits
    y = y - y.mean(axis=0)
    mean_y = weights @ y / total
    square = np.maximum(weights @ y**2 - total * mean_y**2, 0)
    scores = np.empty((len(exponents), len(weights)))
    for row, alpha in enumerate(exponents):
        x = transformed(z, float(alpha))
        mean_x = weights @ x / total[:, 0]
        sxx = weights @ x**2 - total[:, 0] * mean_x**2
        sxy = (weights * x) @ y - total * mean_x[:, None] * mean_y
        left = square - sxy**2 / np.maximum(sxx, _TINY)[:, None]
        scores[row] = np.log(np.maximum(left, _TINY * (square + _TINY))).sum(axis=1)
    return exponents[scores.argmin(axis=0)]


def fit_choice_laws(
    y: NDArray, log_compute: NDArray, alpha: float, kind: NDArray, *, shrink: bool = True
) -> ChoiceLaws:
    """Least-squares lines at a given exponent, slopes shrunken by empirical Bayes.

    Parameters
    ----------
    y : (models, series) minus log p.
    kind : (series,) 1 for right choices, 0 for incorrect ones: each kind has a prior of its own,
        slope ~ N(g_0 + g_1 level, tau^2), estimated by moments.
    """
    center = log_compute.mean()
    x = transformed(log_compute - center, alpha)
    shift = float(x.mean())
    x = x - shift
    spread = float(x @ x)
    level = y.mean(axis=0)
    slope = -(x @ y) / spread
    residuals = y - level + np.outer(x, slope)
    freedom = max(len(y) - 2, 1)
    variance = (residuals**2).sum(axis=0) / freedom / spread
    kept = np.ones(len(slope))
    if shrink:
        for one in np.unique(kind):
            mine = np.flatnonzero(kind == one)
            slope[mine], kept[mine] = _shrunken(slope[mine], level[mine], variance[mine])
    return ChoiceLaws(alpha, float(center), shift, level, slope, np.sqrt(kept / spread), residuals, spread)


def _shrunken(slope: NDArray, level: NDArray, variance: NDArray) -> tuple[NDArray, NDArray]:
    """Posterior means of slopes, and which part of their sampling variance remains."""
    if len(slope) < 4:
        return slope, np.ones(len(slope))
    design = np.stack([np.ones_like(level), level - level.mean()], axis=1)
    fitted = design @ np.linalg.lstsq(design, slope, rcond=None)[0]
    between = ((slope - fitted) ** 2).sum() / (len(slope) - 2) - variance.mean()
    kept = max(between, 0) / np.maximum(max(between, 0) + variance, _TINY)
    return fitted + kept * (slope - fitted), kept
