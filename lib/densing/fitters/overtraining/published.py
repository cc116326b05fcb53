"""The procedure of Gadre et al. as it was run: SciPy's Levenberg-Marquardt from fixed starts. For parity."""

import warnings
from itertools import product

import numpy as np
from scipy.optimize import OptimizeWarning, curve_fit

from densing.errors import FitError

# Amplitudes, exponent (negative, of N) and floor that the released code starts from: 4 x 4 x 2 x 4.
_AMPLITUDES = (1e2, 3e2, 1e3, 3e3)
_EXPONENTS = (-0.1, -0.3)
_FLOORS = (0.0, 1.0, 2.0, 10.0)
_EVALUATIONS = 10_000


def published_loss_fit(params: np.ndarray, tokens: np.ndarray, loss: np.ndarray) -> dict[str, float]:
    """Parameters e, a, b, eta of `overtraining` by the published procedure: 128 starts, raw residuals, no bounds.

    The released code writes L = A N^c + B' 6^(c/2) (M N)^c + E with c = -2 eta; the end with the least sum of squares
    wins.

    Parameters
    ----------
    params, tokens, loss : (n,) of each run.

    Raises
    ------
    FitError : no start converges.

    References
    ----------
    Gadre et al. 2024, table 2, and the released repository (module of the laws).
    """
    size, trained, y = (np.asarray(v, dtype=float) for v in (params, tokens, loss))

    def law(x, big_a, big_b, power, floor):
        return big_a * x[0] ** power + big_b * 6 ** (power / 2) * x[1] ** power + floor

    best, least = None, np.inf
    for start in product(_AMPLITUDES, _AMPLITUDES, _EXPONENTS, _FLOORS):
        try:
            with np.errstate(all="ignore"):
                found = _curve_fit(law, np.stack([size, trained]), y, start)
        except RuntimeError:  # the evaluations ran out
            continue
        squares = float(np.sum((law(np.stack([size, trained]), *found) - y) ** 2))
        if squares < least:
            best, least = found, squares
    if best is None:
        raise FitError("published_loss_fit: none of the 128 starts converged; check the units of the runs")
    big_a, big_b, power, floor = map(float, best)
    eta = -power / 2
    return {"e": floor, "a": big_a * 6**eta, "b": big_b, "eta": eta}


def published_error_fit(loss: np.ndarray, error: np.ndarray) -> dict[str, float]:
    """Parameters epsilon, k, gamma of `exponential_decay` by the published procedure: one start, all three at 1.

    Raises
    ------
    FitError : it does not converge.
    """

    def law(x, k, gamma, epsilon):
        return epsilon - k * np.exp(-gamma * x)

    try:
        found = _curve_fit(
            law, np.asarray(loss, dtype=float), np.asarray(error, dtype=float), (1.0, 1.0, 1.0)
        )
    except RuntimeError as failure:
        raise FitError(
            f"published_error_fit: did not converge ({failure}); check that errors rise with the loss"
        ) from None
    return dict(zip(("k", "gamma", "epsilon"), map(float, found), strict=True))


def _curve_fit(law, x, y, start):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)  # no covariance for five points; it is not used
        return curve_fit(law, x, y, p0=start, maxfev=_EVALUATIONS)[0]
