"""Records in a dated sequence: which values exceed all earlier ones, and the curves through the best.

Everything works on one sequence, shape (n,), or on many at once, shape (B, n).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.checks import check_choice
from densing.errors import InputError

SAME_DAY = ("best", "every")


def record_frontier(date: ArrayLike, value: ArrayLike, *, same_day: str = "best") -> NDArray[np.bool_]:
    """Which values set a record: they exceed every value of an earlier date.

    Parameters
    ----------
    date, value : (n,) or (B, n) numbers; a value of -inf or nan takes no part.
    same_day : ``"best"`` lets only the largest value of a date set a record (the first of equal ones);
        ``"every"`` lets all values of a date that exceed the earlier dates do so.

    Returns
    -------
    Mask of the shape of the inputs, in their order.
    """
    check_choice("same_day", same_day, SAME_DAY)
    date, value, single = _as_rows(date, value)
    value = np.where(np.isnan(value), -np.inf, value)
    order, ordered, earlier, first = _earlier_maximum(date, value)
    record = ordered > earlier
    if same_day == "best":
        record &= first
    mask = np.empty_like(record)
    np.put_along_axis(mask, order, record, axis=1)
    return mask[0] if single else mask


def running_maximum(date: ArrayLike, value: ArrayLike, at: ArrayLike) -> NDArray:
    """Largest value of all dates up to and including each of the dates `at`; -inf before the first.

    Returns
    -------
    (m,) for one sequence and (B, m) for many, where m is the number of dates `at`.
    """
    date, value, single = _as_rows(date, value)
    at = np.asarray(at, float)
    order = np.argsort(date, axis=1, kind="stable")
    ordered = np.take_along_axis(np.where(np.isnan(value), -np.inf, value), order, axis=1)
    best = np.concatenate([np.full((len(date), 1), -np.inf), np.maximum.accumulate(ordered, axis=1)], axis=1)
    # number of models up to each date
    count = (date[:, :, None] <= at).sum(axis=1)
    result = np.take_along_axis(best, count, axis=1)
    return result[0] if single else result


def isotonic_frontier(date: ArrayLike, value: ArrayLike) -> tuple[NDArray, NDArray]:
    """Non-decreasing least-squares fit through the best value of each date.

    Unlike a running maximum it averages neighbouring bests that fall, and so does not climb on noise.

    Parameters
    ----------
    date, value : (n,) numbers.

    Returns
    -------
    dates, heights : the distinct dates in order, and the fit at each.

    References
    ----------
    Barlow, Bartholomew, Bremner and Brunk, Statistical Inference under Order Restrictions (1972).
    """
    from scipy.optimize import isotonic_regression

    date, value, _ = _as_rows(date, value)
    dates, index = np.unique(date[0], return_inverse=True)
    best = np.full(len(dates), -np.inf)
    np.maximum.at(best, index, value[0])
    return dates, isotonic_regression(best).x


def _as_rows(date: ArrayLike, value: ArrayLike) -> tuple[NDArray, NDArray, bool]:
    date, value = np.asarray(date, float), np.asarray(value, float)
    single = date.ndim == 1 and value.ndim == 1
    try:
        date, value = np.broadcast_arrays(np.atleast_2d(date), np.atleast_2d(value))
    except ValueError:
        raise InputError(f"date, value: shapes {date.shape} and {value.shape} do not fit together") from None
    if not np.isfinite(date).all():
        raise InputError("date: must be finite")
    return date, value, single


def _earlier_maximum(date: NDArray, value: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Sort by date, best value of a date first; for each place the best of earlier dates, and whether it is first."""
    order = np.lexsort((-value, date), axis=-1)
    ordered = np.take_along_axis(value, order, axis=1)
    when = np.take_along_axis(date, order, axis=1)
    first = np.ones(when.shape, bool)
    first[:, 1:] = when[:, 1:] > when[:, :-1]
    place = np.arange(when.shape[1])
    start = np.maximum.accumulate(np.where(first, place, 0), axis=1)
    best = np.concatenate([np.full((len(when), 1), -np.inf), np.maximum.accumulate(ordered, axis=1)], axis=1)
    return order, ordered, np.take_along_axis(best, start, axis=1), first
