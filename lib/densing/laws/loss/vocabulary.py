"""Unigram-normalised loss against size, vocabulary and data."""

from dataclasses import dataclass

import numpy as np

from densing.laws.base import Law, Need, columns_of, exponent, floor, scale, stack_rows


@dataclass(frozen=True, eq=False, repr=False)
class Vocabulary(Law):
    """L_u = -e + a1 / n_nv^alpha1 + a2 / n_v^alpha2 + b / D^beta; negative, so fitted on the identity scale."""

    native = "identity"

    def evaluate(self, theta, x):
        """See `Law.evaluate`."""
        e, a1, alpha1, a2, alpha2, b, beta = columns_of(theta)
        log_n, log_v, log_d = np.log(x)
        size, entries, data = np.exp(-alpha1 * log_n), np.exp(-alpha2 * log_v), np.exp(-beta * log_d)
        y = -e + a1 * size + a2 * entries + b * data
        rows = [-1.0, size, -a1 * size * log_n, entries, -a2 * entries * log_v, data, -b * data * log_d]
        return y, stack_rows(rows, y.shape)

    def rescale(self, theta, factors, response=1.0):
        """See `Law.rescale`."""
        theta = np.array(theta, dtype=float)
        for scale_at, exponent_at, factor in zip((1, 3, 5), (2, 4, 6), factors, strict=True):
            theta[..., scale_at] *= factor ** theta[..., exponent_at]
        theta[..., (0, 1, 3, 5)] *= response
        return theta


vocabulary = Vocabulary(
    name="vocabulary",
    equation="-e + a1 / n_nv^alpha1 + a2 / n_v^alpha2 + b / tokens^beta",
    source="Tao et al. 2024, approach 3 (parametric fit)",
    inputs={
        "n_nv": "non-vocabulary parameters",
        "n_v": "vocabulary parameters, entries times width",
        "tokens": "training tokens",
    },
    response="loss minus unigram loss, nats per token",
    parameters=(
        floor("e", "loss below the unigram model at infinite scale", start=(0.5, 5.0)),
        scale("a1", "loss from finite size"),
        exponent("alpha1", "exponent of size"),
        scale("a2", "loss from a finite vocabulary"),
        exponent("alpha2", "exponent of vocabulary parameters"),
        scale("b", "loss from finite data"),
        exponent("beta", "exponent of data"),
    ),
    needs={
        "n_nv": Need(3, ("a1", "alpha1")),
        "n_v": Need(3, ("a2", "alpha2")),
        "tokens": Need(3, ("b", "beta")),
    },
    linear=("e", "a1", "a2", "b"),
)
