"""Direct forecasts of a task's accuracy from its accuracies and losses at smaller scales, many resamples at once."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.checks import check_range
from densing.errors import InputError

_STEPS = 60
_RATES = np.geomspace(0.02, 2.0, 21)  # exponents that the two-step estimate tries, of N and of D
_MOST = 0.999


def logistic_forecast(x: ArrayLike, accuracy: ArrayLike, x_new: ArrayLike, chance: float) -> NDArray:
    """Accuracy at `x_new` by chance + (1 - chance) / (1 + exp(-(a + b x))), least squares.

    Parameters
    ----------
    x : (models,) or (draws, models), ln compute or minus a loss.
    accuracy : (models,) or (draws, models).
    x_new : (targets,) or (draws, targets).
    chance : floor of the curve, [0, 1).

    Returns
    -------
    (targets,) or (draws, targets).

    Raises
    ------
    InputError : shapes that do not fit, or a chance outside [0, 1).
    """
    check_range("chance", chance, 0, 1, open_high=True)
    (x, y, new), single = _together(x, accuracy, x_new)
    center, spread = x.mean(axis=1, keepdims=True), x.std(axis=1, keepdims=True)
    spread = np.where(spread > 0, spread, 1.0)
    z, z_new = (x - center) / spread, (new - center) / spread
    theta = _levenberg(z, (y - chance) / (1 - chance))
    found = chance + (1 - chance) * _sigmoid(theta[:, :1] + theta[:, 1:] * z_new)
    return found[0] if single else found


def error_power_forecast(compute: ArrayLike, accuracy: ArrayLike, new: ArrayLike) -> NDArray:
    """Accuracy at `new` compute by a power law of the error, 1 - S = k C^-b, least squares of logarithms.

    Parameters
    ----------
    compute : (models,). accuracy : (models,) or (draws, models); 0.999 at most counts as it is.
    new : (targets,).

    Returns
    -------
    (targets,) or (draws, targets); not below 0.
    """
    (x, y, z), single = _together(np.log(compute), accuracy, np.log(new))
    found = 1 - np.exp(_line(x, np.log(1 - np.minimum(y, _MOST)), z))
    found = np.maximum(found, 0.0)
    return found[0] if single else found


def loss_power_forecast(compute: ArrayLike, loss: ArrayLike, new: ArrayLike) -> NDArray:
    """Loss at `new` compute by a power law without a floor, l = k C^-b, least squares of logarithms.

    Parameters
    ----------
    compute : (models,). loss : (models,) or (draws, models), above 0.
    new : (targets,).

    Returns
    -------
    (targets,) or (draws, targets).
    """
    (x, y, z), single = _together(np.log(compute), loss, np.log(new))
    if not (y > 0).all():
        raise InputError(f"loss: {y.min():g}, must be above 0")
    found = np.exp(_line(x, np.log(y), z))
    return found[0] if single else found


def loss_two_term_forecast(
    sizes: ArrayLike, tokens: ArrayLike, loss: ArrayLike, new_sizes: ArrayLike, new_tokens: ArrayLike
) -> NDArray:
    """Loss at new sizes and tokens by l = a N^-alpha + b D^-beta, least squares of relative residuals.

    The first step of the two-step estimate in its default form, without a floor; amplitudes are not negative and the
    exponents come from a grid of 21 each, 0.02 to 2.

    Parameters
    ----------
    sizes, tokens : (models,). loss : (models,) or (draws, models), above 0.
    new_sizes, new_tokens : (targets,).

    Returns
    -------
    (targets,) or (draws, targets).

    References
    ----------
    Xiao et al. (2024), arXiv 2412.04315, section on loss estimation.
    """
    (log_n, y, new_n), single = _together(np.log(sizes), loss, np.log(new_sizes))
    log_d, new_d = np.log(np.asarray(tokens, float)), np.log(np.asarray(new_tokens, float))
    if not (y > 0).all():
        raise InputError(f"loss: {y.min():g}, must be above 0")
    n, d = log_n[0] - log_n[0].mean(), log_d - log_d.mean()
    at_n, at_d = new_n[0] - log_n[0].mean(), new_d - log_d.mean()
    best = np.full(len(y), np.inf)
    found = np.empty((len(y), len(at_n)))
    inverse = 1 / y
    for alpha in _RATES:
        for beta in _RATES:
            u, v = np.exp(-alpha * n), np.exp(-beta * d)
            a, b, left = _two_amplitudes(u * inverse, v * inverse)
            better = left < best
            best[better] = left[better]
            value = np.outer(a, np.exp(-alpha * at_n)) + np.outer(b, np.exp(-beta * at_d))
            found[better] = value[better]
    return found[0] if single else found


def _two_amplitudes(u: NDArray, v: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Least squares of 1 on u and v (draws, models) with amplitudes >= 0, and the sum of squares left."""
    uu, vv, uv = (u * u).sum(axis=1), (v * v).sum(axis=1), (u * v).sum(axis=1)
    su, sv = u.sum(axis=1), v.sum(axis=1)
    determinant = np.maximum(uu * vv - uv**2, 1e-12 * uu * vv)
    a, b = (su * vv - sv * uv) / determinant, (sv * uu - su * uv) / determinant
    only_u, only_v = b < 0, a < 0
    a = np.where(only_u, su / uu, np.where(only_v, 0.0, a))
    b = np.where(only_v, sv / vv, np.where(only_u, 0.0, b))
    left = u.shape[1] - 2 * (a * su + b * sv) + a**2 * uu + 2 * a * b * uv + b**2 * vv
    return a, b, left


