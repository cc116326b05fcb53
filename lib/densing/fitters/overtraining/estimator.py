"""Loss of over-trained models, and the error that follows from it: two laws, fitted and resampled together."""

import difflib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from densing.checks import check_choice, check_columns, check_range
from densing.errors import InputError
from densing.fitters.overtraining.results import OverTrainingResults, widened_residuals
from densing.fitters.scaling.estimator import ScalingLaw
from densing.fitters.scaling.frames import check_independence
from densing.fitters.scaling.results import ScalingLawResults

_LEAST_LOSS_ROWS = 5  # one more than the law has parameters
_LEAST_ERROR_ROWS = 4
_DESIGNED = 15  # below so many rows a table is a designed grid, whose rows cannot be drawn
_LEAST_CASES = 10
_SAME_MULTIPLIER = 1e-3  # relative


class OverTraining:
    """The loss law of over-trained models and, when an error is given, the error law chained to it.

    L(C, M) = e + (a M^eta + b M^-eta) C^-eta with C = 6 N D and M = D / N, then Err(L) = epsilon - k e^(-gamma L),
    both by least squares on the raw values, with e, a, b, epsilon, k and gamma positive:

    ``OverTraining(runs, loss="loss", error="error").fit().predict(1.4e9, 900e9)``

    Parameters
    ----------
    runs : one trained model a row.
    loss : column of the loss, nats per token.
    error : column of the error rate, or columns whose mean it is, in [0, 1]; None: no error law.
    params, tokens : columns of the size N (with or without embeddings: the law's C = 6 N D counts the same) and of D.
    fit_rows : rows of the loss law, as a `pandas.DataFrame.query` string or truth values (n,); None: all.
    error_rows : rows of the error law, likewise; None: those of the loss law.
    groups : column or labels of the run a row belongs to; resampling then draws whole runs (see `ScalingLaw`).

    Raises
    ------
    InputError : an unknown column (close ones are named), an error outside [0, 1] or one that falls as the loss rises,
        as accuracies do, too few rows, or rows of one multiplier, one size or one number of tokens.

    References
    ----------
    Gadre et al. 2024, equations 4 and 5, table 2.
    """

    def __init__(
        self,
        runs: pd.DataFrame,
        *,
        loss: str = "loss",
        error: str | Sequence[str] | None = None,
        params: str = "params",
        tokens: str = "tokens",
        fit_rows: str | Sequence[bool] | None = None,
        error_rows: str | Sequence[bool] | None = None,
        groups=None,
    ):
        if not isinstance(runs, pd.DataFrame):
            raise InputError(f"runs = {type(runs).__name__}: must be a pandas DataFrame")
        self._groups = None if groups is False else groups
        self._independent = groups is False
        self._runs = runs
        self._loss_rows = _selected(runs, fit_rows, "fit_rows")
        self._error_rows = (
            self._loss_rows if error_rows is None else _selected(runs, error_rows, "error_rows")
        )
        errors = [] if error is None else [error] if isinstance(error, str) else list(error)
        for column in (loss, params, tokens, *errors):
            _check_known(runs, column)
        used = self._loss_rows if error is None else np.union1d(self._loss_rows, self._error_rows)
        size, trained = (_positive(runs, column, used) for column in (params, tokens))
        values = _numbers(runs, loss, used, "a finite number", np.isfinite)
        self._table = pd.DataFrame(
            {"loss": values, "compute": 6 * size * trained, "multiplier": trained / size}
        )
        self._check_identified(size, trained)
        self._has_error = error is not None
        if self._has_error:
            self._table["error"] = _mean_error(runs, errors, self._error_rows)
            self._check_error()

    def fit(
        self, *, bootstrap: int = 1000, resampling: str = "auto", starts: int = 64, seed: int = 0
    ) -> OverTrainingResults:
        """Fit both laws, and refit both to each resample.

        Parameters
        ----------
        bootstrap : resamples, 0 for none, else at least 50.
        resampling : "residual" keeps the runs and draws their residuals, "case" draws runs; "auto": residual below 15
            rows. A run that both laws are fitted to is drawn for both at once, so their errors stay linked.
        starts : starts of each fit.
        seed : of starts and resamples.

        Raises
        ------
        InputError : an option out of range, or a case bootstrap of fewer than ten rows: most draws of so few cannot
            identify the four parameters.
        FitError : no start led anywhere.
        """
        check_choice("resampling", resampling, ("auto", "residual", "case"))
        check_range("bootstrap", bootstrap, 0, 1_000_000, integer=True)
        if 0 < bootstrap < 50:
            raise InputError(f"bootstrap = {bootstrap}: must be 0 for none, or at least 50")
        check_range("seed", seed, 0, 2**32 - 1, integer=True)
        kind = self._resampling(resampling) if bootstrap else "none"
        options = {"loss": "squared", "scale": "identity", "bootstrap": 0, "starts": starts, "seed": seed}
        rows = self._table.iloc[self._loss_rows]
        columns = {"compute": "compute", "multiplier": "multiplier", "y": "loss"}
        loss = ScalingLaw("overtraining", rows, columns=columns).fit(**options)
        error = None
        if self._has_error:
            rows = self._table.iloc[self._error_rows]
            error = ScalingLaw("exponential_decay", rows, columns={"L": "loss", "y": "error"}).fit(**options)
        if bootstrap:
            rng = np.random.default_rng([seed, 7])
            loss, error = self._resampled(loss, error, kind, int(bootstrap), rng)
        return OverTrainingResults(loss=loss, error=error, resampling=kind, seed=int(seed))

    def _resampling(self, asked: str) -> str:
        rows = [self._loss_rows, *([self._error_rows] if self._has_error else [])]
        units = self._units()
        fewest = min(len(np.unique(units[r])) for r in rows)
        check_independence(self._runs, False if self._independent else self._groups)
        if asked == "auto":
            asked = "residual" if fewest < _DESIGNED and self._groups is None else "case"
        if asked == "case":
            if fewest < _LEAST_CASES:
                raise InputError(
                    f'resampling = "case": {fewest} runs are too few to draw from; use resampling="residual"'
                )
        elif self._groups is not None:
            raise InputError(
                'resampling = "residual": draws rows one by one, which groups forbid; use "case"'
            )
        return asked

    def _resampled(
        self, loss: ScalingLawResults, error: ScalingLawResults | None, kind: str, count: int, rng
    ):
        """Both fits with the parameters of `count` joint resamples."""
        fits = [loss] if error is None else [loss, error]
        rows = [self._loss_rows, self._error_rows][: len(fits)]
        if kind == "case":
            drawn = _drawn_cases(rows, self._units(), count, rng)
            found = [_refitted(fit, weights=weights) for fit, weights in zip(fits, drawn, strict=True)]
        else:
            drawn = _drawn_residuals(fits, rows, count, rng)
            found = [_refitted(fit, response=response) for fit, response in zip(fits, drawn, strict=True)]
        fits = [
            replace(fit, bootstrap_params=draws, optimizer={**fit.optimizer, "resampling": kind})
            for fit, draws in zip(fits, found, strict=True)
        ]
        return fits[0], fits[1] if error is not None else None

    def _units(self) -> np.ndarray:
        """Which run each row of the table belongs to."""
        if self._groups is None:
            return np.arange(len(self._runs))
        if isinstance(self._groups, str):
            check_columns("groups: runs", self._runs.columns, [self._groups])
            return pd.factorize(self._runs[self._groups])[0]
        labels = np.asarray(self._groups).ravel()
        if len(labels) != len(self._runs):
            raise InputError(f"groups: has {len(labels)} labels, the table {len(self._runs)} rows")
        return pd.factorize(labels)[0]

    def _check_identified(self, size: pd.Series, tokens: pd.Series) -> None:
        rows = self._loss_rows
        if len(rows) < _LEAST_LOSS_ROWS:
            raise InputError(
                f"fit_rows: {len(rows)} rows; the loss law has 4 parameters and needs at least 5"
            )
        multipliers = self._table["multiplier"].to_numpy()[rows]
        if np.ptp(np.log(multipliers)) < _SAME_MULTIPLIER:
            raise InputError(
                f"fit_rows: all rows have {multipliers[0]:.4g} tokens per parameter; "
                "a, b not identified with one multiplier"
            )
        for name, values in (("size", size), ("number of tokens", tokens)):
            if np.ptp(np.log(values.to_numpy()[rows])) < _SAME_MULTIPLIER:
                raise InputError(
                    f"fit_rows: all rows have one {name}; e and {'a' if name == 'size' else 'b'} not identified"
                )

    def _check_error(self) -> None:
        rows = self._table.iloc[self._error_rows]
        if len(rows) < _LEAST_ERROR_ROWS:
            raise InputError(
                f"error_rows: {len(rows)} rows; the error law has 3 parameters and needs at least 4"
            )
        if np.ptp(rows["loss"].to_numpy()) == 0:
            raise InputError("error_rows: all rows have one loss; the error law is not identified")
        if np.polyfit(rows["loss"], rows["error"], 1)[0] < 0:
            raise InputError("error: falls as the loss rises, as accuracies do; give 1 - accuracy")


