"""Exponential growth: doubling times, prices that halve, growths that combine, and what compression does to density."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.checks import check_range

#: Mean length of a month, in days.
DAYS_PER_MONTH = 30.44


def doubling_months(slope_per_day: ArrayLike) -> NDArray | float:
    """Months in which a quantity doubles whose logarithm rises by `slope_per_day`; inf where it does not rise."""
    slope = np.asarray(slope_per_day, float)
    with np.errstate(divide="ignore"):
        months = np.where(slope > 0, math.log(2) / np.abs(slope) / DAYS_PER_MONTH, np.inf)
    months = np.where(np.isnan(slope), np.nan, months)
    return float(months) if months.ndim == 0 else months


def halving_time(first: float, last: float, duration: float) -> float:
    """Time in which a quantity halves that falls from `first` to `last` within `duration`, in duration's unit.

    Raises
    ------
    InputError : a value that is not positive, or a `last` that is not below `first`.
    """
    check_range("first", first, 0, open_low=True)
    check_range("last", last, 0, first, open_low=True, open_high=True)
    check_range("duration", duration, 0, open_low=True)
    return duration * math.log(2) / math.log(first / last)


def combined_doubling(*times: float) -> float:
    """Doubling time of a product whose factors double in the given times: rates add, 1 / (1/T1 + 1/T2 + ...)."""
    for time in times:
        check_range("times", time, 0, open_low=True)
    return 1 / sum(1 / time for time in times)


def rate_change(doubling_before: float, doubling_after: float) -> float:
    """Relative change of the growth rate between two doubling times: 0.5 is half as fast again."""
    check_range("doubling_before", doubling_before, 0, open_low=True)
    check_range("doubling_after", doubling_after, 0, open_low=True)
    return doubling_before / doubling_after - 1


def density_ratio(effective_ratio: float, parameter_ratio: float) -> float:
    """Density of a variant over its parent's, from the ratios (variant over parent) of effective and actual sizes.

    A model cut to half its parameters gains density only if its effective size falls by less than half.
    """
    check_range("effective_ratio", effective_ratio, 0, open_low=True)
    check_range("parameter_ratio", parameter_ratio, 0, open_low=True)
    return effective_ratio / parameter_ratio
