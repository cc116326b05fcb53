"""The estimator that every chapter fits its laws with."""

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from densing.checks import check_choice, check_range
from densing.errors import FitError, InputError
from densing.fitters.scaling import frames, intervals, resampling
from densing.fitters.scaling.coordinates import coordinates_for
from densing.fitters.scaling.losses import LOSSES, automatic_delta
from densing.fitters.scaling.problem import Optimum, Problem
from densing.fitters.scaling.reference import solve_with_scipy
from densing.fitters.scaling.results import ScalingLawResults
from densing.laws import base

_PUBLISHED_DELTA = 1e-3
_AT_BOUND = 0.025
_FEW_ROWS = 10


class ScalingLaw:
    """A law and the runs to fit it to.

    ``ScalingLaw("chinchilla", runs, columns={"N": "params", "D": "tokens", "y": "loss"}).fit()`` minimises

        sum_i w_i Huber_delta(log y-hat_i - log y_i)

    from many starts at once and refits a thousand resamples. The objective is a sum, not a mean: a mean shrinks
    gradients below the tolerances of common optimisers, which then stop early.

    Parameters
    ----------
    law : a `Law` or its name.
    data : one row a run.
    columns : each input of the law, and "y", to the column that holds it.
    weights : column name or numbers > 0; None: all rows alike.
    groups : column name or labels of the run a row belongs to; resampling then draws whole runs. Required when the
        table has several rows of one run; False says that rows are independent all the same.

    Raises
    ------
    InputError : an unknown law or column, or a value that is not a finite number (above 0 for sizes); names column
        and row.

    References
    ----------
    Hoffmann et al. 2022, section 3.3 (objective); Besiroglu et al. 2024 (sum against mean, bootstrap).
    """

    def __init__(
        self,
        law: base.Law | str,
        data: pd.DataFrame,
        *,
        columns: Mapping[str, str],
        weights=None,
        groups=None,
    ):
        law = base.get(law) if isinstance(law, str) else law
        if not isinstance(law, base.Law):
            raise InputError(f"law = {law!r}: must be a law or one of {', '.join(base.known_laws())}")
        self._rows = frames.read_rows(law, data, columns, weights, groups)
        self.law = law.resolve(dict(zip(law.inputs, self._rows.x, strict=True)))
        self.columns = dict(columns)
        self._data, self._groups = data, groups

    def fit(
        self,
        loss: str = "huber",
        delta: float | str = _PUBLISHED_DELTA,
        scale: str = "log",
        method: str = "batched",
        starts: int = 64,
        bootstrap: int = 1000,
        resampling: str = "case",
        bounds: Mapping[str, tuple[float, float]] | None = None,
        fixed: Mapping[str, float] | None = None,
        tie: Mapping[str, str] | None = None,
        seed: int = 0,
        n_jobs: int = 1,
        iterations: int = 300,
    ) -> ScalingLawResults:
        """Fit the law.

        Parameters
        ----------
        loss : "huber" or "squared".
        delta : where the Huber loss turns from square to straight, unit of the residuals; "auto": 1.345 robust standard
            deviations of the residuals of a first fit.
        scale : "log" residuals, or "identity" (for a response that may be zero or negative).
        method : "batched", or "reference": SciPy's L-BFGS-B from the same starts, one after the other.
        starts : number of starts.
        bootstrap : resamples, 0 for none, else at least 50.
        resampling : "case" draws rows or runs; "residual" keeps the inputs of a designed grid and draws residuals.
        bounds, fixed, tie : parameter to (lower, upper), to a value, or to the parameter it equals.
        seed : of starts and resamples; the same seed gives the same bytes, whatever `n_jobs`.
        n_jobs : processes for the resamples; -1 for all cores.
        iterations : at most so many steps from a start; the batched method needs 20 to 60 as a rule.

        Raises
        ------
        InputError : an option out of range, too little data, or a response that the scale does not allow.
        FitError : no start led anywhere; ends with what to try.

        Warns
        -----
        IdentifiabilityWarning : inputs are proportional to each other.
        """
        self._check_options(
            loss, delta, scale, method, starts, bootstrap, resampling, seed, n_jobs, iterations
        )
        constraints = {"bounds": bounds, "fixed": fixed, "tie": tie}
        with threadpool_limits(limits=1):
            coordinates = coordinates_for(self.law, self._rows.x, self._rows.y, **constraints)
            frames.check_design(self.law, self._rows, coordinates.mixing.shape[1])
            if bootstrap:
                self._check_resampling(resampling)
            kept = {name: dict(value or {}) for name, value in constraints.items()}
            make = lambda d: Problem(self.law, self._rows, coordinates, d, scale, int(seed), kept)  # noqa: E731
            if loss == "squared":
                width = np.inf
            else:
                width = self._automatic(make, starts) if delta == "auto" else float(delta)
            problem = make(width)
            if method == "batched":
                optimum = problem.solve(int(starts), int(iterations))
            else:
                optimum = solve_with_scipy(problem, int(starts))
            return self._results(problem, optimum, loss, method, int(bootstrap), resampling, int(n_jobs))

    def _automatic(self, make, starts: int) -> float:
        first = make(_PUBLISHED_DELTA)
        z = first.solve(int(starts)).z
        r = first.objective.residuals(z[None], first.y)[0] * np.sqrt(first.in_units(1.0))
        return automatic_delta(r) or _PUBLISHED_DELTA

    def _results(self, problem: Problem, optimum: Optimum, loss, method, bootstrap, kind, n_jobs):
        coordinates, names = problem.coordinates, self.law.names
        at_bound = coordinates.at_bound(optimum.z)
        draws, share, settled = None, np.zeros(len(names)), 1.0
        if bootstrap:
            found = resampling.bootstrap(
                problem,
                np.concatenate([optimum.z[None], optimum.others]),
                bootstrap,
                resampling=kind,
                n_jobs=n_jobs,
            )
            draws = coordinates.natural(found.z)
            share = coordinates.at_bound(found.z).mean(axis=0)
            settled = float(found.converged.mean())
        theta = coordinates.natural(optimum.z)
        if not np.isfinite(theta).all():
            raise FitError(f"{self.law.name}: the optimum has infinite parameters; fix one, or bound it")
        if optimum.agreement < 0.05 and optimum.starts >= 20:
            warnings.warn(
                f"{self.law.name}: only {optimum.agreement:.0%} of {optimum.starts} starts reached the best objective; "
                "try more starts",
                stacklevel=3,
            )
        unsure = [
            name for name, edge, part in zip(names, at_bound, share, strict=True) if edge or part > _AT_BOUND
        ]
        record = {
            "method": method,
            "starts": optimum.starts,
            "start_agreement": optimum.agreement,
            "iterations": optimum.iterations,
            "iterations_of_best": optimum.last_iterations,
            "distinct_optima": 1 + len(optimum.others),
            "at_bound": [name for name, edge in zip(names, at_bound, strict=True) if edge],
            "not_identified": unsure,
            "resampling": kind if bootstrap else None,
            "resamples_converged": settled,
        }
        rows = self._rows
        residuals = -problem.objective.residuals(optimum.z[None], problem.y)[0] * np.sqrt(
            problem.in_units(1.0)
        )
        return ScalingLawResults(
            law=self.law,
            columns=self.columns,
            scale=problem.on,
            loss=loss,
            delta=problem.delta,
            params=pd.Series(theta, index=list(names), name="params"),
            fun=optimum.fun,
            nobs=len(rows.y),
            df_resid=len(rows.y) - len(optimum.z),
            converged=optimum.converged,
            start_agreement=optimum.agreement,
            bootstrap_params=draws,
            resid=residuals,
            input_ranges={
                n: (float(v.min()), float(v.max())) for n, v in zip(self.law.inputs, rows.x, strict=True)
            },
            wald=intervals.wald_covariance(problem, optimum.z),
            data_digest=rows.digest,
            optimizer=record,
            seed=problem.seed,
            _problem=problem,
            _z=optimum.z,
        )

    def _check_options(
        self, loss, delta, scale, method, starts, bootstrap, kind, seed, n_jobs, iterations
    ) -> None:
        check_choice("loss", loss, LOSSES)
        if delta != "auto":
            check_range("delta", delta, 0, open_low=True)
        check_choice("scale", scale, ("log", "identity"))
        check_choice("method", method, ("batched", "reference"))
        check_choice("resampling", kind, ("case", "residual"))
        check_range("starts", starts, 1, 4_096, integer=True)
        check_range("bootstrap", bootstrap, 0, 1_000_000, integer=True)
        if 0 < bootstrap < 50:
            raise InputError(f"bootstrap = {bootstrap}: must be 0 for none, or at least 50")
        check_range("seed", seed, 0, 2**32 - 1, integer=True)
        check_range("n_jobs", n_jobs, -1, 512, integer=True)
        check_range("iterations", iterations, 1, 100_000, integer=True)
        if n_jobs == 0:
            raise InputError("n_jobs = 0: must be a number of processes, or -1 for all cores")
        y = self._rows.y
        if scale == "log" and (y <= 0).any():
            at = int(np.argmax(y <= 0))
            raise InputError(
                f"column {self.columns['y']!r}, row {self._data.index[at]}: {y[at]:g} has no logarithm; fit with "
                'scale="identity"'
            )

    def _check_resampling(self, kind: str) -> None:
        frames.check_independence(self._data, self._groups)
        y = self._rows.y
        if kind == "case" and self._rows.groups is None and len(y) < _FEW_ROWS:
            raise InputError(f'data: {len(y)} rows are too few to draw from; fit with resampling="residual"')
        if kind == "residual" and self._rows.groups is not None:
            raise InputError(
                'resampling = "residual": draws rows one by one, which groups forbid; use "case"'
            )
