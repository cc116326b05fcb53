"""Does F bend on ln N? The growth of a task is the law's (straight), slower (convex) or accelerated (concave)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from densing.checks import check_range
from densing.errors import InputError
from densing.fitters.bootstrap import Estimate, cluster_weights
from densing.fitters.task_scaling.likelihood import CountCells, ExactCells
from densing.fitters.task_scaling.line import fit_line, powers
from densing.fitters.task_scaling.scatter import scatter_of
from densing.fitters.task_scaling.tables import PassTable, mean_F


@dataclass(frozen=True)
class CurvatureTest:
    """Whether F is straight on ln N.

    Attributes
    ----------
    curvature : coefficient of (ln N - mean)^2; below 0 the growth is faster than the law, above 0 slower.
    p_value : two-sided, of no curvature.
    models_sd, instances_sd : its standard deviation from the scatter of models, and from the choice of instances; the
        interval carries both. What an instance does by chance under one model is in both, which makes the interval
        rather too wide.
    degrees : of freedom of the interval.
    likelihood_ratio : 2 (ln L of the parabola - ln L of the line), models as the only sample.
    """

    curvature: Estimate
    p_value: float
    models_sd: float
    instances_sd: float
    degrees: float
    likelihood_ratio: float


def curvature_test(
    table: PassTable,
    cells: CountCells | ExactCells,
    F: NDArray,
    *,
    level: float,
    draws: int = 1_000,
    seed: int = 0,
) -> CurvatureTest:
    """Fit a parabola of F on ln N and judge its bend.

    Parameters
    ----------
    table : the data. cells : the test set under each model. F : (J,) of the models.
    level : of the interval.
    draws, seed : of the bootstrap over instances; 0 draws: these instances only.

    Raises
    ------
    InputError : fewer than four sizes, or draws out of range.
    """
    check_range("draws", draws, 0, 100_000, integer=True)
    if len(table.sizes) < 4:
        raise InputError(f"counts: {len(table.sizes)} different sizes; a bend needs at least 4")
    bent, straight = (fit_line(powers(table.size, degree), cells, True) for degree in (2, 1))
    ratio = max(2 * (bent.log_likelihood - straight.log_likelihood), 0.0)
    known = table.known(3)
    scatter = scatter_of((F - bent.design @ bent.theta)[known], table.size[known], 3)
    weights = bent.influence[2]  # the bend as a weighted sum over models
    models, degrees = scatter.variance(weights, table.size)
    instances = float(np.var(_draws(table, draws, seed) @ weights, ddof=1)) if draws else 0.0
    total = models + instances
    if instances and total:
        degrees = total**2 / (models**2 / degrees + instances**2 / max(len(table.instances) - 1, 1))
    value, sd = float(bent.theta[2]), float(np.sqrt(total))
    half = float(stats.t.ppf((1 + level) / 2, degrees) * sd)
    p = float(2 * stats.t.sf(abs(value) / sd, degrees)) if sd else float(value == 0)
    return CurvatureTest(
        Estimate(value, value - half, value + half, level), p, float(np.sqrt(models)), float(np.sqrt(instances)),
        float(degrees), float(ratio),
    )  # fmt: skip


def _draws(table: PassTable, draws: int, seed: int) -> NDArray:
    """(B, J) values of F for redrawn instances."""
    if len(table.instances) == 1:
        return np.zeros((draws, len(table.size)))
    weights = cluster_weights(np.arange(len(table.instances)), draws, seed)
    if table.exact:
        return mean_F(table.log_p, weights)
    rates = np.maximum(weights @ table.rates / len(table.instances), table.lowest_rates())
    return np.log(-np.log(np.minimum(rates, 1 - 1e-12)))
