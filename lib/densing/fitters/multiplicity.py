"""Many tests at once."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.errors import InputError


def holm(p_values: ArrayLike) -> NDArray:
    """P values after Holm's correction: rejecting those below 5 % keeps the chance of any false rejection below 5 %.

    Parameters
    ----------
    p_values : (n,) in [0, 1].

    Raises
    ------
    InputError : no value, or one outside [0, 1].

    References
    ----------
    Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    p = _checked(p_values)
    from statsmodels.stats.multitest import multipletests

    return multipletests(p, method="holm")[1]


def fdr(p_values: ArrayLike) -> NDArray:
    """P values after Benjamini and Hochberg's correction: of those below 5 %, at most 5 % are expected to be false.

    Parameters and errors as `holm`.

    References
    ----------
    Benjamini and Hochberg (1995), Controlling the false discovery rate.
    """
    p = _checked(p_values)
    from statsmodels.stats.multitest import multipletests

    return multipletests(p, method="fdr_bh")[1]


def _checked(p_values: ArrayLike) -> NDArray:
    p = np.asarray(p_values, float)
    if p.ndim != 1 or not p.size or not ((p >= 0) & (p <= 1)).all():
        raise InputError(f"p_values = {p.tolist()!r}: must be a list of numbers in [0, 1]")
    return p
