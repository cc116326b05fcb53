"""Exponential curves of a score or an error rate against the loss."""

from dataclasses import dataclass

import numpy as np

from densing.laws.base import Law, Need, Parameter, columns_of, floor, scale, stack_rows


@dataclass(frozen=True, eq=False, repr=False)
class _OfLoss(Law):
    native = "identity"
    input_range = "any"

    def typical(self, x):
        """See `Law.typical`; the loss may be negative."""
        return np.array([max(np.abs(x[0]).max(), 1e-300)])


@dataclass(frozen=True, eq=False, repr=False)
class ExponentialDecay(_OfLoss):
    """Error = epsilon - k e^(-gamma loss)."""

    def evaluate(self, theta, x):
        """See `Law.evaluate`."""
        epsilon, k, gamma = columns_of(theta)
        decay = np.exp(-gamma * x[0])
        y = epsilon - k * decay
        return y, stack_rows([1.0, -decay, k * decay * x[0]], y.shape)

    def rescale(self, theta, factors, response=1.0):
        """See `Law.rescale`."""
        theta = np.array(theta, dtype=float)
        theta[..., :2] *= response
        theta[..., 2] /= factors[0]
        return theta


@dataclass(frozen=True, eq=False, repr=False)
class Exponential(_OfLoss):
    """Score = c e^(-k loss)."""

    def evaluate(self, theta, x):
        """See `Law.evaluate`."""
        c, k = columns_of(theta)
        decay = np.exp(-k * x[0])
        return c * decay, stack_rows([decay, -c * decay * x[0]], decay.shape)

    def rescale(self, theta, factors, response=1.0):
        """See `Law.rescale`."""
        theta = np.array(theta, dtype=float)
        theta[..., 0] *= response
        theta[..., 1] /= factors[0]
        return theta


_LOSS = {"L": "loss, nats per token"}

exponential_decay = ExponentialDecay(
    name="exponential_decay",
    equation="epsilon - k * e^(-gamma * L)",
    source="Gadre et al. 2024, the law of the average error",
    inputs=_LOSS,
    response="error rate",
    parameters=(
        floor("epsilon", "error rate at large loss, near chance", start=(0.8, 3.0)),
        scale("k", "error removed at L = 0", start=(0.1, 30.0)),
        Parameter("gamma", "rate", "decay per nat", (0.2, 10.0), (1e-4, 1e3), True),
    ),
    needs={"L": Need(3, ("k", "gamma"))},
    linear=("epsilon", "k"),
)

exponential = Exponential(
    name="exponential",
    equation="c * e^(-k * L)",
    source="Ghorbani et al. 2021, BLEU against loss",
    inputs=_LOSS,
    response="score",
    parameters=(
        scale("c", "score at L = 0", start=(0.5, 1e3)),
        Parameter("k", "rate", "decay per nat", (0.1, 10.0), (-1e2, 1e3), False),
    ),
    needs={"L": Need(2, ("c", "k"))},
    linear=("c",),
)
