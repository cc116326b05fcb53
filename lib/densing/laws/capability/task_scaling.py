"""Pass rate against model size: the task scaling law, products of steps, and circuits in parallel.

With F(N) = ln(-ln p(N)) the law is a straight line on ln N. Steps that must all succeed bend F upward only;
circuits of which one suffices can bend it downward.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.errors import InputError


def task_law(N: ArrayLike, c: ArrayLike, alpha: ArrayLike) -> NDArray:
    """Pass rate p = exp(-c N^-alpha) of a task whose loss falls as a power of size.

    Parameters
    ----------
    N : parameters, positive.
    c : loss in nats of the whole answer at N = 1, positive.
    alpha : exponent.

    Returns
    -------
    rates in (0, 1), of the shape the arguments broadcast to.

    Raises
    ------
    InputError : N or c not positive.

    References
    ----------
    Hu et al. (2023), arXiv 2310.03262, the task scaling law.
    """
    _positive(N=N, c=c)
    return np.exp(-np.asarray(c, float) * np.asarray(N, float) ** -np.asarray(alpha, float))


def log_minus_log(p: ArrayLike) -> NDArray:
    """F = ln(-ln p) of a rate p: falls by alpha for each e-fold of size where the law holds.

    At p = 0 it is inf, at p = 1 it is -inf.

    Raises
    ------
    InputError : a rate outside [0, 1].
    """
    p = np.asarray(p, float)
    if not ((p >= 0) & (p <= 1)).all():
        raise InputError(f"p = {p.tolist()!r}: must be in [0, 1]")
    with np.errstate(divide="ignore"):
        return np.log(-np.log(p))


def size_at_rate(p: ArrayLike, c: float, alpha: float) -> NDArray:
    """Size at which the law gives the rate p, N = (c / (-ln p))^(1/alpha): the inverse of `task_law`.

    Raises
    ------
    InputError : a rate outside (0, 1), c not positive, or alpha 0.
    """
    p = np.asarray(p, float)
    if not ((p > 0) & (p < 1)).all():
        raise InputError(f"p = {p.tolist()!r}: must be in (0, 1)")
    _positive(c=c)
    if not alpha:
        raise InputError(f"alpha = {alpha!r}: the rate does not depend on size")
    return (c / -np.log(p)) ** (1 / alpha)


def steps_law(N: ArrayLike, c: ArrayLike, alpha: ArrayLike) -> NDArray:
    """Pass rate of a task of several steps that must all succeed and each follow the law: the product of their rates.

    Parameters
    ----------
    N : (...,) parameters.
    c, alpha : (k,) constants of the steps.

    Returns
    -------
    (...,) rates.
    """
    N, c, alpha = _steps(N, c, alpha)
    return task_law(N, c, alpha).prod(-1)


def steps_log_minus_log(N: ArrayLike, c: ArrayLike, alpha: ArrayLike) -> tuple[NDArray, NDArray]:
    """F of `steps_law`, and its second derivative by ln N.

    F = ln sum_i exp(ln c_i - alpha_i ln N) is a log-sum-exp of lines. Its second derivative is the variance of the
    exponents under the steps' shares of the loss, so it is never negative: steps in a row cannot make growth faster
    than the law.

    Returns
    -------
    F and F'', each (...,).
    """
    from scipy.special import logsumexp, softmax

    N, c, alpha = _steps(N, c, alpha)
    lines = np.log(c) - alpha * np.log(N)
    share = softmax(lines, -1)
    mean = (share * alpha).sum(-1, keepdims=True)
    return logsumexp(lines, -1), (share * (alpha - mean) ** 2).sum(-1)


def two_circuits(
    N: ArrayLike, c1: float, a1: float, c2: float, a2: float, w: ArrayLike | None = None
) -> NDArray:
    """Pass rate of a task that either of two circuits can do, each following the law with (c1, a1) and (c2, a2).

    Parameters
    ----------
    N : parameters, positive.
    c1, a1, c2, a2 : constants of the circuits.
    w : share of the first circuit in use, in [0, 1], a number or one for each N: w p1 + (1 - w) p2. None: both try,
        and one success suffices, 1 - (1 - p1)(1 - p2).

    Returns
    -------
    rates, of the shape of N.

    Raises
    ------
    InputError : a share outside [0, 1], or a constant or size that is not positive.

    References
    ----------
    Hu et al. (2023), arXiv 2310.03262, the multiple-circuits hypothesis (weights of the circuits recalled as a softmax
    of their losses; pass them as `w`).
    """
    first, second = task_law(N, c1, a1), task_law(N, c2, a2)
    if w is None:
        return first + second - first * second
    w = np.asarray(w, float)
    if not ((w >= 0) & (w <= 1)).all():
        raise InputError(f"w = {w.tolist()!r}: must be in [0, 1]")
    return w * first + (1 - w) * second


def _steps(N: ArrayLike, c: ArrayLike, alpha: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
    N, c, alpha = (np.asarray(v, float) for v in (N, c, alpha))
    if c.ndim != 1 or c.shape != alpha.shape or not len(c):
        raise InputError(
            f"c, alpha: must be two lists of one length, one entry a step, have {c.shape}, {alpha.shape}"
        )
    _positive(N=N, c=c)
    return N[..., None], c, alpha


def _positive(**values: ArrayLike) -> None:
    for name, value in values.items():
        value = np.asarray(value, float)
        if not (np.isfinite(value) & (value > 0)).all():
            raise InputError(f"{name} = {value.tolist()!r}: must be positive")
