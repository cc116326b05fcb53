"""What the claims on growth need from the fitted lines, and how well the record line forecasts."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from densing.errors import InputError
from densing.fitters.trends.chance import RecordTest
from densing.fitters.trends.curvature import curvature
from densing.fitters.trends.fit import TrendResults
from densing.fitters.trends.forecast import rolling_forecast
from densing.lab.published.curves import ORIGIN

_HALF_YEAR, _YEAR = 183, 365
_EARLY = pd.Timestamp("2024-05-31")


def growth_quantities(
    trends: Mapping[str, Mapping[str, TrendResults]], reference: str, counted: RecordTest
) -> tuple[dict, dict]:
    """Quantities of the claims on the doubling time and on whether the trend is real.

    Parameters
    ----------
    trends : reference to what `fit_lines` returned for it, permuted for `reference`; Qwen1.5 and Qwen2.5 among them.
    reference : the family whose lines are the claims'. counted : from `record_test`.

    Raises
    ------
    InputError : a reference that `trends` lacks.
    """
    for name in (reference, "Qwen1.5", "Qwen2.5"):
        if name not in trends:
            raise InputError(f"trends: has no {name}, holds {', '.join(trends)}")
    records, best, ols, median, high, _ = trends[reference].values()
    doubling = {
        "doubling_months": records.doubling,
        "null_share": records.null_share(2.5, 4.7),
        "r_squared": records.r_squared,
        "n_models": records.n,
        "n_records": records.n_records,
        "doubling_months_best_of_day": best.doubling,
        "doubling_months_qwen15": trends["Qwen1.5"]["records"].doubling,
        "doubling_months_qwen25": trends["Qwen2.5"]["records"].doubling,
    }
    real = {
        "p_ols": ols.permutation_p,
        "p_q90": high.permutation_p,
        "p_q50": median.permutation_p,
        "p_frontier": records.permutation_p,
        "p_records": counted.permutation_p,
        "doubling_months_ols": ols.doubling,
        "doubling_months_q50": median.doubling,
        "doubling_months_q90": high.doubling,
    }
    return doubling, real


@dataclass(frozen=True, eq=False)
class RecordForecasts:
    """What the record line forecast at the end of each quarter.

    Attributes
    ----------
    fan : forecasts up to a year ahead, from `rolling_forecast`.
    early : the day whose forecast is told apart. early_months : doubling time fitted up to it.
    overshoot : predicted over largest density, half a year after that day and at the end of the table.
    error, carried_error : typical factor of the error after half a year, of the line and of no growth.
    covered, outcomes : how many 95 % intervals held what came, of how many, half a year and a year ahead.
    bend : change of the slope of ln density per year and year, of a parabola through all models.
    """

    fan: pd.DataFrame
    early: pd.Timestamp
    early_months: float
    overshoot: tuple[float, float]
    error: float
    carried_error: float
    covered: int
    outcomes: int
    bend: object


def record_forecasts(frame: pd.DataFrame, *, draws: int = 2_000, seed: int = 0) -> RecordForecasts:
    """Fit the record line up to the end of every quarter and compare with the largest density that came.

    Parameters
    ----------
    frame : as `published_density` returns it. draws, seed : of the bootstrap over families.
    """
    data = frame["day"], frame["ln_density"], frame["family"]
    sampling = {"draws": draws, "seed": seed}

    def forecast(origins, horizons) -> pd.DataFrame:
        return rolling_forecast(*data[:2], origins, horizons, data[2], **sampling)

    last = frame["day"].max()
    quarters = (pd.date_range("2023-09-30", frame["release_date"].max(), freq="QE") - ORIGIN).days
    ahead = forecast(quarters, (_HALF_YEAR, _YEAR))
    day = min((_EARLY - ORIGIN).days, last - 200)
    early = forecast([day], (_HALF_YEAR, last - day))
    half = ahead[ahead["horizon"] == _HALF_YEAR]
    error, carried = np.exp(half[["error", "carried_error"]].abs().mean())
    return RecordForecasts(
        forecast(quarters, np.arange(5, _YEAR + 1, 20)),
        ORIGIN + pd.Timedelta(days=day),
        float(early["doubling_months"][0]),
        tuple(np.exp(early["error"].iloc[:2])),
        float(error),
        float(carried),
        int(ahead["covered"].sum()),
        len(ahead),
        curvature(*data, **sampling),
    )
