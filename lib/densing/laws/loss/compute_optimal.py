"""How published laws share a compute budget between size and data."""

import numpy as np


def tokens_per_parameter(c_n: float, c_d: float, alpha: float, beta: float, flops):
    """Compute-optimal D / N of L = E + c_n N^-alpha + c_d D^-beta at C = 6 N D.

    References
    ----------
    Hoffmann et al. 2022, equation 4.
    """
    size, tokens = chinchilla_allocation(flops, A=c_n, B=c_d, alpha=alpha, beta=beta)
    return tokens / size


def chinchilla_allocation(flops, *, A=406.4, B=410.7, alpha=0.34, beta=0.28):
    """Parameters and tokens of least loss for training compute `flops`, C = 6 N D.

    The defaults are the constants that Hoffmann et al. printed; `fitting_a_law` shows that they do not fit the runs.

    References
    ----------
    Hoffmann et al. 2022, equation 4 and section 3.3.
    """
    budget = np.asarray(flops, dtype=float) / 6
    size = (alpha * A / (beta * B)) ** (1 / (alpha + beta)) * budget ** (beta / (alpha + beta))
    return size, budget / size


def kaplan_allocation(flops):
    """Non-embedding parameters, and tokens C / (6 N), of least loss for training compute `flops`.

    N = 1.3e9 (C / PF-day)^0.73 with 1 PF-day = 8.64e19 FLOPs.

    References
    ----------
    Kaplan et al. 2020, appendix A, table 6.
    """
    flops = np.asarray(flops, dtype=float)
    size = 1.3e9 * (flops / 8.64e19) ** 0.73
    return size, flops / (6 * size)
