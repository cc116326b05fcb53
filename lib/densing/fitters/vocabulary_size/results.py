"""What an estimator of the optimal vocabulary found."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from densing.checks import check_range
from densing.errors import InputError
from densing.fitters.bootstrap import Estimate
from densing.laws.vocabulary_size import (
    SEARCHED,
    Coefficients,
    ParametricCoefficients,
    embedding_width,
    loss_slope,
    matching_flops,
    optimal_vocabulary,
)


@dataclass(frozen=True)
class VocabularyResults:
    """What an estimator of the optimal vocabulary found.

    Attributes
    ----------
    approach : 1 IsoFLOPs, 2 derivative, 3 parametric.
    coefficients : the estimate, as `optimal_vocabulary` takes it.
    draws : the same for every bootstrap resample.
    nobs, n_runs : rows used and the runs they belong to.
    fun : Huber objective (sum, delta 0.001). rms : root mean square residual, in the units of the objective.
    """

    approach: Literal[1, 2, 3]
    coefficients: Coefficients
    draws: tuple[Coefficients, ...]
    nobs: int
    n_runs: int
    fun: float
    rms: float

    def estimate(self, name: str, level: float = 0.95) -> Estimate:
        """A coefficient with its percentile interval.

        Parameters
        ----------
        name : a field of `coefficients`, or "gamma" (exponent of N_v,opt in N_nv; approaches 1 and 2).
        level : of the interval.
        """
        if not isinstance(getattr(self.coefficients, name, None), float):
            raise InputError(f"name = {name!r}: must be a number among the coefficients {self.coefficients}")
        return Estimate.from_draws(
            getattr(self.coefficients, name), [getattr(d, name) for d in self.draws], level
        )

    def optimal_vocabulary(
        self, n_nv: float, flops: float | None = None, *, width: float | None = None, level: float = 0.95
    ) -> Estimate:
        """`densing.laws.optimal_vocabulary` with the interval of the resamples.

        A resample whose law has no optimum counts as the end of the searched range (2 to 10 million entries)
        on the side to which its loss falls.
        """
        options = {"approach": self.approach, "width": width}
        value = optimal_vocabulary(n_nv, flops, coefficients=self.coefficients, **options)
        found = [_optimum_or_end(n_nv, flops, draw, options) for draw in self.draws]
        return Estimate.from_draws(value, found, level)


def huber_sum(residuals: np.ndarray, delta: float = 1e-3) -> float:
    """Sum of the Huber loss: r²/2 inside `delta`, delta·(|r| - delta/2) outside."""
    check_range("delta", delta, 0, open_low=True)
    size = np.abs(np.asarray(residuals, float))
    return float(np.where(size < delta, 0.5 * size**2, delta * (size - 0.5 * delta)).sum())


def summarize_fit(
    approach, coefficients, draws, nobs: int, n_runs: int, residuals: np.ndarray
) -> VocabularyResults:
    """Results with the objective and the r.m.s. of `residuals`."""
    rms = float(np.sqrt(np.mean(np.square(residuals))))
    return VocabularyResults(approach, coefficients, draws, nobs, int(n_runs), huber_sum(residuals), rms)


def _optimum_or_end(n_nv: float, flops: float | None, draw: Coefficients, options: dict) -> float:
    try:
        return optimal_vocabulary(n_nv, flops, coefficients=draw, **options)
    except InputError:
        if not isinstance(draw, ParametricCoefficients):
            raise
        width = options["width"] or embedding_width(n_nv)
        budget = matching_flops(n_nv) if flops is None else flops
        falls = loss_slope(math.log(SEARCHED[1]), n_nv, budget, width, draw) <= 0
        return SEARCHED[1] if falls else SEARCHED[0]
