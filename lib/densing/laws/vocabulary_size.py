"""The optimal vocabulary: tokens per character, FLOPs, and three ways to the optimum (Tao et al. 2024).

Sizes: N_nv parameters outside the vocabulary, d embedding width, V entries, N_v = V·d vocabulary parameters
(the output matrix; looking an embedding up costs no FLOPs), H characters of training text, D = H·f(V) tokens.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from densing.checks import check_choice, check_range
from densing.errors import InputError

COMPRESSION = (0.00639222, -0.15811069, 1.20470122)  # released a, b, c
VOCABULARY_CAP = 200_000
SEARCHED = (2.0, 1e7)  # entries between which approach 3 looks for an optimum
# The paper's embedding width for non-vocabulary parameters up to the first number.
WIDTHS = (
    (50e6, 512), (200e6, 768), (500e6, 1_024), (1e9, 1_536), (2e9, 2_048), (5e9, 3_200), (10e9, 4_096),
    (20e9, 5_120), (50e9, 6_048), (100e9, 8_192), (200e9, 12_288), (500e9, 16_384),
)  # fmt: skip


@dataclass(frozen=True)
class IsoFlopCoefficients:
    """ln N_nv = k_nv + e_nv·ln C and ln N_v = k_v + e_v·ln C along the optimum (approach 1)."""

    k_nv: float
    k_v: float
    e_v: float
    e_nv: float = 0.5

    @property
    def gamma(self) -> float:
        """Exponent of N_v,opt in N_nv."""
        return self.e_v / self.e_nv


@dataclass(frozen=True)
class DerivativeCoefficients:
    """N_v,opt = anchor_nv·(N_nv/anchor_nnv)^gamma (approach 2); the anchor is a measured optimum."""

    gamma: float
    anchor_nnv: float = 33e6
    anchor_nv: float = 3_145_728.0
    compression: tuple[float, float, float] = COMPRESSION


@dataclass(frozen=True)
class ParametricCoefficients:
    """Constants of the law `vocabulary` in the released units: N_nv and N_v in millions, D in billions (approach 3)."""

    e: float
    a1: float
    alpha1: float
    a2: float
    alpha2: float
    b: float
    beta: float
    compression: tuple[float, float, float] = COMPRESSION


Coefficients = IsoFlopCoefficients | DerivativeCoefficients | ParametricCoefficients

# Released with the paper (github.com/sail-sg/scaling-with-vocab).
RELEASED: dict[int, Coefficients] = {
    1: IsoFlopCoefficients(k_nv=-2.4846510161625193, k_v=-1.589031299255507, e_v=0.4163622634135234),
    2: DerivativeCoefficients(gamma=0.8353974035228025),
    3: ParametricCoefficients(
        e=5.5327846803337435, a1=1.8313851559554126, alpha1=0.44660634152009615, a2=0.19584238398665638,
        alpha2=0.6707374679896795, b=2.1241123120064955, beta=0.44660634152009615,
    ),
}  # fmt: skip


def tokens_per_character(
    V: ArrayLike,
    *,
    a: float = COMPRESSION[0],
    b: float = COMPRESSION[1],
    c: float = COMPRESSION[2],
    cap: float = VOCABULARY_CAP,
) -> np.ndarray:
    """f(V) = a·ln²V + b·ln V + c tokens per character; beyond `cap` entries a text gets no shorter."""
    log_v = np.log(np.minimum(np.asarray(V, float), cap))
    return a * log_v**2 + b * log_v + c


def vocabulary_flops(
    n_nv: ArrayLike,
    V: ArrayLike,
    d: ArrayLike,
    characters: ArrayLike,
    *,
    compression: tuple[float, float, float] = COMPRESSION,
) -> np.ndarray:
    """Training FLOPs C = 6(N_nv + V·d)·H·f(V) of a model on `characters` of text."""
    a, b, c = compression
    n_nv, V, d, characters = (np.asarray(x, float) for x in (n_nv, V, d, characters))
    return 6 * (n_nv + V * d) * characters * tokens_per_character(V, a=a, b=b, c=c)


def embedding_width(n_nv: float) -> int:
    """The paper's embedding width for `n_nv` non-vocabulary parameters, up to 500e9."""
    check_range("n_nv", n_nv, 0, WIDTHS[-1][0], open_low=True)
    return next(width for limit, width in WIDTHS if n_nv <= limit)


def flops_slope(
    log_v: ArrayLike, n_nv: float, width: float, compression: tuple[float, float, float] = COMPRESSION
) -> np.ndarray:
    """∂(C/6H)/∂V at fixed characters: d·f(V) + (N_nv + V·d)·(2a·ln V + b)/V, below the cap."""
    a, b, c = compression
    log_v = np.asarray(log_v, float)
    V = np.exp(log_v)
    return width * (a * log_v**2 + b * log_v + c) + (n_nv + V * width) * (2 * a * log_v + b) / V


