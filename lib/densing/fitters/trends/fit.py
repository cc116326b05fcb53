"""Trend of a dated quantity's logarithm: through its records, through all values, or through a quantile of them."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.checks import check_choice, check_range
from densing.errors import InputError
from densing.fitters.bootstrap import Estimate, cluster_weights
from densing.fitters.quantile import quantile_slopes
from densing.fitters.trends.permutation import permutation_p, permute_dates, release_labels
from densing.fitters.trends.records import SAME_DAY, isotonic_frontier, record_frontier
from densing.laws.capability.growth import doubling_months

METHODS = ("frontier", "ols", "quantile", "isotonic")


@dataclass(frozen=True)
class TrendResults:
    """A fitted trend; made by `fit_trend`.

    Attributes
    ----------
    method : the estimator, with its quantile where it has one.
    slope_per_day, intercept : of the line, per day and at day 0.
    doubling_months, lower, upper : doubling time and its interval; inf where the slope is not positive.
    r_squared : share of the variation of the fitted points that the line explains (for quantiles of the check loss).
    permutation_p : one-sided p of the slope when releases exchange their dates; nan without permutations.
    n, n_records : number of values, and of records (by the rule the frontier was fitted with).
    level : confidence level of the interval.
    slope_draws, intercept_draws : bootstrap draws.
    null_slopes : slopes under permuted dates.
    """

    method: str
    slope_per_day: float
    intercept: float
    doubling_months: float
    lower: float
    upper: float
    r_squared: float
    permutation_p: float
    n: int
    n_records: int
    level: float
    slope_draws: NDArray = field(repr=False)
    intercept_draws: NDArray = field(repr=False)
    null_slopes: NDArray = field(repr=False)

    @property
    def doubling(self) -> Estimate:
        """Doubling time in months with its interval."""
        return Estimate(self.doubling_months, self.lower, self.upper, self.level)

    @property
    def slope(self) -> Estimate:
        """Slope per day with its interval."""
        return Estimate.from_draws(self.slope_per_day, self.slope_draws, self.level)

    def predict(self, days: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
        """Height of the line at `days`, and the ends of its pointwise interval (of the line, not of a new value)."""
        days = np.asarray(days, float)
        lines = self.intercept_draws[:, None] + self.slope_draws[:, None] * days
        lower, upper = np.nanquantile(lines, ((1 - self.level) / 2, (1 + self.level) / 2), axis=0)
        return self.intercept + self.slope_per_day * days, lower, upper

    def null_share(self, low: float, high: float) -> float:
        """Share of permutations whose doubling time lies in [low, high] months."""
        months = doubling_months(self.null_slopes)
        return float(((months >= low) & (months <= high)).mean())


def fit_trend(
    date: ArrayLike,
    value: ArrayLike,
    method: str = "frontier",
    q: float = 0.9,
    groups: ArrayLike | None = None,
    draws: int = 2000,
    seed: int = 0,
    *,
    permutations: int = 10_000,
    level: float = 0.95,
    same_day: str = "every",
    date_draws: NDArray | None = None,
    value_draws: NDArray | None = None,
) -> TrendResults:
    """Fit a straight line to `value` (a logarithm) over `date`.

    Parameters
    ----------
    date : (n,) days as numbers, or dates (days then count from the earliest).
    value : (n,) natural logarithms.
    method : ``"frontier"`` (least squares through the records), ``"ols"`` (through all values), ``"quantile"``
        (through the quantile `q` of all), ``"isotonic"`` (least squares through the isotonic frontier).
    groups : (n,) families: the bootstrap resamples them whole, and rows of one family and one date exchange their
        dates together in the permutation test. None: each row stands alone.
    draws, permutations : numbers of bootstrap draws and of permutations (0 for none).
    same_day : rule of `record_frontier` for the frontier. By default every value counts that exceeds all earlier
        dates: keeping the best of a day only would favour days with many models.
    date_draws, value_draws : (draws, n) jittered dates (in the days of `date`) and noisy values to use in the draws.

    Raises
    ------
    InputError : names the parameter and what is allowed; also for fewer than 3 values, dates that cannot be read,
        a single date, or a frontier with records on fewer than 3 dates.
    """
    check_choice("method", method, METHODS)
    check_choice("same_day", same_day, SAME_DAY)
    check_range("q", q, 0, 1, open_low=True, open_high=True)
    check_range("level", level, 0, 1, open_low=True, open_high=True)
    check_range("draws", draws, 0, integer=True)
    check_range("permutations", permutations, 0, integer=True)
    check_range("seed", seed, 0, integer=True)
    days = as_days(date)
    value = np.asarray(value, float)
    _check_data(days, value)
    releases = release_labels(days, groups)
    records = record_frontier(days, value, same_day=same_day)
    n_dates = len(np.unique(days[records]))
    if method == "frontier" and n_dates < 3:
        raise InputError(
            f"value: has records on {n_dates} dates; a line through the frontier needs at least 3"
        )
    if len(np.unique(days)) < 2:
        raise InputError("date: must hold at least two different dates")

    def lines(x: NDArray, y: NDArray, weights: NDArray | None = None) -> tuple[NDArray, NDArray]:
        return trend_lines(x, y, method, q, weights=weights, same_day=same_day)

    (slope,), (intercept,) = lines(days[None], value[None])
    slope_draws = intercept_draws = null_slopes = np.full(0, np.nan)
    if draws:
        weights = cluster_weights(np.arange(len(days)) if groups is None else groups, draws, seed)
        x, y = (_drawn(*pair, draws) for pair in (("date", days, date_draws), ("value", value, value_draws)))
        slope_draws, intercept_draws = lines(x, y, weights)
    if permutations:
        null_slopes, _ = lines(permute_dates(days, releases, permutations, seed), value[None])
    interval = Estimate.from_draws(slope, slope_draws, level).transform(doubling_months)
    return TrendResults(
        method=f"quantile {q:g}" if method == "quantile" else method,
        slope_per_day=float(slope),
        intercept=float(intercept),
        doubling_months=interval.value,
        lower=interval.lower,
        upper=interval.upper,
        r_squared=_r_squared(days, value, slope, intercept, method, q, records),
        permutation_p=permutation_p(slope, null_slopes) if permutations else np.nan,
        n=len(value),
        n_records=int(records.sum()),
        level=level,
        slope_draws=slope_draws,
        intercept_draws=intercept_draws,
        null_slopes=null_slopes,
    )


def trend_lines(
    x: NDArray,
    y: NDArray,
    method: str,
    q: float = 0.9,
    *,
    weights: NDArray | None = None,
    same_day: str = "every",
) -> tuple[NDArray, NDArray]:
    """Slopes and intercepts of one estimator for many data sets, (1 or B, n) each; nan where undefined."""
    if method == "quantile":
        return quantile_slopes(x, y, q, weights=weights)
    if method == "ols":
        return _least_squares(x, y, np.ones((1, 1)) if weights is None else weights)
    if weights is not None:
        # values that a draw left out set no record
        y = np.where(weights > 0, y, -np.inf)
    if method == "frontier":
        records = record_frontier(x, y, same_day=same_day).astype(float)
        if weights is not None and same_day == "every":
            # a family drawn twice sets its records twice; of the best of a day there is only one
            records = records * weights
        return _least_squares(x, np.where(np.isfinite(y), y, 0.0), records)
    rows = np.broadcast_shapes(x.shape, y.shape)
    x, y = np.broadcast_to(x, rows), np.broadcast_to(y, rows)
    fits = []
    for days, heights in zip(x, y, strict=True):
        taken = np.isfinite(heights)
        dates, fit = isotonic_frontier(days[taken], heights[taken])
        fits.append(_least_squares(dates[None], fit[None], np.ones((1, 1))))
    return tuple(np.concatenate(part) for part in zip(*fits, strict=True))


def as_days(date: ArrayLike, origin: object = None, *, name: str = "date") -> NDArray[np.float64]:
    """Dates as days since `origin` (the earliest by default); numbers are taken as days already.

    Raises
    ------
    InputError : a date that cannot be read; gives the first, under the name that the caller knows it by.
    """
    import pandas as pd

    values = np.asarray(date)
    if values.dtype.kind in "iuf":
        return values.astype(float)
    stamps = pd.to_datetime(pd.Series(values), errors="coerce", format="ISO8601")
    if stamps.isna().any():
        raise InputError(
            f"{name} = {str(values[stamps.isna().argmax()])!r}: must be a date such as 2024-05-31"
        )
    start = stamps.min() if origin is None else pd.Timestamp(origin)
    return ((stamps - start) / pd.Timedelta(days=1)).to_numpy()


def _check_data(days: NDArray, value: NDArray) -> None:
    if days.ndim != 1 or value.shape != days.shape:
        raise InputError(f"date, value: must be two lists of one length, have {days.shape} and {value.shape}")
    if len(value) < 3:
        raise InputError(f"value: has {len(value)} values; a trend needs at least 3")
    if not np.isfinite(value).all() or not np.isfinite(days).all():
        raise InputError("date, value: must be finite")


def _drawn(name: str, point: NDArray, drawn: NDArray | None, draws: int) -> NDArray:
    if drawn is None:
        return point[None]
    drawn = np.asarray(drawn, float)
    if drawn.shape != (draws, len(point)) or not np.isfinite(drawn).all():
        raise InputError(f"{name}_draws: must be finite, of shape {(draws, len(point))}, has {drawn.shape}")
    return drawn


def _least_squares(x: NDArray, y: NDArray, w: NDArray) -> tuple[NDArray, NDArray]:
    x, y, w = np.broadcast_arrays(x, y, w)
    total = w.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_x, mean_y = (w * x).sum(axis=1) / total, (w * y).sum(axis=1) / total
        u = x - mean_x[:, None]
        spread = (w * u**2).sum(axis=1)
        slope = np.where(spread > 1e-12 * total, (w * u * (y - mean_y[:, None])).sum(axis=1) / spread, np.nan)
    return slope, mean_y - slope * mean_x


def _r_squared(days, value, slope, intercept, method, q, records) -> float:
    if method == "quantile":
        loss = [
            np.where(r > 0, q * r, (q - 1) * r).sum() for r in _residuals(days, value, slope, intercept, q)
        ]
        return float(1 - loss[0] / loss[1]) if loss[1] > 0 else np.nan
    if method == "frontier":
        days, value = days[records], value[records]
    elif method == "isotonic":
        days, value = isotonic_frontier(days, value)
    total = ((value - value.mean()) ** 2).sum()
    return float(1 - ((value - intercept - slope * days) ** 2).sum() / total) if total > 0 else np.nan


def _residuals(days, value, slope, intercept, q) -> tuple[NDArray, NDArray]:
    return value - intercept - slope * days, value - np.quantile(value, q, method="inverted_cdf")