def nearest_forecast(coordinates: ArrayLike, values: ArrayLike, new: ArrayLike) -> NDArray:
    """The mean value of the fitted models nearest to each target: what is known is carried forward.

    Parameters
    ----------
    coordinates : (models, k), logarithms of what places a model (size and tokens, or compute).
    values : (models,) or (draws, models).
    new : (targets, k).

    Returns
    -------
    (targets,) or (draws, targets).
    """
    coordinates, new = np.asarray(coordinates, float), np.asarray(new, float)
    values = np.asarray(values, float)
    if coordinates.ndim != 2 or new.ndim != 2 or coordinates.shape[1] != new.shape[1]:
        raise InputError("coordinates, new: must be two tables with as many columns each")
    distance = np.linalg.norm(new[:, None] - coordinates[None], axis=2)
    near = np.isclose(distance, distance.min(axis=1, keepdims=True), rtol=1e-9, atol=1e-12)
    return values @ (near / near.sum(axis=1, keepdims=True)).T


def _together(x: ArrayLike, y: ArrayLike, new: ArrayLike) -> tuple[tuple[NDArray, NDArray, NDArray], bool]:
    """All three with a leading axis of draws, and whether there was none."""
    x, y, new = (np.asarray(v, float) for v in (x, y, new))
    single = max(x.ndim, y.ndim, new.ndim) == 1
    x, y, new = (np.atleast_2d(v) for v in (x, y, new))
    draws = max(len(x), len(y), len(new))
    if x.shape[1] != y.shape[1] or any(len(v) not in (1, draws) for v in (x, y, new)):
        raise InputError(
            f"shapes {x.shape}, {y.shape}, {new.shape}: must be one column a model, one row a draw"
        )
    if x.shape[1] < 3:
        raise InputError(f"models: {x.shape[1]}, must be at least 3")
    for values in (x, y, new):
        if not np.isfinite(values).all():
            raise InputError("values to fit must be finite")
    return tuple(np.broadcast_to(v, (draws, v.shape[1])) for v in (x, y, new)), single


def _line(x: NDArray, y: NDArray, new: NDArray) -> NDArray:
    center = x.mean(axis=1, keepdims=True)
    dx = x - center
    slope = (dx * y).sum(axis=1) / (dx**2).sum(axis=1)
    return y.mean(axis=1, keepdims=True) + slope[:, None] * (new - center)


def _sigmoid(x: NDArray) -> NDArray:
    from scipy.special import expit

    return expit(x)


def _levenberg(z: NDArray, y: NDArray) -> NDArray:
    """(draws, 2) intercept and slope of a logistic curve by damped Gauss-Newton steps, the best of a few starts."""
    starts = [(a, b) for a in (-4.0, -2.0, 0.0, 2.0) for b in (0.3, 1.5)]
    theta = np.empty((len(z), 2))
    cost = np.full(len(z), np.inf)
    for start in starts:
        start = np.tile(np.array(start), (len(z), 1))
        left = ((_sigmoid(start[:, :1] + start[:, 1:] * z) - y) ** 2).sum(axis=1)
        better = left < cost
        theta[better], cost[better] = start[better], left[better]
    damping = np.full(len(z), 1e-2)
    for _ in range(_STEPS):
        p = _sigmoid(theta[:, :1] + theta[:, 1:] * z)
        slope, r = p * (1 - p), y - p
        j0, j1 = slope, slope * z
        h00, h01, h11 = (j0 * j0).sum(axis=1), (j0 * j1).sum(axis=1), (j1 * j1).sum(axis=1)
        g0, g1 = (j0 * r).sum(axis=1), (j1 * r).sum(axis=1)
        h00, h11 = h00 * (1 + damping) + 1e-9, h11 * (1 + damping) + 1e-9
        determinant = h00 * h11 - h01**2
        step = np.stack([(g0 * h11 - g1 * h01) / determinant, (g1 * h00 - g0 * h01) / determinant], axis=1)
        trial = np.clip(theta + np.clip(step, -2, 2), -30, 30)
        left = ((_sigmoid(trial[:, :1] + trial[:, 1:] * z) - y) ** 2).sum(axis=1)
        better = left <= cost
        done = better & (cost - left <= 1e-14 * (1 + cost))
        theta[better], cost[better] = trial[better], left[better]
        damping = np.where(better, damping / 5, damping * 4).clip(1e-8, 1e8)
        if done.all():
            break
    return theta
