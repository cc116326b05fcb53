"""The objective along one parameter, the others refitted."""

import numpy as np
import pandas as pd
from scipy import stats

from densing.checks import check_choice
from densing.errors import FitError
from densing.fitters.scaling.batched import minimize
from densing.fitters.scaling.problem import Problem

_WIDENINGS = 6
_REACH = 4.0  # standard errors either way, at first


def profile(
    problem: Problem, params: np.ndarray, name: str, grid: int, standard_error: float
) -> pd.DataFrame:
    """Objective at `grid` values of the parameter `name`, all other parameters refitted at each.

    The grid starts four standard errors wide, in logarithms for positive parameters, and widens until the objective
    has risen by more than a 99.9 % interval needs.

    Returns
    -------
    Frame with the columns value, objective and excess (in units of the estimated scale: half a chi-squared).
    """
    problem = problem.with_units_kept()
    law, c = problem.law, problem.coordinates
    check_choice("name", name, law.names)
    j = law.names.index(name)
    if not c.mixing[j].any():
        raise FitError(f"{name} is fixed, so it has no profile; fit it freely first")
    at = int(np.argmax(c.mixing[j] != 0))
    centre = c.from_natural(params)
    scale = quasi_scale(problem, centre)
    base = problem.objective.value(centre[None], problem.y, problem.rows.weights)[0]
    step = standard_error / params[j] if law.parameters[j].positive else standard_error
    step = step if np.isfinite(step) and step > 0 else 0.1
    enough = stats.chi2.ppf(0.999, 1) / 2
    low, high = _REACH, _REACH
    for _ in range(_WIDENINGS):
        values = np.concatenate(
            [np.linspace(-low, 0, grid // 2 + 1)[:-1], np.linspace(0, high, grid - grid // 2)]
        )
        values = np.clip(centre[at] + step * values, c.lower[at], c.upper[at])
        found = _refit(problem, centre, at, values)
        excess = (found - base) / scale
        if excess[0] < enough and values[0] > c.lower[at]:
            low *= 2
        elif excess[-1] < enough and values[-1] < c.upper[at]:
            high *= 2
        else:
            break
    shown = np.exp(values) if law.parameters[j].positive else values
    return pd.DataFrame({"value": shown, "objective": problem.in_units(found), "excess": excess})


def quasi_scale(problem: Problem, z: np.ndarray) -> float:
    """What a rise of the objective is counted in: E[psi^2]/E[psi'], the variance when the loss is squared."""
    weights = problem.rows.weights
    r = problem.objective.residuals(z[None], problem.y)[0]
    squared, slope = problem.loss.calibration(r, weights)
    return float(squared / slope * len(r) / (len(r) - len(z)) * weights.mean())


def profile_interval(table: pd.DataFrame, level: float) -> tuple[float, float]:
    """Where the excess crosses half the chi-squared quantile; infinite on a side where it never does."""
    excess, value = table["excess"].to_numpy(), table["value"].to_numpy()
    bar = stats.chi2.ppf(level, 1) / 2
    best = int(np.argmin(excess))
    return (
        _crossing(value[: best + 1][::-1], excess[: best + 1][::-1], bar, -np.inf),
        _crossing(value[best:], excess[best:], bar, np.inf),
    )


def _crossing(value, excess, bar, otherwise):
    over = np.flatnonzero(excess > bar)
    if not len(over):
        return otherwise
    k = int(over[0])
    # The root of the excess is nearly straight in the parameter.
    left, right = np.sqrt(max(excess[k - 1], 0.0)), np.sqrt(excess[k])
    return float(value[k - 1] + (value[k] - value[k - 1]) * (np.sqrt(bar) - left) / (right - left))


def _refit(problem, centre, at, values):
    """Objectives with coordinate `at` held at `values`: from the tangent, then from the neighbours' ends."""
    c, weights = problem.coordinates, problem.rows.weights
    _, _, matrix = problem.objective.derivatives(centre[None], problem.y, weights, exact=False)
    others = np.arange(len(centre)) != at
    tangent = np.zeros(len(centre))
    tangent[at] = 1.0
    tangent[others] = -np.linalg.pinv(matrix[0][np.ix_(others, others)]) @ matrix[0][others, at]
    z = centre + np.outer(values - centre[at], tangent)
    lower, upper = np.repeat(c.lower[None], len(z), 0), np.repeat(c.upper[None], len(z), 0)
    lower[:, at] = upper[:, at] = values
    z = np.clip(z, lower, upper)
    best = minimize(problem.objective, z, problem.y, weights, reweighted=0, lower=lower, upper=upper)
    for shift in (1, -1):
        z = np.clip(np.roll(best.z, shift, axis=0), lower, upper)
        again = minimize(problem.objective, z, problem.y, weights, reweighted=0, lower=lower, upper=upper)
        better = again.fun < best.fun
        best.z[better], best.fun[better] = again.z[better], again.fun[better]
    return best.fun