def cheapest_vocabulary(
    n_nv: float, width: float, *, compression: tuple[float, float, float] = COMPRESSION
) -> float:
    """The V that reads a text of fixed length with the fewest FLOPs: the root of ∂C/∂V (approach 2, before
    anchoring).

    Raises
    ------
    InputError : no root between 2 and the cap (a tokenizer that does not shorten text).
    """
    check_range("n_nv", n_nv, 0, open_low=True)
    check_range("width", width, 0, open_low=True)
    grid = np.linspace(np.log(2.0), np.log(VOCABULARY_CAP), 400)
    slope = flops_slope(grid, n_nv, width, compression)
    crossings = np.flatnonzero((slope[:-1] < 0) & (slope[1:] >= 0))
    if not crossings.size:
        raise InputError(
            f"n_nv = {n_nv:g}, width = {width:g}: FLOPs have no minimum in V between 2 and {VOCABULARY_CAP}"
        )
    i = crossings[0]
    return float(
        np.exp(brentq(flops_slope, grid[i], grid[i + 1], args=(n_nv, width, compression), xtol=1e-13))
    )


def matching_flops(n_nv: float) -> float:
    """Compute-optimal FLOPs of a size by the released coefficients of approach 1, C = (N_nv·e^(-k_nv))²."""
    check_range("n_nv", n_nv, 0, open_low=True)
    return float(np.exp((np.log(n_nv) - RELEASED[1].k_nv) / RELEASED[1].e_nv))


def optimal_vocabulary(
    n_nv: float,
    flops: float | None = None,
    *,
    approach: Literal[1, 2, 3] = 3,
    coefficients: Coefficients | None = None,
    width: float | None = None,
) -> float:
    """Compute-optimal number of vocabulary entries of a model with `n_nv` non-vocabulary parameters.

    Parameters
    ----------
    n_nv : non-vocabulary parameters, > 0.
    flops : training FLOPs; used by approach 3 alone. Default: the compute-optimal budget of approach 1,
        C = (N_nv·e^(-k_nv))², from the released coefficients.
    approach : 1 IsoFLOPs, 2 derivative of the FLOPs, 3 parametric loss.
    coefficients : of that approach; the released ones by default.
    width : embedding width; the paper's width for `n_nv` by default.

    Returns
    -------
    V, a real number.

    Raises
    ------
    InputError : bad values, coefficients of another approach, or no optimum between 2 and 10 million entries.

    References
    ----------
    Tao et al. (2024), Scaling laws with vocabulary, sections 3.1 to 3.3.
    """
    check_choice("approach", approach, (1, 2, 3))
    check_range("n_nv", n_nv, 0, open_low=True)
    coefficients = RELEASED[approach] if coefficients is None else coefficients
    if not isinstance(coefficients, type(RELEASED[approach])):
        raise InputError(
            f"coefficients: {type(coefficients).__name__}, "
            f"approach {approach} takes {type(RELEASED[approach]).__name__}"
        )
    if flops is not None:
        check_range("flops", flops, 0, open_low=True)
    if width is not None:
        check_range("width", width, 0, open_low=True)
    width = embedding_width(n_nv) if width is None else width
    if isinstance(coefficients, IsoFlopCoefficients):
        log_c = (np.log(n_nv) - coefficients.k_nv) / coefficients.e_nv
        return float(np.exp(coefficients.k_v + coefficients.e_v * log_c) / width)
    if isinstance(coefficients, DerivativeCoefficients):
        return float(coefficients.anchor_nv * (n_nv / coefficients.anchor_nnv) ** coefficients.gamma / width)
    if flops is None:
        flops = matching_flops(n_nv)
    return _parametric_optimum(n_nv, flops, width, coefficients)


def loss_slope(
    log_v: float, n_nv: float, flops: float, width: float, coefficients: ParametricCoefficients
) -> float:
    """∂L_u/∂ln V at fixed N_nv and C, where D = C/(6(N_nv + V·d)); f(V) cancels out of this condition."""
    k = coefficients
    n_v = np.exp(log_v) * width / 1e6
    total = n_nv / 1e6 + n_v
    billions = flops / (6 * total * 1e6) / 1e9
    # d ln D / d ln V = -n_v / total
    return float(-k.alpha2 * k.a2 * n_v**-k.alpha2 + k.beta * k.b * billions**-k.beta * n_v / total)


def _parametric_optimum(n_nv: float, flops: float, width: float, k: ParametricCoefficients) -> float:
    low, high = (np.log(V) for V in SEARCHED)
    if not loss_slope(low, n_nv, flops, width, k) < 0 < loss_slope(high, n_nv, flops, width, k):
        raise InputError(
            f"n_nv = {n_nv:g}, flops = {flops:g}: the loss has no minimum between 2 and 10 million entries"
        )
    return float(np.exp(brentq(loss_slope, low, high, args=(n_nv, flops, width, k), xtol=1e-13)))
