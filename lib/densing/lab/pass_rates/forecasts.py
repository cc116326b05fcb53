"""Rates of larger members forecast from smaller ones, by the law of the test set, of its instances, and by rivals."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from densing.fitters.task_scaling.estimator import TaskScalingLaw
from densing.fitters.task_scaling.rivals import RIVALS, rival_rates
from densing.lab.pass_rates.items import law_counts, task_rates

#: Ways to forecast with the law: unit, and whether exact probabilities or pass counts are fitted.
WAYS = {"instance": ("instance", False), "test set": ("testset", False), "exact": ("instance", True)}


def rate_forecasts(
    items: pd.DataFrame,
    tasks: Sequence[str],
    fitted: Sequence[str],
    ahead: Sequence[str],
    *,
    level: float = 0.95,
) -> pd.DataFrame:
    """Forecast the mean exact rate of each task at sizes `ahead` from the sizes `fitted`.

    Parameters
    ----------
    items : from `pass_items`. tasks : some of them. fitted, ahead : names of sizes.
    level : of the intervals, which are for the mean of as many members as were observed.

    Returns
    -------
    One row a task, size and way (`WAYS`, then the rivals fitted to exact rates): task, size, n_parameters, way,
    observed, rate, lower, upper (nan for rivals), points (absolute deviation in percentage points), log_ratio
    (|ln rate / observed|), covered. Where nothing passed at the fitted sizes the forecast of counts is 0, without an
    interval.
    """
    rates = task_rates(items)
    found = []
    for task in tasks:
        own, counts = rates[rates["task"] == task], items[items["task"] == task]
        seen, target = own[own["size"].isin(fitted)], own[own["size"].isin(ahead)]
        truth = target.groupby(["n_parameters", "size"])["rate"].agg(observed="mean", models="count")
        truth = truth.reset_index().sort_values("n_parameters", ignore_index=True)
        for way, (unit, exact) in WAYS.items():
            predicted = _by_law(law_counts(counts, task, fitted, exact=exact), unit, truth, level)
            found += _rows(task, way, truth, predicted)
        rivals = rival_rates(seen["n_parameters"], seen["rate"], truth["n_parameters"])
        for way in RIVALS:
            predicted = np.column_stack([rivals[way], np.full((len(truth), 2), np.nan)])
            found += _rows(task, way, truth, predicted)
    return pd.DataFrame(found)


def _by_law(counts: pd.DataFrame, unit: str, truth: pd.DataFrame, level: float) -> np.ndarray:
    if "passes" in counts and not counts["passes"].any():
        return np.tile([0.0, np.nan, np.nan], (len(truth), 1))
    fit = TaskScalingLaw(level=level).fit(counts, unit)
    return np.vstack(
        [
            fit.predict(size, models=int(models))[["rate", "lower", "upper"]].to_numpy()
            for size, models in zip(truth["n_parameters"], truth["models"], strict=True)
        ]
    )


def _rows(task: str, way: str, truth: pd.DataFrame, predicted: np.ndarray) -> list[dict]:
    rows = []
    for (rate, lower, upper), target in zip(predicted, truth.itertuples(), strict=True):
        with np.errstate(divide="ignore"):
            log_ratio = abs(float(np.log(rate) - np.log(target.observed)))
        rows.append(
            {
                "task": task,
                "size": target.size,
                "n_parameters": target.n_parameters,
                "way": way,
                "observed": target.observed,
                "rate": rate,
                "lower": lower,
                "upper": upper,
                "points": 100 * abs(rate - target.observed),
                "log_ratio": log_ratio,
                "covered": bool(lower <= target.observed <= upper),
            }
        )
    return rows


def forecast_quantities(forecasts: pd.DataFrame, tasks: Sequence[str]) -> dict[str, float]:
    """Quantities of the claim on prediction, from `rate_forecasts`."""
    if not len(forecasts):
        names = (
            "deviation", "coverage", "deviation_test_set", "coverage_test_set", "deviation_exact", "log_deviation",
            "carry_forward", "best_rival",
        )  # fmt: skip
        return dict.fromkeys(names, np.nan) | {"n_tasks": len(tasks)}
    ways = forecasts.groupby("way", sort=False)
    points, covered = ways["points"].median(), ways["covered"].mean()
    return {
        "deviation": float(points["instance"]),
        "coverage": float(covered["instance"]),
        "deviation_test_set": float(points["test set"]),
        "coverage_test_set": float(covered["test set"]),
        "deviation_exact": float(points["exact"]),
        "log_deviation": float(ways["log_ratio"].median()["instance"]),
        "carry_forward": float(points[RIVALS[0]]),
        "best_rival": float(points[list(RIVALS[1:])].min()),
        "n_tasks": len(tasks),
    }