def _selected(runs: pd.DataFrame, rows, name: str) -> np.ndarray:
    """Positions of the chosen rows."""
    if rows is None:
        return np.arange(len(runs))
    if isinstance(rows, str):
        numbered = runs.reset_index(drop=True)
        try:
            return numbered.query(rows).index.to_numpy()
        except Exception as error:  # whatever pandas and the expression's own evaluation raise
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(f"{name} = {rows!r}: is not a query of this table ({reason})") from None
    chosen = np.asarray(rows)
    if chosen.dtype != bool or chosen.shape != (len(runs),):
        raise InputError(f"{name}: must be a query string or {len(runs)} truth values, one a row")
    return np.flatnonzero(chosen)


def _check_known(runs: pd.DataFrame, column: str) -> None:
    if column in runs.columns:
        return
    near = difflib.get_close_matches(str(column), [str(c) for c in runs.columns], n=3, cutoff=0.6)
    hint = f"close: {', '.join(map(repr, near))}" if near else f"it has {', '.join(map(repr, runs.columns))}"
    raise InputError(f"runs: missing column {column!r}; {hint}")


def _numbers(runs: pd.DataFrame, column: str, rows: np.ndarray, allowed: str, test) -> pd.Series:
    values = pd.to_numeric(runs[column], errors="coerce").astype(float)
    good = np.isfinite(values.to_numpy()[rows]) & test(values.to_numpy()[rows])
    if not good.all():
        at = rows[int(np.argmin(good))]
        raise InputError(
            f"column {column!r}, row {runs.index[at]}: {runs[column].iloc[at]!r} must be {allowed}"
        )
    return values


