"""What a fitted task scaling law says: its constants, predictions with intervals, and whether it bends."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from densing.checks import check_range
from densing.errors import InputError
from densing.fitters.bootstrap import Estimate
from densing.fitters.task_scaling.curvature import CurvatureTest, curvature_test
from densing.fitters.task_scaling.hierarchy import InstanceLines
from densing.fitters.task_scaling.line import LineFit
from densing.fitters.task_scaling.scatter import Scatter, scatter_of
from densing.fitters.task_scaling.tables import PassTable


@dataclass(frozen=True, eq=False)
class _Results:
    """What both units share.

    Attributes
    ----------
    table : the data. level : of all intervals. line : the fit to the test set. method : how it was made.
    """

    table: PassTable
    level: float
    line: LineFit
    method: str

    @cached_property
    def F(self) -> NDArray:
        """(J,) observed F of the mean rate of each model; no pass at all counts as half of one."""
        if self.table.exact:
            return self.table.cells().F
        rate = np.maximum(self.table.mean_rates(), self.table.lowest_rates())
        return np.log(-np.log(np.minimum(rate, 1 - 1e-12)))

    @property
    def center(self) -> float:
        """Mean of ln N over the models."""
        return float(np.log(self.table.size).mean())

    @cached_property
    def r_squared(self) -> float:
        """Share of the variance of F between the sizes' means that the straight line explains."""
        size = self.table.size
        means = np.array([self.F[size == own].mean() for own in self.table.sizes])
        line = np.array([self._line_F(np.log(own)) for own in self.table.sizes])
        around = np.sum((means - means.mean()) ** 2)
        return float(1 - np.sum((means - line) ** 2) / around) if around else float("nan")

    def _line_F(self, log_size: ArrayLike) -> NDArray:
        return self.line.theta[0] + self.line.theta[1] * (np.asarray(log_size, float) - self.center)

    def curvature_test(self, *, draws: int = 1_000, seed: int = 0) -> CurvatureTest:
        """Does F bend? See `CurvatureTest`; `draws` and `seed` are of the bootstrap over instances (0: none).

        Raises
        ------
        InputError : fewer than four sizes.
        """
        return curvature_test(self.table, self.line.cells, self.F, level=self.level, draws=draws, seed=seed)

    def _leverage(self, size: float) -> NDArray:
        """(J,) weights of the models in the line's value at `size`."""
        return np.array([1.0, np.log(size) - self.center]) @ self.line.influence

    def _scatter(self, residuals: NDArray) -> Scatter:
        known = self.table.known(2)
        return scatter_of(residuals[known], self.table.size[known], 2)

    def _predictions(self, N: ArrayLike, models: int, scatter: Scatter, rate) -> pd.DataFrame:
        check_range("models", models, 1, integer=True)
        N = np.atleast_1d(np.asarray(N, float))
        if not (np.isfinite(N) & (N > 0)).all():
            raise InputError(f"N = {N.tolist()!r}: must be positive numbers of parameters")
        rows = []
        for size in N:
            weights = self._leverage(size)
            of_law, of_models = (
                scatter.half_width(weights, self.table.size, self.level, fresh) for fresh in (0, models)
            )
            # a larger F is a smaller rate
            shifts = (0.0, of_law, -of_law, of_models, -of_models)
            rows.append([size, *(rate(np.log(size), shift) for shift in shifts)])
        names = ("size", "rate", "law_lower", "law_upper", "lower", "upper")
        return pd.DataFrame(rows, columns=names)


@dataclass(frozen=True, eq=False)
class TestSetResults(_Results):
    """One law for the mean rate of a test set.

    Attributes
    ----------
    table, level, line, method : see `TaskScalingLaw`.
    """

    __test__ = False  # no test of pytest's

    @cached_property
    def alpha(self) -> Estimate:
        """Exponent, with its profile-likelihood interval."""
        slope = self.line.profile(1, self.level)
        return Estimate(-slope.value, -slope.upper, -slope.lower, self.level)

    @cached_property
    def c(self) -> Estimate:
        """Nats of the answer at N = 1, far outside the data: its interval mirrors that of alpha."""
        moved = self.line.design @ np.array([[1.0, self.center], [0.0, 1.0]])
        at_one = LineFit(
            moved,
            np.array([self.line.theta[0] - self.center * self.line.theta[1], self.line.theta[1]]),
            self.line.tau,
            self.line.log_likelihood,
            self.line.cells,
            self.line.spread,
        )
        return at_one.profile(0, self.level).transform(lambda log_c: float(np.exp(np.minimum(log_c, 700.0))))

    @property
    def tau(self) -> float:
        """Spread of F between models, beyond sampling."""
        return self.line.tau

    def predict(self, N: ArrayLike, *, models: int = 1) -> pd.DataFrame:
        """Rates at sizes N.

        Parameters
        ----------
        N : (m,) parameters.
        models : the interval is for the mean of so many new models of that size.

        Returns
        -------
        size, rate, law_lower, law_upper (interval of the law) and lower, upper (of new models); both from the scatter
        of the observed models around the law, by size where sizes scatter more than models do.
        """
        scatter = self._scatter(self.F - self._line_F(np.log(self.table.size)))
        return self._predictions(
            N, models, scatter, lambda x, shift: float(np.exp(-np.exp(self._line_F(x) + shift)))
        )

    def effective_size(self, rate: float) -> float:
        """Size at which the law gives `rate`; works where a greedy score is still zero."""
        check_range("rate", rate, 0, 1, open_low=True, open_high=True)
        slope = self.line.theta[1]
        return float(np.exp(self.center + (np.log(-np.log(rate)) - self.line.theta[0]) / slope))


@dataclass(frozen=True, eq=False)
class InstanceResults(_Results):
    """A law for every instance, and the mean of what they predict.

    Attributes
    ----------
    table, level, line, method : see `TaskScalingLaw`. lines : of the instances.
    """

    lines: InstanceLines

    @property
    def instances(self) -> pd.DataFrame:
        """Posterior mean constants of each instance: instance, log_c, alpha, alpha_sd."""
        level, slope = self.lines.mean.T
        return pd.DataFrame(
            {
                "instance": self.table.instances,
                "log_c": level - slope * self.lines.center,
                "alpha": -slope,
                "alpha_sd": np.sqrt(self.lines.covariance[:, 1, 1]),
            }
        )

    @cached_property
    def residuals(self) -> NDArray:
        """(J,) shift of all instances' F that makes the predicted mean rate of each model the observed one."""
        pairs = zip(np.log(self.table.size), np.exp(-np.exp(self.F)), strict=True)
        return np.array([self.lines.shift_to(x, rate) for x, rate in pairs])

    def predict(self, N: ArrayLike, *, models: int = 1, plug_in: bool = False) -> pd.DataFrame:
        """Rates at sizes N; as `TestSetResults.predict`, with `plug_in` as in the paper.

        Parameters
        ----------
        N, models : see there.
        plug_in : average the rates at the instances' best lines, not over their uncertainty and scatter.
        """
        scatter = self._scatter(self.residuals)
        return self._predictions(
            N, models, scatter, lambda x, shift: float(self.lines.rates(x, shift, plug_in=plug_in)[0])
        )
