"""Likelihood of pass counts under p = exp(-e^eta), alone and with a random effect for each trained model."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(21)
_LOG_WEIGHTS = np.log(_WEIGHTS) - 0.5 * np.log(2 * np.pi)
_LARGEST = 6.5  # of eta: exp(-e^6.5) = 1e-289


def count_likelihood(
    eta: ArrayLike, passes: ArrayLike, samples: ArrayLike
) -> tuple[NDArray, NDArray, NDArray]:
    """Log-likelihood s ln p + (K - s) ln(1 - p) at p = exp(-e^eta), with its first two derivatives by eta.

    The stopping rule adds a constant only: rows stopped at a pass (negative binomial), rows of a fixed number of
    samples (binomial) and rows that were cut without a pass all have this likelihood. It is that of a binomial
    regression of failures with the complementary log-log link.

    Parameters
    ----------
    eta : F = ln(-ln p).
    passes, samples : s and K; need not be whole.

    Returns
    -------
    value, first and second derivative; the second is never positive.
    """
    eta = np.minimum(np.asarray(eta, float), _LARGEST)
    s = np.asarray(passes, float)
    failures = np.asarray(samples, float) - s
    m = np.exp(eta)
    ratio = m / np.expm1(m)
    value = failures * np.log(-np.expm1(-m)) - s * m
    return value, failures * ratio - s * m, failures * ratio * (1 - ratio - m) - s * m


@dataclass(frozen=True, eq=False)
class CountCells:
    """Pass counts of models (n,).

    With a spread tau the F of a model scatters normally around its law and is integrated out by adaptive
    Gauss-Hermite quadrature.
    """

    passes: NDArray
    samples: NDArray
    exact = False

    def terms(self, eta: NDArray, tau: float) -> tuple[NDArray, NDArray, NDArray]:
        """Log-likelihood of each model and its first two derivatives by eta."""
        if tau <= 0:
            return count_likelihood(eta, self.passes, self.samples)
        u = np.zeros_like(eta)
        for _ in range(50):  # Newton: the integrand is log-concave
            _, first, second = count_likelihood(eta + u, self.passes, self.samples)
            step = (first - u / tau**2) / (second - 1 / tau**2)
            u = u - np.clip(step, -2, 2)
            if np.abs(step).max() < 1e-10:
                break
        width = 1 / np.sqrt(1 / tau**2 - count_likelihood(eta + u, self.passes, self.samples)[2])
        nodes = u[:, None] + width[:, None] * _NODES
        value, first, second = count_likelihood(
            eta[:, None] + nodes, self.passes[:, None], self.samples[:, None]
        )
        log_terms = value - 0.5 * (nodes / tau) ** 2 + 0.5 * _NODES**2 + _LOG_WEIGHTS
        total = logsumexp(log_terms, 1)
        weights = np.exp(log_terms - total[:, None])
        mean = (weights * first).sum(1)
        bend = (weights * (second + first**2)).sum(1) - mean**2
        return total + np.log(width / tau), mean, bend


@dataclass(frozen=True, eq=False)
class ExactCells:
    """Values of F known without sampling error (n,); they scatter normally around the law.

    With `precision` (n,) the variance of a value is tau^2 / precision.
    """

    F: NDArray
    precision: NDArray | float = 1.0
    exact = True

    def terms(self, eta: NDArray, tau: float) -> tuple[NDArray, NDArray, NDArray]:
        """Log-density of each model and its first two derivatives by eta."""
        root = np.sqrt(np.broadcast_to(self.precision, np.shape(self.F))) / tau
        off = (self.F - eta) * root
        return np.log(root) - 0.5 * off**2, off * root, -(root**2)
