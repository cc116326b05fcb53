"""Rolling forecasts: what the frontier's line said earlier, against what came."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from densing.checks import check_range
from densing.errors import InputError
from densing.fitters.trends.fit import fit_trend
from densing.fitters.trends.records import record_frontier, running_maximum

if TYPE_CHECKING:
    import pandas as pd


def rolling_forecast(
    date: ArrayLike,
    value: ArrayLike,
    origins: Sequence[float],
    horizons: Sequence[float] = (183, 365),
    groups: ArrayLike | None = None,
    *,
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    same_day: str = "every",
) -> "pd.DataFrame":
    """Fit the frontier to what was known at each origin, and compare its forecasts with the later running maximum.

    Parameters
    ----------
    date, value, groups : (n,) days, logarithms, families.
    origins : days up to which (inclusive) values are known; those with records on fewer than 3 dates are left out.
    horizons : days ahead; targets after the last date are left out.

    Returns
    -------
    One row an origin and horizon: origin, horizon, n, n_records, doubling_months, predicted, lower, upper (of a new
    record: line and scatter about it), observed, error = predicted - observed, covered, carried_error (error of
    carrying the last maximum forward).
    """
    import pandas as pd

    date, value = np.asarray(date, float), np.asarray(value, float)
    for horizon in horizons:
        check_range("horizons", horizon, 0, open_low=True)
    rows = []
    for origin in origins:
        known = date <= origin
        targets = [horizon for horizon in horizons if origin + horizon <= date.max()]
        records = (
            record_frontier(date[known], value[known], same_day=same_day)
            if known.any()
            else np.zeros(0, bool)
        )
        if not targets or len(np.unique(date[known][records])) < 3:
            continue
        family = None if groups is None else np.asarray(groups)[known]
        trend = fit_trend(
            date[known],
            value[known],
            groups=family,
            draws=draws,
            seed=seed,
            permutations=0,
            same_day=same_day,
        )
        x, y = date[known][records], value[known][records]
        residuals = y - trend.intercept - trend.slope_per_day * x
        # two parameters were fitted to these points
        residuals *= np.sqrt(len(x) / max(len(x) - 2, 1))
        scatter = np.random.default_rng(seed).choice(residuals, size=len(trend.slope_draws))
        last = running_maximum(date[known], value[known], [origin])[0]
        for horizon in targets:
            when = origin + horizon
            predicted = trend.intercept + trend.slope_per_day * when
            drawn = trend.intercept_draws + trend.slope_draws * when + scatter
            lower, upper = np.nanquantile(drawn, ((1 - level) / 2, (1 + level) / 2))
            observed = running_maximum(date, value, [when])[0]
            rows.append(
                {
                    "origin": float(origin),
                    "horizon": float(horizon),
                    "n": int(known.sum()),
                    "n_records": int(records.sum()),
                    "doubling_months": trend.doubling_months,
                    "predicted": predicted,
                    "lower": lower,
                    "upper": upper,
                    "observed": observed,
                    "error": predicted - observed,
                    "covered": bool(lower <= observed <= upper),
                    "carried_error": last - observed,
                }
            )
    if not rows:
        raise InputError("origins: none has records on three dates before it and a target within the data")
    return pd.DataFrame(rows)
