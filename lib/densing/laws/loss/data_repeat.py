"""Loss when training data are repeated: effective data and effective size saturate."""

from dataclasses import dataclass

import numpy as np

from densing.laws.base import Law, Need, columns_of, exponent, floor, scale, stack_rows


@dataclass(frozen=True, eq=False, repr=False)
class DataRepeat(Law):
    """Chinchilla's law of effective size and effective data.

    D' = U + U r_d (1 - e^(-R/r_d)) with R = D/U - 1 repeats of U unique tokens. N' likewise with r_n, from
    U_N = min(N, N_opt(U)), the size for which U tokens are compute-optimal: alpha A / N_opt^alpha = beta B / U^beta.
    """

    def evaluate(self, theta, x):
        """See `Law.evaluate`."""
        e, a, b, alpha, beta, r_d, r_n = columns_of(theta)
        log_size, log_tokens, log_unique = np.log(x)
        log_best = (np.log(alpha * a) - np.log(beta * b) + beta * log_unique) / alpha
        surplus = log_size > log_best
        log_base = np.where(surplus, log_best, log_size)
        log_d, repeats, d_rate = _saturate(log_tokens, log_unique, r_d)
        log_n, excess, n_rate = _saturate(log_size, log_base, r_n)
        # How the effective size moves with the size that the data justify.
        by_base = np.where(surplus, 1 - np.exp(log_size - log_n - excess / r_n), 0.0)
        size, data = np.exp(-alpha * log_n), np.exp(-beta * log_d)
        y = e + a * size + b * data
        slope = -a * alpha * size * by_base
        rows = [
            1.0,
            size + slope / (alpha * a),
            data - slope / (alpha * b),
            -a * size * log_n + slope * (1 / alpha - log_best) / alpha,
            -b * data * log_d + slope * (log_unique - 1 / beta) / alpha,
            -b * beta * data * d_rate,
            -a * alpha * size * n_rate,
        ]
        return np.log(y), stack_rows([row / y for row in rows], y.shape)

    def typical(self, x):
        """See `Law.typical`: all and unique tokens share one unit."""
        sizes = np.exp(np.log(x).mean(axis=1))
        return np.array([sizes[0], sizes[2], sizes[2]])

    def rescale(self, theta, factors, response=1.0):
        """See `Law.rescale`; the last two factors must be equal."""
        theta = np.array(theta, dtype=float)
        theta[..., 1] *= factors[0] ** theta[..., 3]
        theta[..., 2] *= factors[1] ** theta[..., 4]
        theta[..., :3] *= response
        return theta


def _saturate(log_total, log_unique, r):
    """Log of the effective amount, the repeats, and the derivative of that log by r."""
    repeats = np.maximum(np.expm1(log_total - log_unique), 0.0)
    decay = np.exp(-repeats / r)
    gain = 1 + r * (1 - decay)
    return log_unique + np.log(gain), repeats, (1 - decay - decay * repeats / r) / gain


data_repeat = DataRepeat(
    name="data_repeat",
    equation="E + A / N'^alpha + B / D'^beta, D' = U + U r_d (1 - e^(-(D/U - 1)/r_d)), N' likewise",
    source="Muennighoff et al. 2023, equations 5 and 6",
    inputs={"N": "parameters", "D": "training tokens, repeats included", "U": "unique training tokens"},
    response="loss, nats per token",
    parameters=(
        floor("E", "loss at infinite size and data, unit of the loss"),
        scale("A", "loss from finite size at N = 1"),
        scale("B", "loss from finite data at D = 1"),
        exponent("alpha", "exponent of size", bounds=(1e-3, 8.0)),
        exponent("beta", "exponent of data", bounds=(1e-3, 8.0)),
        scale(
            "r_d",
            "repeats after which more of them lose most of their worth",
            start=(1.0, 50.0),
            bounds=(1e-2, 1e5),
        ),
        scale(
            "r_n", "the same for size beyond the compute-optimal one", start=(1.0, 50.0), bounds=(1e-2, 1e5)
        ),
    ),
    needs={"N": Need(3, ("A", "alpha")), "D": Need(3, ("B", "beta")), "U": Need(2, ("r_d",))},
    linear=("E", "A", "B"),
)
