"""The result of a fit, in the vocabulary of statsmodels."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
from scipy import stats

from densing.checks import check_choice, check_range
from densing.errors import FitError, InputError
from densing.fitters.bootstrap import Estimate
from densing.fitters.scaling import intervals
from densing.fitters.scaling.frames import read_inputs
from densing.fitters.scaling.inversion import solve_input
from densing.fitters.scaling.losses import Loss
from densing.fitters.scaling.prediction import Prediction, allocation_frame, normal_draws
from densing.fitters.scaling.problem import Problem
from densing.fitters.scaling.profile import profile, profile_interval
from densing.fitters.scaling.resampling import leave_one_out
from densing.fitters.scaling.summary import summary_tables
from densing.laws.base import Law

METHODS = ("bootstrap", "bca", "profile", "wald")


@dataclass(frozen=True, eq=False)
class ScalingLawResults:
    """A fitted law; made by `ScalingLaw.fit` or `from_json`, never changed.

    Attributes
    ----------
    params : fitted parameters, by name. law, law_name, columns, scale, loss, delta : what was fitted.
    fun : the objective, a sum over rows. nobs : rows. df_resid : rows minus free parameters.
    converged : whether the optimiser met its criterion. start_agreement : share of starts that reached the optimum.
    bootstrap_params : parameters of each resample (B, p), None without bootstrap.
    data_digest : SHA-256 of the used columns. optimizer : record of the optimisation.
    """

    law: Law
    columns: Mapping[str, str]
    scale: str
    loss: str
    delta: float
    params: pd.Series
    fun: float
    nobs: int
    df_resid: int
    converged: bool
    start_agreement: float
    bootstrap_params: np.ndarray | None
    resid: np.ndarray
    input_ranges: Mapping[str, tuple[float, float]]
    wald: np.ndarray
    data_digest: str
    optimizer: Mapping
    seed: int
    _problem: Problem | None = field(default=None, repr=False)
    _z: np.ndarray | None = field(default=None, repr=False)

    def __post_init__(self):
        for name in ("bootstrap_params", "resid", "wald"):
            array = getattr(self, name)
            if array is not None:
                array.flags.writeable = False
        self.params.to_numpy().flags.writeable = False
        for name in ("columns", "input_ranges", "optimizer"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value:.5g}" for name, value in self.params.items())
        return f"<fit of {self.law.name} to {self.nobs} rows: {shown}>"

    @property
    def _theta(self) -> np.ndarray:
        return self.params.to_numpy()

    @cached_property
    def bse(self) -> pd.Series:
        """Standard errors: of the bootstrap, else from the curvature."""
        return pd.Series(np.sqrt(np.diag(self.cov_params())), self.params.index, name="bse")

    def cov_params(self, method: str | None = None) -> pd.DataFrame:
        """Covariance of the parameters: ``"bootstrap"`` (the default where there is one) or ``"wald"``."""
        method = method or ("wald" if self.bootstrap_params is None else "bootstrap")
        check_choice("method", method, ("bootstrap", "wald"))
        if method == "wald":
            covariance = self.wald
        else:
            covariance = np.cov(self._draws("cov_params"), rowvar=False)
        names = self.params.index
        return pd.DataFrame(np.atleast_2d(covariance), names, names)

    def conf_int(self, level: float = 0.95, method: str | None = None) -> pd.DataFrame:
        """Confidence intervals of the parameters, columns lower and upper.

        Parameters
        ----------
        method : ``"bootstrap"`` (percentiles of the resamples; the default where there are any), ``"bca"``
            (bias-corrected and accelerated), ``"profile"`` (quasi-likelihood) or ``"wald"`` (normal; on logarithms
            of positive parameters).
        """
        check_range("level", level, 0, 1, open_low=True, open_high=True)
        method = method or ("wald" if self.bootstrap_params is None else "bootstrap")
        check_choice("method", method, METHODS)
        if method == "bootstrap":
            lower, upper = intervals.percentile(self._draws(method), level)
        elif method == "bca":
            lower, upper = intervals.bca(self._draws(method), self._theta, self._left_out, level)
        elif method == "profile":
            ends = [self._profile_ends(name, level) for name in self.params.index]
            lower, upper = np.array(ends).T
        else:
            lower, upper = self._wald_ends(level)
        return pd.DataFrame({"lower": lower, "upper": upper}, index=self.params.index)

    def profile(self, name: str, grid: int = 41) -> pd.DataFrame:
        """Objective against one parameter, the others refitted: columns value, objective, excess.

        Excess is in units of the estimated scale; a `level` interval ends where it is half the chi-squared quantile.
        """
        check_range("grid", grid, 9, 2_001, integer=True)
        problem = self._live("profile")
        check_choice("name", name, list(self.params.index))
        se = float(np.sqrt(self.wald[self.params.index.get_loc(name), self.params.index.get_loc(name)]))
        return profile(problem, self._theta, name, int(grid), se)

    @cached_property
    def fittedvalues(self) -> np.ndarray:
        """Fitted response of each row."""
        return self.law.value(self._theta, self._live("fittedvalues").rows.x)

    def objective_at(self, **params: float) -> float:
        """The fit's objective at other parameters, published ones say; all of them, by name."""
        problem = self._live("objective_at")
        theta = self.law.pack(params)
        with np.errstate(all="ignore"):
            fitted = self.law.value(theta, problem.rows.x)
            r = np.log(fitted / problem.rows.y) if self.scale == "log" else fitted - problem.rows.y
        return float(problem.rows.weights @ Loss(self.delta).value(r))

    def refit(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Parameters (B, p) and objectives (B,) of refits with other row weights (B, n), from the optimum."""
        problem = self._live("refit")
        weights = np.atleast_2d(np.asarray(weights, dtype=float))
        if weights.shape[1] != self.nobs or not np.isfinite(weights).all() or (weights < 0).any():
            raise InputError(
                f"weights: must be rows of {self.nobs} numbers of at least 0, has shape {weights.shape}"
            )
        found = problem.refit(self._z[None], weights)
        return problem.coordinates.natural(found.z), problem.in_units(found.fun)

    @property
    def not_identified(self) -> list[str]:
        """Parameters at a bound at the optimum or in more than 2.5 % of the resamples."""
        return list(self.optimizer["not_identified"])

    def predict(self, exog=None) -> np.ndarray:
        """The law at new inputs (a frame with the fitted columns, or a mapping of the law's inputs); None: the data."""
        return self.fittedvalues if exog is None else self.law.value(self._theta, self._inputs(exog))

    def get_prediction(self, exog, method: str = "bootstrap") -> Prediction:
        """Prediction at new inputs with intervals.

        Parameters
        ----------
        exog : as in `predict`.
        method : of the curve's interval: ``"bootstrap"`` (as ``"wald"`` where the fit has no resamples), ``"bca"`` or
            ``"wald"`` (delta method).
        """
        check_choice("method", method, ("bootstrap", "bca", "wald"))
        x = self._inputs(exog)
        mean = self.law.value(self._theta, x)
        left_out = self.law.value(self._left_out, x) if method == "bca" else None
        if self.bootstrap_params is None or method == "wald":
            gradient = self.law.jacobian(self._theta, x)
            draws = normal_draws(mean, gradient, self.wald, self.scale == "log")
        else:
            draws = self.law.value(self.bootstrap_params, x)
        wide = self.resid * np.sqrt(self.nobs / self.df_resid)
        return Prediction(mean, draws, left_out, wide, self.scale == "log", self.seed)

    def allocate(self, flops, level: float = 0.95) -> pd.DataFrame:
        """Inputs of least loss at training compute `flops`, with intervals and the loss there; a row a budget."""
        check_range("level", level, 0, 1, open_low=True, open_high=True)
        flops = np.atleast_1d(np.asarray(flops, dtype=float))
        for value in flops:
            check_range("flops", float(value), 0, open_low=True)
        parts, draws = self._allocated(self._theta[None], flops), None
        if self.bootstrap_params is not None:
            draws = self._allocated(self.bootstrap_params, flops)
        parts = {name: value[0] for name, value in parts.items()}
        for name, (low, high) in self.input_ranges.items():
            outside = (parts[name] < low) | (parts[name] > high) if name in parts else np.array([False])
            if outside.any():
                warnings.warn(
                    f"not bracketed: the optimum at {flops[np.argmax(outside)]:.3g} FLOPs has {name} = "
                    f"{parts[name][np.argmax(outside)]:.3g}, the data end at {low:.3g} and {high:.3g}",
                    stacklevel=2,
                )
        return allocation_frame(flops, parts, draws, level)

    def _allocated(self, theta, flops):
        parts = self.law.allocate(theta, flops)
        inputs = [parts[name] for name in self.law.inputs]
        loss = [
            [self.law.value(t, np.stack(x, 0)[:, None])[0] for x in zip(*rows, strict=True)]
            for t, *rows in zip(theta, *inputs, strict=True)
        ]
        return parts | {"loss": np.array(loss)}

    def invert(self, loss: float, level: float = 0.95, **inputs: float) -> Estimate:
        """The one input that is not given, at which the law equals `loss`, with its interval.

        At or below the floor the answer is inf, with a warning. The interval comes from the resamples, so it may be
        infinite above.
        """
        check_range("loss", loss)
        unknown = [name for name in self.law.inputs if name not in inputs]
        if len(unknown) != 1 or len(inputs) != len(self.law.inputs) - 1:
            raise InputError(
                f"invert: give all inputs but one of {', '.join(self.law.inputs)}; got {', '.join(inputs) or 'none'}"
            )
        x = np.array([np.nan if n in unknown else float(inputs[n]) for n in self.law.inputs])
        for name, value in inputs.items():
            check_range(name, value, 0 if self.law.input_range == "positive" else None, open_low=True)
        at = list(self.law.inputs).index(unknown[0])
        typical = float(np.sqrt(np.prod(self.input_ranges[unknown[0]])))
        solve = lambda theta: solve_input(self.law, theta, loss, x, at, typical)  # noqa: E731
        value = float(solve(self._theta[None])[0])
        if not np.isfinite(value):
            warnings.warn(
                f"loss = {loss:g} is at or below the floor of the fitted law: {unknown[0]} is inf",
                stacklevel=2,
            )
        if self.bootstrap_params is None:
            return Estimate(value, np.nan, np.nan, level)
        return Estimate.from_draws(value, solve(self.bootstrap_params), level)

    def summary(self, level: float = 0.95):
        """Summary table (a statsmodels ``Summary``)."""
        return summary_tables(self, level)

    def to_json(self, path: str | Path | None = None) -> str:
        """Everything but the data, as JSON; also written to `path` when one is given."""
        text = json.dumps(self._as_dict(), indent=1, allow_nan=True)
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    @classmethod
    def from_json(cls, source: str | Path) -> "ScalingLawResults":
        """A result from the text, or the file, that `to_json` wrote; it holds no data, so cannot profile or do BCa."""
        from densing.fitters.scaling.storage import read_results

        return read_results(cls, source)

    def _as_dict(self) -> dict:
        from densing.fitters.scaling.storage import as_dict

        return as_dict(self)

    def _inputs(self, exog) -> np.ndarray:
        return read_inputs(self.law, exog, self.columns)

    def _draws(self, method: str) -> np.ndarray:
        if self.bootstrap_params is None:
            raise FitError(f"{method}: the fit has no resamples; fit again with bootstrap=1000")
        return self.bootstrap_params

    def _live(self, what: str) -> Problem:
        if self._problem is None:
            raise FitError(f"{what}: a result read from JSON holds no data; fit again")
        return self._problem

    @cached_property
    def _left_out(self) -> np.ndarray:
        return leave_one_out(self._live("bca"), self._z)

    def _profile_ends(self, name: str, level: float) -> tuple[float, float]:
        at = self.params.index.get_loc(name)
        if self.wald[at, at] == 0:
            return self._theta[at], self._theta[at]
        return profile_interval(self.profile(name), level)

    def _wald_ends(self, level: float):
        half = stats.norm.ppf((1 + level) / 2) * np.sqrt(np.diag(self.wald))
        positive = np.array([p.positive for p in self.law.parameters])
        theta = self._theta
        with np.errstate(over="ignore", divide="ignore"):
            factor = np.exp(half / np.abs(theta))
            lower = np.where(positive, theta / factor, theta - half)
            return lower, np.where(positive, theta * factor, theta + half)