def _positive(runs: pd.DataFrame, column: str, rows: np.ndarray) -> pd.Series:
    return _numbers(runs, column, rows, "a finite number above 0", lambda v: v > 0)


def _mean_error(runs: pd.DataFrame, columns: list[str], rows: np.ndarray) -> pd.Series:
    if not columns:
        raise InputError("error = []: must name at least one column")
    parts = [
        _numbers(runs, c, rows, "an error rate in [0, 1]", lambda v: (v >= 0) & (v <= 1)) for c in columns
    ]
    return sum(parts) / len(parts)


def _drawn_cases(rows: list[np.ndarray], units: np.ndarray, count: int, rng) -> list[np.ndarray]:
    """How often each row of each fit is drawn (count, n); a run that is in both fits is drawn for both."""
    everyone = np.unique(np.concatenate([units[r] for r in rows]))
    times = rng.multinomial(len(everyone), np.full(len(everyone), 1 / len(everyone)), size=count).astype(
        float
    )
    return [times[:, np.searchsorted(everyone, units[r])] for r in rows]


def _drawn_residuals(
    fits: list[ScalingLawResults], rows: list[np.ndarray], count: int, rng
) -> list[np.ndarray]:
    """Responses (count, n) of each fit: fitted values plus drawn residuals, widened for the fitted parameters.

    A run that is in all fits takes the residuals of one such run for all of them; another run those of any run of its
    fit.
    """
    shared = rows[0] if len(rows) == 1 else np.intersect1d(*rows)
    drawn_runs = rng.integers(0, max(len(shared), 1), (count, len(shared)))
    responses = []
    for fit, own in zip(fits, rows, strict=True):
        residuals = widened_residuals(fit)
        source = rng.integers(0, len(own), (count, len(own)))
        place = {run: at for at, run in enumerate(own)}
        if len(shared):
            at_shared = np.array([place[run] for run in shared])
            source[:, at_shared] = at_shared[drawn_runs]
        responses.append(fit.fittedvalues + residuals[source])
    return responses


def _refitted(fit: ScalingLawResults, *, weights=None, response=None) -> np.ndarray:
    """Parameters (count, p) of refits to rows with other weights, or with other responses."""
    problem, starts = fit._problem, np.concatenate([fit._z[None], fit._problem.starting_points(4)])
    if response is None:
        found = problem.refit(starts, weights)
    else:
        unit = np.ones_like(response)
        found = problem.refit(starts, unit, response / problem.coordinates.response)
    return problem.coordinates.natural(found.z)
