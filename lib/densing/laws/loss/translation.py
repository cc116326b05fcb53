"""Loss of translation against the sizes of encoder and decoder."""

from densing.laws.base import Need, exponent, floor, scale
from densing.laws.power_sum import Power, PowerSum, Term

_INPUTS = {
    "n_e": "encoder parameters without embeddings",
    "n_d": "decoder parameters without embeddings and softmax, cross-attention included",
}
_P_E, _P_D = exponent("p_e", "exponent of the encoder"), exponent("p_d", "exponent of the decoder")
_NEEDS_E, _NEEDS_D = Need(2, ("p_e",)), Need(2, ("p_d",))

translation = PowerSum(
    name="translation",
    equation="beta * n_e^-p_e * n_d^-p_d + l_inf",
    source="Ghorbani et al. 2021, the joint law of both stacks (reference sizes absorbed in beta)",
    inputs=_INPUTS,
    response="loss, nats per target token",
    parameters=(
        scale("beta", "loss above the floor at n_e = n_d = 1"),
        _P_E,
        _P_D,
        floor("l_inf", "irreducible loss"),
    ),
    needs={"n_e": _NEEDS_E, "n_d": _NEEDS_D},
    ratio=(("n_e", "n_d"), ("p_e", "p_d")),
    linear=("beta", "l_inf"),
    terms=(Term("beta", (Power("p_e", "n_e"), Power("p_d", "n_d"))), Term("l_inf")),
)

additive_translation = PowerSum(
    name="additive_translation",
    equation="a * n_e^-p_e + b * n_d^-p_d + l_inf",
    source="an additive rival to the law of Ghorbani et al. 2021",
    inputs=_INPUTS,
    response="loss, nats per target token",
    parameters=(
        scale("a", "loss from a finite encoder at n_e = 1"),
        _P_E,
        scale("b", "loss from a finite decoder at n_d = 1"),
        _P_D,
        floor("l_inf", "irreducible loss"),
    ),
    needs={"n_e": Need(3, ("a", "p_e")), "n_d": Need(3, ("b", "p_d"))},
    ratio=(("n_e", "n_d"), ("p_e", "p_d")),
    linear=("a", "b", "l_inf"),
    terms=(Term("a", (Power("p_e", "n_e"),)), Term("b", (Power("p_d", "n_d"),)), Term("l_inf")),
)


def optimal_split(total, p_e: float, p_d: float):
    """Encoder and decoder sizes of least loss for `total` parameters: in proportion to the exponents.

    References
    ----------
    Ghorbani et al. 2021, the optimal ratio of both stacks.
    """
    return total * p_e / (p_e + p_d), total * p_d / (p_e + p_d)
