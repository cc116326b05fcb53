"""Three regions of a learning curve: best guess, power law, irreducible error."""

from dataclasses import dataclass

import numpy as np

from densing.laws.base import Law, Need, columns_of, exponent, floor, scale, stack_rows

_SHARPNESS = 4.0  # 1 / s with s = 0.25: how abruptly the plateau gives way to the power law


@dataclass(frozen=True, eq=False, repr=False)
class Hestness(Law):
    """Smooth minimum of a plateau and a power law, above a floor."""

    def evaluate(self, theta, x):
        """See `Law.evaluate`."""
        alpha, beta, gamma, plateau = columns_of(theta)
        log_m = np.log(x[0])
        log_power, log_plateau = np.log(alpha) + beta * log_m, np.log(plateau)
        log_min = -np.logaddexp(-_SHARPNESS * log_power, -_SHARPNESS * log_plateau) / _SHARPNESS
        share = np.exp(_SHARPNESS * (log_min - log_power))  # of the power law in the smooth minimum
        smooth = np.exp(log_min)
        y = gamma + smooth
        weight = smooth / y
        rows = [weight * share / alpha, weight * share * log_m, 1 / y, weight * (1 - share) / plateau]
        return np.log(y), stack_rows(rows, y.shape)

    def rescale(self, theta, factors, response=1.0):
        """See `Law.rescale`."""
        theta = np.array(theta, dtype=float)
        theta[..., 0] *= response * factors[0] ** -theta[..., 1]
        theta[..., 2:] *= response
        return theta


hestness = Hestness(
    name="hestness",
    equation="gamma + (eps0^(-1/s) + (alpha * m^beta_g)^(-1/s))^(-s), s = 0.25",
    source="Hestness et al. 2017, figure 6 (three regions); the smooth minimum is ours",
    inputs={"m": "training set size (examples, tokens or characters)"},
    response="error of generalisation, unit of the metric",
    parameters=(
        scale("alpha", "error of the power law at m = 1", start=(0.1, 30.0)),
        exponent("beta_g", "exponent, negative", start=(-1.2, -0.05), bounds=(-8.0, 4.0)),
        floor("gamma", "irreducible error"),
        scale("eps0", "error of the best guess, above the floor", start=(0.3, 30.0)),
    ),
    needs={"m": Need(4, ("alpha", "beta_g"))},
    linear=("gamma",),
)
