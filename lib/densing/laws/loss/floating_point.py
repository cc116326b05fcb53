"""Loss of training in low precision: floating-point formats, and whole-number formats."""

from dataclasses import dataclass

import numpy as np

from densing.laws.base import Law, Need, columns_of, exponent, floor, scale, stack_rows
from densing.laws.power_sum import Power, PowerSum, Term


@dataclass(frozen=True, eq=False, repr=False)
class FloatingPoint(PowerSum):
    """Chinchilla's three terms and a penalty that grows with data and falls with size and with bits."""

    def log_factor(self, name, x):
        """Log of log2 of the block size; a block of one element costs nothing."""
        return np.log(np.log2(x[list(self.inputs).index("block")]))


@dataclass(frozen=True, eq=False, repr=False)
class IntegerPrecision(Law):
    """Chinchilla with N (1 - e^(-P/gamma)) in place of N."""

    def evaluate(self, theta, x):
        """See `Law.evaluate`."""
        e, a, b, alpha, beta, gamma = columns_of(theta)
        bits = x[2] / gamma
        effective = np.log(x[0]) + np.log(-np.expm1(-bits))
        size, data = np.exp(-alpha * effective), np.exp(-beta * np.log(x[1]))
        y = e + a * size + b * data
        d_gamma = a * alpha * size * bits / gamma / np.expm1(bits)
        rows = [1.0, size, data, -a * size * effective, -b * data * np.log(x[1]), d_gamma]
        return np.log(y), stack_rows([row / y for row in rows], y.shape)

    def rescale(self, theta, factors, response=1.0):
        """See `Law.rescale`."""
        theta = np.array(theta, dtype=float)
        theta[..., 1] *= factors[0] ** theta[..., 3]
        theta[..., 2] *= factors[1] ** theta[..., 4]
        theta[..., :3] *= response
        theta[..., 5] *= factors[2]
        return theta


floating_point = FloatingPoint(
    name="floating_point",
    equation="n/N^alpha + d/D^beta + eps + (D^beta/N^alpha) log2(B) / (gamma (E+1/2)^delta (M+1/2)^nu)",
    source="Sun et al. 2025, the unified law, constants in table 2",
    inputs={
        "N": "parameters",
        "D": "training tokens",
        "exponent_bits": "bits of the exponent, E",
        "mantissa_bits": "bits of the mantissa, M",
        "block": "elements that share a scale, B",
    },
    response="loss, nats per token",
    parameters=(
        scale("n", "loss from finite size at N = 1"),
        exponent("alpha", "exponent of size"),
        scale("d", "loss from finite data at D = 1"),
        exponent("beta", "exponent of data"),
        floor("eps", "loss at infinite scale and precision"),
        scale("gamma", "inverse amplitude of the penalty", start=(0.1, 1e4)),
        exponent("delta", "exponent of exponent bits", start=(0.5, 5.0), bounds=(-10.0, 20.0)),
        exponent("nu", "exponent of mantissa bits", start=(0.5, 5.0), bounds=(-10.0, 20.0)),
    ),
    needs={
        "N": Need(3, ("n", "alpha")),
        "D": Need(3, ("d", "beta")),
        "exponent_bits": Need(2, ("delta",)),
        "mantissa_bits": Need(2, ("nu",)),
    },
    ratio=(("N", "D"), ("alpha", "beta")),
    linear=("n", "d", "eps"),
    plain_inputs=frozenset({"exponent_bits", "mantissa_bits", "block"}),
    terms=(
        Term("n", (Power("alpha", "N"),)),
        Term("d", (Power("beta", "D"),)),
        Term("eps"),
        Term(
            "gamma",
            (
                Power("beta", "D", 1.0),
                Power("alpha", "N"),
                Power("delta", "exponent_bits", shift=0.5),
                Power("nu", "mantissa_bits", shift=0.5),
            ),
            sign=-1.0,
            factor="log2_block",
        ),
    ),
)

integer_precision = IntegerPrecision(
    name="integer_precision",
    equation="E + A / [N (1 - e^(-P/gamma))]^alpha + B / D^beta",
    source="Kumar et al. 2024, Scaling Laws for Precision, effective parameters",
    inputs={"N": "parameters", "D": "training tokens", "P": "bits a weight"},
    response="loss, nats per token",
    parameters=(
        floor("E", "loss at infinite scale and precision"),
        scale("A", "loss from finite size at N = 1"),
        scale("B", "loss from finite data at D = 1"),
        exponent("alpha", "exponent of size"),
        exponent("beta", "exponent of data"),
        scale("gamma", "bits at which 63 % of the size counts", start=(0.05, 3.0), bounds=(1e-3, 1e3)),
    ),
    needs={"N": Need(3, ("A", "alpha")), "D": Need(3, ("B", "beta")), "P": Need(2, ("gamma",))},
    ratio=(("N", "D"), ("alpha", "beta")),
    linear=("E", "A", "B"),
)


def optimal_layout(bits: float, *, delta: float, nu: float) -> tuple[float, float]:
    """Exponent and mantissa bits, not rounded, of least loss for `bits` in all, the sign among them.

    E = delta P / (delta + nu) - 1/2 and M = nu P / (delta + nu) - 1/2, so that 1 + E + M = P.

    References
    ----------
    Sun et al. 2025, the optimal layout of a float format.
    """
    return delta * bits / (delta + nu) - 0.5, nu * bits / (delta + nu) - 0.5


def critical_tokens(size, exponent_bits, mantissa_bits, block, *, d, gamma, alpha, beta, delta, nu):
    """Tokens beyond which more data raises the loss: the zero of dL/dD.

    References
    ----------
    Sun et al. 2025, the critical data size.
    """
    size = np.asarray(size, dtype=float)
    strength = gamma * (exponent_bits + 0.5) ** delta * (mantissa_bits + 0.5) ** nu / np.log2(block)
    return (d * size**alpha * strength) ** (1 / (2 * beta))
