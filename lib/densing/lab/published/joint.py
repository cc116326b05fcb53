"""The joint regression: how fast time replaces size, benchmark by benchmark, without a reference family."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from densing.checks import check_choices
from densing.errors import InputError
from densing.fitters.bootstrap import Estimate, cluster_bootstrap
from densing.lab.published.curves import CHANCE, CORE5, ORIGIN, check_scores, score_columns
from densing.laws.capability.growth import doubling_months
from densing.laws.capability.sigmoid import chance_logit


def joint_growth(
    models: pd.DataFrame,
    benchmarks: Sequence[str] = CORE5,
    *,
    chance: Mapping[str, float] | None = None,
    clip: float = 0.001,
    draws: int = 2000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Months after which a model of half the size scores the same, by benchmark.

    Least squares of the log odds of a score above chance on ln N and time over all models that carry it:
    log odds = c + k (ln N + A t). Time replaces a doubling of the size in ln 2 / A.

    Parameters
    ----------
    models : columns family, params_total, release_date and the scores.
    benchmarks, chance, clip : as `published_density`.

    Returns
    -------
    Benchmark to months, with the interval of a bootstrap over families; inf where time gains nothing.

    Raises
    ------
    InputError : an unknown benchmark, a score outside [0, 1], or models of too few sizes and dates.
    """
    check_choices("benchmarks", benchmarks, score_columns(models))
    found = {}
    for name in benchmarks:
        rows = models[models[name].notna()]
        check_scores(rows["model"], [name], rows[[name]].to_numpy(float))
        odds = chance_logit(rows[name], {**CHANCE, **(chance or {})}.get(name, 0.0), clip=clip)
        years = ((rows["release_date"] - ORIGIN) / pd.Timedelta(days=365.25)).to_numpy()
        design = np.column_stack(
            [np.ones(len(rows)), np.log(rows["params_total"].to_numpy(float) / 1e9), years]
        )
        if np.linalg.matrix_rank(design) < 3:
            raise InputError(f"benchmarks: {name} needs models of several sizes and dates")

        def growth(weights: NDArray, design: NDArray = design, odds: NDArray = odds) -> NDArray:
            normal = np.einsum("bn,ni,nj->bij", weights, design, design)
            right = (weights * odds) @ design
            result = np.full(len(weights), np.nan)
            good = np.linalg.cond(normal) < 1e10
            _, by_size, by_time = np.linalg.solve(normal[good], right[good][..., None])[..., 0].T
            # where scores do not rise with size, time has no size to be exchanged for
            result[good] = np.where(by_size > 0, by_time / np.maximum(by_size, 1e-12), np.nan)
            return result / 365.25

        per_day = cluster_bootstrap(growth, rows["family"], draws=draws, seed=seed)
        found[name] = per_day.transform(doubling_months)
    return found
