"""Every defensible way to compute one doubling time, side by side."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

from densing.checks import check_choice, check_choices, check_columns, check_range
from densing.errors import InputError
from densing.fitters.trends.fit import fit_trend
from densing.lab.published.curves import CORE5, REFERENCES
from densing.lab.published.density import published_density

#: Estimator name to the arguments of `fit_trend`.
ESTIMATORS: Mapping[str, dict] = {
    "frontier": {"method": "frontier"},
    "ols": {"method": "ols"},
    "median": {"method": "quantile", "q": 0.5},
    "quantile 0.9": {"method": "quantile", "q": 0.9},
}


def check_growth_settings(reference: str, estimator: str, quantile: float, draws: int) -> None:
    """Check what a study of growth is asked for, before any work starts.

    Parameters
    ----------
    reference : one of `REFERENCES`. estimator : one of `ESTIMATORS`. quantile : of the upper line, between 0 and 1.
    draws : 100 to 20,000, or 0 for a number chosen by scale.

    Raises
    ------
    InputError : names the parameter, the value and what is allowed.
    """
    check_choice("reference", reference, REFERENCES)
    check_choice("estimator", estimator, ESTIMATORS)
    check_range("quantile", quantile, 0, 1, open_low=True, open_high=True)
    if draws:
        check_range("draws", draws, 100, 20_000, integer=True)


def specification_curve(
    models: pd.DataFrame,
    references: Sequence[str],
    *,
    parameters: Sequence[str] = ("total", "active"),
    estimators: Sequence[str] = tuple(ESTIMATORS),
    min_benchmarks: Iterable[int] = (3, 4, 5),
    benchmarks: Sequence[str] = CORE5,
    draws: int = 2000,
    seed: int = 0,
    **setting: object,
) -> pd.DataFrame:
    """Doubling times under every combination of reference, size count, estimator and minimum of benchmarks.

    Minima above the number of `benchmarks` become that number.

    Parameters
    ----------
    models, benchmarks, setting : as `published_density`.
    estimators : names in `ESTIMATORS`.
    draws : bootstrap draws of families for each interval.

    Returns
    -------
    One row a specification, fastest growth first: reference, parameters, estimator, min_benchmarks, n,
    doubling_months, lower, upper. A combination with too few records or models is left out and counted in
    ``attrs["left_out"]``; ``attrs["choices"]`` lists the values of each choice.
    """
    check_choices("estimators", estimators, ESTIMATORS)
    min_benchmarks = sorted({min(minimum, len(benchmarks)) for minimum in min_benchmarks})
    rows, left_out = [], 0
    for reference, count, minimum in product(references, parameters, min_benchmarks):
        frame = published_density(models, reference, benchmarks, count, minimum, **setting)
        for estimator in estimators:
            try:
                trend = fit_trend(
                    frame["day"], frame["ln_density"], groups=frame["family"], draws=draws, seed=seed, permutations=0,
                    **ESTIMATORS[estimator],
                )  # fmt: skip
            except InputError:
                left_out += 1
                continue
            rows.append(
                {
                    "reference": reference,
                    "parameters": count,
                    "estimator": estimator,
                    "min_benchmarks": minimum,
                    "n": trend.n,
                    "doubling_months": trend.doubling_months,
                    "lower": trend.lower,
                    "upper": trend.upper,
                }
            )
    result = pd.DataFrame(rows).sort_values("doubling_months", ignore_index=True, kind="stable")
    result.attrs["left_out"] = left_out
    result.attrs["choices"] = {
        "reference": list(references),
        "parameters": list(parameters),
        "estimator": list(estimators),
        "min_benchmarks": min_benchmarks,
    }
    return result


def table_versions(
    models: pd.DataFrame,
    reference: str = "LLaMA",
    benchmarks: Sequence[str] = CORE5,
    min_benchmarks: int = 4,
    **setting: object,
) -> dict[str, pd.DataFrame]:
    """Densities from parts of the book's table: without what is doubtful, and without each benchmark.

    Parameters
    ----------
    models : the table ``densing_models``, with its flags.
    benchmarks, min_benchmarks, setting : as `published_density`. Where a version takes benchmarks away, the minimum
        falls by one.

    Returns
    -------
    Version in words to the table of `published_density`, "as published" first.
    """
    check_columns("models", models.columns, ["date_recalled", "size_recalled", "doubtful_scores", "is_moe"])

    def density(rows: pd.DataFrame, names: Sequence[str], minimum: int, **other: object) -> pd.DataFrame:
        return published_density(
            rows, reference, tuple(names), min_benchmarks=max(1, min(minimum, len(names))), **setting | other
        )

    doubted = models.copy()
    named = models["doubtful_scores"].fillna("").str.split(";")
    for name in benchmarks:
        doubted.loc[[name in names for names in named], name] = np.nan
    ruler = doubted if reference == "joint" else doubted[doubted["family"] == reference]
    carried = [name for name in benchmarks if ruler[name].notna().sum() >= 3]
    recalled = (models["date_recalled"] == 1) | (models["size_recalled"] == 1)
    other = "score" if setting.get("aggregate", "log_effective") == "log_effective" else "log_effective"
    versions = {
        "as published": density(models, benchmarks, min_benchmarks),
        "no recalled date or size": density(models[~recalled], benchmarks, min_benchmarks),
        "no doubtful score": density(doubted, carried, min_benchmarks - 1),
        "dense models only": density(models[models["is_moe"] == 0], benchmarks, min_benchmarks),
        "other way to average": density(models, benchmarks, min_benchmarks, aggregate=other),
    }
    for left_out in benchmarks if len(benchmarks) > 1 else ():
        rest = [name for name in benchmarks if name != left_out]
        versions[f"without {left_out}"] = density(models, rest, min_benchmarks - 1)
    return versions
