"""How far a law fitted on cheap runs can be trusted on dear ones, and which of several laws to choose."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from densing.checks import check_columns, check_range
from densing.errors import InputError
from densing.fitters.scaling.baselines import NAIVE_RULES
from densing.fitters.scaling.estimator import ScalingLaw
from densing.laws import base

_LEVEL = 0.95
_LEAST_TEST = 3


def extrapolation_error(
    law: base.Law | str | Sequence[base.Law | str],
    data: pd.DataFrame,
    *,
    by: str,
    columns: Mapping[str, str],
    cut: float | Sequence[float] | None = None,
    folds: int | None = None,
    groups=None,
    weights: str | None = None,
    **options,
) -> pd.DataFrame:
    """Error on the runs at or above a cut, of laws fitted to the runs below it, and of three naive rules.

    Parameters
    ----------
    law : a law or several; each takes the entries of `columns` that are its inputs.
    by : column that orders runs by cost (compute).
    cut : one or more values of that column; or `folds`, a number of cuts at equal shares of the runs (rolling origin).
    columns, groups, weights : as in `ScalingLaw`; `weights` is a column name here.
    options : of `ScalingLaw.fit`; ``bootstrap`` defaults to 200 (coverage needs it).

    Returns
    -------
    One row a model and cut: model, cut, mae_rel (mean of |error| relative to the observed response), mae_rel_se (its
    standard error over runs), bias_rel (mean of the error), coverage_95 (share of runs in the 95 % prediction interval;
    nan for naive rules), n_train, n_test.

    Raises
    ------
    InputError : neither or both of `cut` and `folds`, or a cut that leaves too few runs on a side.
    """
    laws = [base.get(one) if isinstance(one, str) else one for one in _as_list(law)]
    check_columns("by: data", data.columns, [by])
    values, observed = data[by].to_numpy(dtype=float), data[columns["y"]].to_numpy(dtype=float)
    least = max(len(one.parameters) for one in laws) + 1
    rows = []
    for at in _cuts(values, cut, folds):
        below = values < at
        if (~below).sum() < _LEAST_TEST or below.sum() < least:
            raise InputError(
                f"cut = {at:g}: leaves {below.sum()} runs to fit and {(~below).sum()} to test; needs at least "
                f"{least} and {_LEAST_TEST}"
            )
        new = observed[~below]
        for one in laws:
            problem = ScalingLaw(
                one, data[below], columns=_own(one, columns), groups=_part(groups, below), weights=weights
            )
            prediction = problem.fit(**({"bootstrap": 200} | options)).get_prediction(data[~below])
            ends = prediction.prediction_int(_LEVEL)
            covered = ((new >= ends[:, 0]) & (new <= ends[:, 1])).mean()
            rows.append(_errors(one.name, at, prediction.predicted_mean, new, covered, below))
        for name, rule in NAIVE_RULES.items():
            rows.append(
                _errors(name, at, rule(values[below], observed[below], values[~below]), new, np.nan, below)
            )
    return pd.DataFrame(rows)


def compare(
    laws: Iterable[base.Law | str],
    data: pd.DataFrame,
    *,
    by: str,
    columns: Mapping[str, str],
    cut: float | Sequence[float] | None = None,
    folds: int | None = 4,
    groups=None,
    weights: str | None = None,
    **options,
) -> pd.DataFrame:
    """Laws and naive rules by held-out error (rolling origin); AICc on the log scale breaks ties.

    In-sample R^2 is left out on purpose: on losses it is near 1 for any law.

    Parameters
    ----------
    laws : laws or names; each takes the entries of `columns` that are its inputs.
    by, cut, folds, groups, weights, options : as in `extrapolation_error`.

    Returns
    -------
    A row a model, best first: mae_rel and bias_rel (means over cuts), coverage_95, worst_mae_rel, aicc (nan for naive
    rules), parameters, nobs.
    """
    if cut is not None:
        folds = None
    laws = [base.get(law) if isinstance(law, str) else law for law in laws]
    if not laws:
        raise InputError("laws: must name at least one law")
    kwargs = dict(by=by, columns=columns, cut=cut, folds=folds, groups=groups, weights=weights)
    errors = extrapolation_error(laws, data, **kwargs, **options)
    scores = {}
    for law in laws:
        problem = ScalingLaw(law, data, columns=_own(law, columns), groups=groups, weights=weights)
        whole = problem.fit(**(options | {"bootstrap": 0}))
        aicc = _aicc(whole, data[columns["y"]].to_numpy(dtype=float))
        scores[law.name] = (aicc, whole.nobs - whole.df_resid, whole.nobs)
    table = errors.groupby("model", sort=False).agg(
        mae_rel=("mae_rel", "mean"),
        bias_rel=("bias_rel", "mean"),
        coverage_95=("coverage_95", "mean"),
        worst_mae_rel=("mae_rel", "max"),
    )
    for i, name in enumerate(("aicc", "parameters", "nobs")):
        table[name] = [scores[m][i] if m in scores else np.nan for m in table.index]
    # Errors that agree to a hundredth of a percentage point are a tie.
    order = table.assign(rounded=table["mae_rel"].round(4)).sort_values(["rounded", "aicc"], kind="stable")
    return order.drop(columns="rounded").reset_index()


def _cuts(values, cut, folds) -> list[float]:
    if (cut is None) == (folds is None):
        raise InputError("cut, folds: give one of them")
    if cut is not None:
        return [float(c) for c in np.atleast_1d(cut)]
    check_range("folds", folds, 1, 100, integer=True)
    # Shares of runs from one half on: a law that has seen less is another question.
    return [float(np.quantile(values, share)) for share in np.linspace(0.5, 1, folds + 1)[:-1]]


def _as_list(law) -> list:
    return [law] if isinstance(law, str | base.Law) else list(law)


def _own(law, columns: Mapping[str, str]) -> dict[str, str]:
    return {name: column for name, column in columns.items() if name in (*law.inputs, "y")}


def _part(groups, below):
    if groups is None or groups is False or isinstance(groups, str):
        return groups
    return np.asarray(groups)[below]


def _errors(model, cut, predicted, observed, covered, below) -> dict:
    error = (predicted - observed) / np.abs(observed)
    return {
        "model": model,
        "cut": cut,
        "mae_rel": np.abs(error).mean(),
        "mae_rel_se": np.abs(error).std(ddof=1) / np.sqrt(len(error)),
        "bias_rel": error.mean(),
        "coverage_95": covered,
        "n_train": int(below.sum()),
        "n_test": int((~below).sum()),
    }


def _aicc(fit, observed) -> float:
    """Corrected Akaike criterion of Laplace-like errors: what a Huber loss of small delta is the likelihood of."""
    n, k = fit.nobs, fit.nobs - fit.df_resid + 1
    residuals = fit.resid if fit.scale == "log" else fit.resid / np.abs(observed)
    spread = np.abs(residuals).mean()
    if n <= k + 1:
        return np.inf
    return float(2 * n * np.log(2 * spread) + 2 * n + 2 * k + 2 * k * (k + 1) / (n - k - 1))
