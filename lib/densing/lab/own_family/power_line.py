"""Density against a ladder of two or three sizes: a plain power law, for lack of anything to see a floor with."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from densing.errors import InputError
from densing.fitters.bootstrap import Estimate
from densing.lab.yardstick.results import Density
from densing.lab.yardstick.rows import ReferenceRows

_UNKNOWN = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True, eq=False)
class PowerLine:
    """ln L = c - a ln N - b ln D by least squares; without the last term where all runs have one budget.

    Attributes
    ----------
    theta : c, a, b (3,). cross : (X'X)^-1 of the regression, padded to (3, 3). spread : residual standard deviation.
    freedom : its degrees of freedom; with 0 nothing is known of the scatter. rows : the runs.
    """

    theta: NDArray
    cross: NDArray
    spread: float
    freedom: int
    rows: ReferenceRows

    def draw(self, draws: int, seed: int) -> tuple[NDArray, NDArray]:
        """Parameters (B, 3) and the scatter of one more run (B,), as the residuals allow."""
        rng = np.random.default_rng(seed)
        if not self.freedom:
            return np.full((draws, 3), np.nan), np.full(draws, np.nan)
        scale = self.spread * np.sqrt(self.freedom / rng.chisquare(self.freedom, draws))
        normal = rng.multivariate_normal(np.zeros(3), self.cross, draws, method="svd")
        return self.theta + normal * scale[:, None], scale * rng.standard_normal(draws)


def fit_power_line(rows: ReferenceRows) -> PowerLine:
    """Fit the plain power law to all runs of a ladder.

    Raises
    ------
    InputError : one size, or a loss that does not fall with size.
    """
    if len(np.unique(rows.n_parameters)) < 2:
        raise InputError(
            "reference: has one size; a density needs at least two, and four for a curve with a floor"
        )
    columns = [np.ones(len(rows)), -np.log(rows.n_parameters), -np.log(rows.tokens)]
    x = np.stack(columns[: 3 if len(rows.budgets) > 1 else 2], axis=1)
    found = np.linalg.lstsq(x, rows.log_loss, rcond=None)[0]
    freedom = len(rows) - x.shape[1]
    spread = float(np.sqrt(np.sum((rows.log_loss - x @ found) ** 2) / freedom)) if freedom else math.nan
    theta, cross = np.zeros(3), np.zeros((3, 3))
    theta[: len(found)] = found
    cross[: len(found), : len(found)] = np.linalg.inv(x.T @ x)
    if not theta[1] > 0:
        raise InputError(
            "reference: its loss does not fall with size, so no effective size can be read off it"
        )
    return PowerLine(theta, cross, spread, freedom, rows)


def power_density(
    rows: ReferenceRows,
    loss: float,
    n_parameters: float,
    *,
    reference_tokens: float,
    tokens: float | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Density:
    """Density of one model against a ladder too small for the yardstick's curve.

    N_eff solves the power law at the nominal budget. The interval is that of a regression with the scatter of its
    residuals, which the model's own loss is given too; without a residual it is unknown (nan). A power law has no
    compute-optimal size, so that control is unknown as well.

    Parameters
    ----------
    rows : losses of the ladder. loss : of the model, in the same unit. n_parameters : of the model.
    reference_tokens : nominal budget of the ladder. tokens : of the model's training, None if unknown.
    level : of the intervals. draws : of the simulation. seed : of them.

    Raises
    ------
    InputError : as `fit_power_line`.
    """
    line = fit_power_line(rows)
    theta, scatter = line.draw(draws, seed)
    log_size = math.log(n_parameters)

    def read(at: float) -> tuple[Estimate, NDArray]:
        c, a, b = line.theta
        value = (c - b * math.log(at) - math.log(loss)) / a - log_size
        c, a, b = theta.T
        with np.errstate(all="ignore"):
            moved = np.where(a > 0, (c - b * math.log(at) - math.log(loss) - scatter) / a - log_size, np.nan)
            return Estimate.from_draws(math.exp(value), np.exp(moved), level), moved

    rho, log_draws = read(reference_tokens)
    same = _UNKNOWN if tokens is None or len(rows.budgets) < 2 else read(tokens)[0]
    effective = rho.value * n_parameters
    outside = not rows.n_parameters.min() / 2 <= effective <= 2 * rows.n_parameters.max()
    notes = [f"ladder of {len(rows.sizes)} sizes: a power law without floor, no equal-compute control"]
    if outside:
        notes.append(f"extrapolated: effective size {effective:.3g} far outside the ladder")
    if not line.freedom:
        notes.append("no interval: the ladder has as many parameters as runs")
    return Density(
        rho.value,
        rho.lower,
        rho.upper,
        effective,
        outside,
        same,
        _UNKNOWN,
        rho,
        _UNKNOWN,
        float(n_parameters),
        float(reference_tokens if tokens is None else tokens),
        "power",
        level,
        tuple(notes),
        log_draws,
    )
