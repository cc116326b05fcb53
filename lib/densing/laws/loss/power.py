"""Power laws of one input, without and with a floor, in the two ways they are written."""

from dataclasses import dataclass

import numpy as np

from densing.laws.base import Law, Need, columns_of, exponent, floor, scale, stack_rows
from densing.laws.power_sum import Power, PowerSum, Term

_START, _BOUNDS = (1e-6, 3.0), (1e-60, 1e60)


@dataclass(frozen=True, eq=False, repr=False)
class PowerConstant(Law):
    """L(x) = l_inf + (x0 / x)^alpha; without `l_inf` among the parameters, a pure power."""

    def evaluate(self, theta, x):
        """See `Law.evaluate`."""
        *level, x0, alpha = columns_of(theta)
        log_ratio = np.log(x0) - np.log(x[0])
        if not level:
            log_y = alpha * log_ratio
            return log_y, stack_rows([alpha / x0, log_ratio], log_y.shape)
        power = np.exp(alpha * log_ratio)
        y = level[0] + power
        return np.log(y), stack_rows([1 / y, power * alpha / x0 / y, power * log_ratio / y], y.shape)

    def rescale(self, theta, factors, response=1.0):
        """See `Law.rescale`."""
        theta = np.array(theta, dtype=float)
        theta[..., -2] *= factors[0] * response ** (1 / theta[..., -1])
        if len(self.parameters) == 3:
            theta[..., 0] *= response
        return theta


_X0 = scale("x0", "value of x at which the power is 1, unit of x", _START, _BOUNDS)
_ALPHA = exponent("alpha", "exponent", bounds=(-4.0, 8.0))

power = PowerConstant(
    name="power",
    equation="(x0 / x)^alpha",
    source="Kaplan et al. 2020, equations 1.1 to 1.3",
    inputs={"x": "parameters, tokens or FLOPs"},
    response="loss, nats per token",
    parameters=(_X0, _ALPHA),
    needs={"x": Need(2, ("x0", "alpha"))},
)

power_constant = PowerConstant(
    name="power_constant",
    equation="l_inf + (x0 / x)^alpha",
    source="Henighan et al. 2020, equation 1.1",
    inputs={"x": "parameters, tokens or FLOPs"},
    response="loss, nats per token",
    parameters=(floor("l_inf", "loss at infinite x, unit of the loss"), _X0, _ALPHA),
    needs={"x": Need(3, ("x0", "alpha"))},
    linear=("l_inf",),
)

hestness_power = PowerSum(
    name="hestness_power",
    equation="alpha * m^beta_g + gamma",
    source="Hestness et al. 2017, section 3",
    inputs={"m": "training set size (examples, tokens or characters)"},
    response="error of generalisation, unit of the metric",
    parameters=(
        scale("alpha", "error at m = 1 above the floor"),
        exponent("beta_g", "exponent, negative", start=(-1.2, -0.05), bounds=(-8.0, 4.0)),
        floor("gamma", "irreducible error"),
    ),
    needs={"m": Need(3, ("alpha", "beta_g"))},
    linear=("alpha", "gamma"),
    terms=(Term("alpha", (Power("beta_g", "m", coefficient=1.0),)), Term("gamma")),
)
