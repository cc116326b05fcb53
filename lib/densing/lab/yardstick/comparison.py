"""Two architectures of one size, trained on the same seeds and data orders: the ratio of their densities."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from densing.checks import check_range
from densing.errors import InputError
from densing.fitters.bootstrap import Estimate
from densing.lab.yardstick.curves import slope_at
from densing.lab.yardstick.fitted import OWN_SPREAD, FittedReference, fit_reference, log_values
from densing.lab.yardstick.rows import METRIC, REFERENCE_TOKENS


def paired_density_ratio(
    variant: Sequence[float],
    opponent: Sequence[float],
    n_parameters: float,
    *,
    n_opponent: float | None = None,
    reference: pd.DataFrame | FittedReference | None = None,
    metric: str = METRIC,
    reference_tokens: float = REFERENCE_TOKENS,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Density of a variant over that of an opponent of about its size, from runs paired by seed and data order.

    ln(rho_v / rho_o) = (L_o - L_v) / slope - ln(N_v / N_o), slope = alpha A / N^alpha of the curve of D0 at the
    opponent's size. What seed and order do to both cancels in the difference, and the curve enters by its slope only.

    Parameters
    ----------
    variant, opponent : losses after D0 tokens, one a seed, in the same order of seeds.
    n_parameters, n_opponent : sizes; the opponent's is the variant's by default, and must lie within a factor of 1.5.
    reference, metric, reference_tokens, level, draws, seed : as in `capacity_density`.

    Returns
    -------
    The ratio with its interval. With five pairs or more the spread of the differences is their own (Student's t), if
    larger than what the reference's pooled run noise lets expect; with fewer it is the latter.

    Raises
    ------
    InputError : unequal numbers of losses, or sizes too far apart for one slope.
    """
    check_range("n_parameters", n_parameters, 0, open_low=True)
    n_opponent = n_parameters if n_opponent is None else n_opponent
    check_range("n_opponent", n_opponent, n_parameters / 1.5, n_parameters * 1.5)
    ours, theirs = np.exp(log_values("variant", variant)), np.exp(log_values("opponent", opponent))
    if len(ours) != len(theirs):
        raise InputError(f"opponent: has {len(theirs)} losses, variant {len(ours)}; they are paired by seed")
    if not isinstance(reference, FittedReference):
        reference = fit_reference(
            reference, metric, reference_tokens=reference_tokens, draws=draws, seed=seed
        )
    differences = theirs - ours
    count = len(differences)
    rng = np.random.default_rng([reference.seed, 3])
    spread = math.sqrt(2) * reference.noise.pooled_run * theirs.mean()
    error = rng.standard_normal(reference.draws)
    if count >= OWN_SPREAD and differences.std(ddof=1) > spread:
        spread = differences.std(ddof=1)
        error = rng.standard_t(count - 1, reference.draws)
    theta = reference.curve_draws[1]
    sizes = math.log(n_parameters / n_opponent)
    value = differences.mean() / slope_at(reference.curve.theta, n_opponent) - sizes
    moved = (differences.mean() + error * spread / math.sqrt(count)) / slope_at(theta, n_opponent) - sizes
    return Estimate.from_draws(math.exp(value), np.exp(moved), level)
