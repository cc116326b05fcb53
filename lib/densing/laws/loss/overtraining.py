"""Loss against compute and tokens per parameter: Chinchilla with equal exponents."""

from dataclasses import dataclass

import numpy as np

from densing.laws.base import Need, exponent, floor, scale
from densing.laws.power_sum import Power, PowerSum, Term


@dataclass(frozen=True, eq=False, repr=False)
class OverTraining(PowerSum):
    """L(C, M) = E + (a M^eta + b M^-eta) C^-eta with C = 6 N D and M = D / N."""

    def allocate(self, theta, flops):
        """The multiplier of least loss does not depend on compute: M = (b/a)^(1/(2 eta))."""
        _, a, b, eta = (theta[..., j, None] for j in range(4))
        flops = np.asarray(flops, dtype=float)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            ratio = (b / a) ** (1 / (2 * eta)) + 0 * flops
            size = np.sqrt(flops / (6 * ratio))
        return {"compute": flops + 0 * size, "multiplier": ratio, "N": size, "D": size * ratio}


overtraining = OverTraining(
    name="overtraining",
    equation="e + (a * M^eta + b * M^-eta) * C^-eta",
    source="Gadre et al. 2024, the loss law of over-training",
    inputs={"compute": "training FLOPs, C = 6 N D", "multiplier": "tokens per parameter, M = D / N"},
    response="loss, nats per token",
    parameters=(
        floor("e", "loss at infinite compute, unit of the loss"),
        scale("a", "loss from finite size at C = M = 1"),
        scale("b", "loss from finite data at C = M = 1"),
        exponent("eta", "exponent of compute", start=(0.03, 0.6)),
    ),
    needs={"compute": Need(2, ("e", "eta")), "multiplier": Need(2, ("a", "b"))},
    linear=("e", "a", "b"),
    terms=(
        Term("e"),
        Term("a", (Power("eta", "multiplier", 1.0), Power("eta", "compute"))),
        Term("b", (Power("eta", "multiplier"), Power("eta", "compute"))),
    ),
)


def from_chinchilla(*, E: float, A: float, B: float, alpha: float) -> dict[str, float]:
    """Parameters of `overtraining` from those of `chinchilla` with beta = alpha (Gadre et al. 2024 derive it so)."""
    factor = 6.0 ** (alpha / 2)
    return {"e": E, "a": A * factor, "b": B * factor, "eta": alpha / 2}


def to_chinchilla(*, e: float, a: float, b: float, eta: float) -> dict[str, float]:
    """Parameters of `chinchilla` (alpha = beta = 2 eta) from those of `overtraining`."""
    factor = 6.0**-eta
    return {"E": e, "A": a * factor, "B": b * factor, "alpha": 2 * eta, "beta": 2 * eta}


def optimal_multiplier(*, a, b, eta):
    """Tokens per parameter of least loss at any compute: M* = (b/a)^(1/(2 eta)), where a M^eta + b M^-eta is least.

    References
    ----------
    Gadre et al. 2024, section 2.1 and appendix B.
    """
    return (np.asarray(b, dtype=float) / a) ** (1 / (2 * np.asarray(eta, dtype=float)))


def tokens_to_reach(loss, params, *, e, a, b, eta):
    """Training tokens after which a model of `params` parameters has the loss `loss`, nats per token.

    The law solved for D: (B / (L - E - A N^-2eta))^(1/(2 eta)); inf where no number of tokens is enough.
    All arguments broadcast.
    """
    law = to_chinchilla(e=e, a=a, b=b, eta=eta)
    exponent = law["alpha"]
    left = np.asarray(loss, dtype=float) - law["E"] - law["A"] * np.asarray(params, dtype=float) ** -exponent
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(left > 0, (law["B"] / left) ** (1 / exponent), np.inf)


def size_ratio_of_multiplier(multiplier, reference=20.0, *, a, b, eta):
    """How many times its size a model trained at `multiplier` tokens per parameter is worth.

    That is the size that has the same loss when trained at `reference` tokens per parameter, over the model's own.
    By the law the ratio is the same for every size: ((A + B R^-2eta) / (A + B M^-2eta))^(1/(2 eta)), R the reference.
    """
    exponent = 2 * np.asarray(eta, dtype=float)
    gap = lambda m: a + b * np.asarray(m, dtype=float) ** -exponent  # noqa: E731
    return (gap(reference) / gap(multiplier)) ** (1 / exponent)


def price_of_multiplier(multiplier, *, a, b, eta):
    """Training FLOPs for a given loss at `multiplier` tokens per parameter, over those at the best multiplier.

    The same for every loss: (g(M) / g(M*))^(1/eta) with g(M) = a M^eta + b M^-eta, of which M* is the minimum.
    """
    bracket = lambda m: a * m**eta + b * m**-eta  # noqa: E731
    return (
        bracket(np.asarray(multiplier, dtype=float)) / bracket(optimal_multiplier(a=a, b=b, eta=eta))
    ) ** (1 / eta)
