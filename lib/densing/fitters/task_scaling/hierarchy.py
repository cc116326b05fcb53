"""A line for every instance, shrunk toward the others: empirical Bayes with a normal prior on its two constants."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from densing.fitters.task_scaling.tables import PassTable

_ROUNDS, _INNER = 200, 5
_LARGEST_STEP = 3.0
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(21)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True, eq=False)
class InstanceLines:
    """Lines F_s(x) = level_s - alpha_s (x - center), one an instance, on x = ln N.

    Attributes
    ----------
    center : mean of ln N over the models.
    mean : (I, 2) posterior means of level and minus alpha. covariance : (I, 2, 2) posterior covariances.
    prior_mean, prior_covariance : of the population of instances.
    scatter : standard deviation of an instance's F at one model around its line.
    """

    center: float
    mean: NDArray
    covariance: NDArray
    prior_mean: NDArray
    prior_covariance: NDArray
    scatter: float

    def rates(self, log_size: NDArray, shift: NDArray | float = 0.0, *, plug_in: bool = False) -> NDArray:
        """Mean rate over the instances at each ln N (m,), all lines shifted by `shift` (m,).

        By default the mean over each instance's uncertainty and scatter, because the rate is not linear in F;
        with `plug_in` the rate at the posterior mean.
        """
        F, spread = self._F(log_size)
        F = F + np.asarray(shift, float)
        if plug_in:
            return np.exp(-np.exp(F)).mean(0)
        return (np.exp(-np.exp(F[..., None] + spread[..., None] * _NODES)) @ _WEIGHTS).mean(0)

    def shift_to(self, log_size: float, rate: float) -> float:
        """Shift of all lines that makes the mean rate at one ln N the given one, in (0, 1)."""
        F, spread = self._F(log_size)
        loss = np.exp(F[..., None] + spread[..., None] * _NODES)

        def excess(shift: float) -> float:
            return float((np.exp(-loss * np.exp(shift)) @ _WEIGHTS).mean() - rate)

        return float(optimize.brentq(excess, -60, 60))

    def _F(self, log_size: NDArray | float) -> tuple[NDArray, NDArray]:
        """(I, m) F of the lines and its standard deviation, from their uncertainty and the scatter."""
        x = np.atleast_1d(np.asarray(log_size, float)) - self.center
        design = np.stack([np.ones_like(x), x])
        variance = np.einsum("km,ikl,lm->im", design, self.covariance, design) + self.scatter**2
        return self.mean @ design, np.sqrt(variance)


def fit_instances(table: PassTable) -> InstanceLines:
    """Fit the lines of all instances and the population that they come from.

    Exact values of F are taken as they are. Counts enter by working values (iterated weighted least squares of the
    likelihood), so that an instance without a pass says that its rate is small, and by how little it knows.

    References
    ----------
    Laird and Ware (1982), Random-effects models for longitudinal data (the EM algorithm); Breslow and Clayton (1993),
    Approximate inference in generalized linear mixed models (the working values).
    """
    log_size = np.log(table.size)
    center = float(log_size.mean())
    design = np.stack([np.ones_like(log_size), log_size - center], 1)
    if table.exact:
        with np.errstate(divide="ignore"):
            working = np.log(-np.minimum(table.log_p, -1e-300))
        variance = np.zeros_like(working)
    else:
        rate = (table.passes + 0.5) / (table.samples + 1)
        working, variance = np.log(-np.log(rate)), np.ones_like(rate)
    state = _start(design, working)
    rounds = 0
    while True:
        if not table.exact:
            working, variance = _working(table, _modes(design, working, variance, state))
        before = state
        for _ in range(_INNER):
            state = _em(design, working, variance, state)
        rounds += 1
        moved = max(float(np.abs(new - old).max()) for new, old in zip(state[1:4], before[1:4], strict=True))
        if rounds >= _ROUNDS or moved < 1e-5:
            break
    means, prior_mean, prior_covariance, scatter, covariances = state
    return InstanceLines(center, means, covariances, prior_mean, prior_covariance, float(scatter))


def _start(design: NDArray, working: NDArray) -> tuple:
    means = np.linalg.lstsq(design, working.T, rcond=None)[0].T
    left = working - means @ design.T
    spread = np.cov(means.T) if len(means) > 1 else np.eye(2)
    zero = np.zeros((len(means), 2, 2))
    return means, means.mean(0), spread + 1e-6 * np.eye(2), max(float(left.std()), 1e-3), zero


def _em(design: NDArray, working: NDArray, variance: NDArray, state: tuple) -> tuple:
    """One step: posteriors of the instances, then the population and the scatter."""
    _, prior_mean, prior_covariance, scatter, _ = state
    weights = 1 / (variance + scatter**2)
    precision = np.linalg.inv(prior_covariance)
    information = np.einsum("jk,ij,jl->ikl", design, weights, design) + precision
    covariances = np.linalg.inv(information)
    right = np.einsum("jk,ij,ij->ik", design, weights, working) + precision @ prior_mean
    means = np.einsum("ikl,il->ik", covariances, right)
    prior_mean = means.mean(0)
    off = means - prior_mean
    prior_covariance = (covariances.sum(0) + off.T @ off) / len(means) + 1e-10 * np.eye(2)
    kept = scatter**2 * weights
    around = np.einsum("jk,ikl,jl->ij", design, covariances, design)
    left = working - means @ design.T
    square = kept**2 * (left**2 + around) + kept * variance
    return means, prior_mean, prior_covariance, max(float(np.sqrt(square.mean())), 1e-6), covariances


def _modes(design: NDArray, working: NDArray, variance: NDArray, state: tuple) -> NDArray:
    """Most likely F of every instance under every model, its scatter included."""
    means, _, _, scatter, _ = state
    line = means @ design.T
    return line + scatter**2 / (scatter**2 + variance) * (working - line)


def _working(table: PassTable, F: NDArray) -> tuple[NDArray, NDArray]:
    """Values whose weighted least squares step is the likelihood's, and their variances."""
    m = np.exp(np.clip(F, -12, 6.0))
    p = np.exp(-m)
    step = (1 - table.passes / table.samples / p) / m
    with np.errstate(divide="ignore", over="ignore"):
        variance = -np.expm1(-m) / (table.samples * m**2 * p)
    return F + np.clip(step, -_LARGEST_STEP, _LARGEST_STEP), np.minimum(variance, 1e12)
