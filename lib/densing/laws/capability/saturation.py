"""Bounded curves that rise from one level to another."""

from dataclasses import dataclass

import numpy as np

from densing.laws.base import Law, Need, Parameter, columns_of, stack_rows


@dataclass(frozen=True, eq=False, repr=False)
class Sigmoid(Law):
    """Y = lo + (hi - lo) / (1 + e^(-k (x - x0)))."""

    native = "identity"
    input_range = "any"

    def evaluate(self, theta, x):
        """See `Law.evaluate`."""
        low, high, k, x0 = columns_of(theta)
        rise = 0.5 * (1 + np.tanh(0.5 * k * (x[0] - x0)))
        slope = (high - low) * rise * (1 - rise)
        y = low + (high - low) * rise
        return y, stack_rows([1 - rise, rise, slope * (x[0] - x0), -slope * k], y.shape)

    def typical(self, x):
        """See `Law.typical`; x may be negative."""
        return np.array([max(np.abs(x[0]).max(), 1e-300)])

    def rescale(self, theta, factors, response=1.0):
        """See `Law.rescale`."""
        theta = np.array(theta, dtype=float)
        theta[..., :2] *= response
        theta[..., 2] /= factors[0]
        theta[..., 3] *= factors[0]
        return theta


sigmoid = Sigmoid(
    name="sigmoid",
    equation="lo + (hi - lo) / (1 + e^(-k (x - x0)))",
    source="the logistic curve; Caballero et al. 2022 and Ruan et al. 2024 use it for scores",
    inputs={"x": "loss, log compute or another measure of capability"},
    response="score or error rate",
    parameters=(
        Parameter("lo", "level", "y far below x0", (-0.5, 2.0), (-1e6, 1e6), False),
        Parameter("hi", "level", "y far above x0", (-0.5, 2.0), (-1e6, 1e6), False),
        Parameter("k", "rate", "steepness, per unit of x", (1.0, 100.0), (1e-3, 1e5), True),
        Parameter("x0", "level", "x half-way between lo and hi", (-1.0, 1.0), (-1e3, 1e3), False),
    ),
    needs={"x": Need(4, ("k", "x0"))},
    linear=("lo", "hi"),
)
