"""Loss against parameters and tokens: a floor and two powers."""

from dataclasses import dataclass

import numpy as np

from densing.laws.base import Need, exponent, floor, scale
from densing.laws.power_sum import Power, PowerSum, Term


@dataclass(frozen=True, eq=False, repr=False)
class Chinchilla(PowerSum):
    """L(N, D) = E + A / N^alpha + B / D^beta."""

    def allocate(self, theta, flops):
        """N and D of least loss at C = 6 N D: N = G (C/6)^(beta/(alpha+beta)), D = C / (6 N).

        G = (alpha A / (beta B))^(1/(alpha+beta)) (Hoffmann et al. 2022, equation 4).
        """
        _, a, b, alpha, beta = (theta[..., j, None] for j in range(5))
        with np.errstate(invalid="ignore", divide="ignore"):
            log_g = (np.log(alpha * a) - np.log(beta * b)) / (alpha + beta)
            size = np.exp(log_g + beta / (alpha + beta) * np.log(np.asarray(flops) / 6))
        return {"N": size, "D": np.asarray(flops) / (6 * size)}


chinchilla = Chinchilla(
    name="chinchilla",
    equation="E + A / N^alpha + B / D^beta",
    source="Hoffmann et al. 2022, equation 2",
    inputs={"N": "parameters", "D": "training tokens"},
    response="loss, nats per token",
    parameters=(
        floor("E", "loss at infinite size and data, unit of the loss"),
        scale("A", "loss from finite size at N = 1"),
        scale("B", "loss from finite data at D = 1"),
        exponent("alpha", "exponent of size"),
        exponent("beta", "exponent of data"),
    ),
    needs={"N": Need(3, ("A", "alpha")), "D": Need(3, ("B", "beta"))},
    ratio=(("N", "D"), ("alpha", "beta")),
    linear=("E", "A", "B"),
    terms=(Term("E"), Term("A", (Power("alpha", "N"),)), Term("B", (Power("beta", "D"),))),
)
