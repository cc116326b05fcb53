"""Loss against size, data and steps as Kaplan et al. wrote it, with the critical batch."""

from dataclasses import dataclass

import numpy as np

from densing.laws.base import Law, Need, columns_of, exponent, scale, stack_rows

_START, _BOUNDS = (1e-6, 3.0), (1e-60, 1e60)


def _size(name: str, text: str):
    return scale(name, text, _START, _BOUNDS)


@dataclass(frozen=True, eq=False, repr=False)
class _Kaplan(Law):
    def rescale(self, theta, factors, response=1.0):
        """See `Law.rescale`; parameters come as pairs (reference size, exponent), one an input."""
        theta = np.array(theta, dtype=float)
        for i, factor in enumerate(factors):
            theta[..., 2 * i] *= factor * response ** (1 / theta[..., 2 * i + 1])
        return theta


@dataclass(frozen=True, eq=False, repr=False)
class KaplanN(_Kaplan):
    """L(N) = (n_c / N)^alpha_n."""

    def evaluate(self, theta, x):
        """See `Law.evaluate`."""
        n_c, alpha = columns_of(theta)
        log_ratio = np.log(n_c) - np.log(x[0])
        log_y = alpha * log_ratio
        return log_y, stack_rows([alpha / n_c, log_ratio], log_y.shape)


@dataclass(frozen=True, eq=False, repr=False)
class KaplanND(_Kaplan):
    """L(N, D) = [(n_c/N)^(alpha_n/alpha_d) + d_c/D]^alpha_d."""

    def evaluate(self, theta, x):
        """See `Law.evaluate`."""
        n_c, alpha_n, d_c, alpha_d = columns_of(theta)
        log_n, log_d = np.log(n_c) - np.log(x[0]), np.log(d_c) - np.log(x[1])
        log_sum = np.logaddexp(alpha_n / alpha_d * log_n, log_d)
        share = np.exp(alpha_n / alpha_d * log_n - log_sum)  # of the size term inside the bracket
        rows = [
            share * alpha_n / n_c,
            share * log_n,
            (1 - share) * alpha_d / d_c,
            log_sum - share * alpha_n / alpha_d * log_n,
        ]
        log_y = alpha_d * log_sum
        return log_y, stack_rows(rows, log_y.shape)

    def allocate(self, theta, flops):
        """N and D of least loss at C = 6 N D: N^(p+1) = p n_c^p C / (6 d_c), p = alpha_n / alpha_d."""
        n_c, alpha_n, d_c, alpha_d = columns_of(theta)
        p = alpha_n / alpha_d
        with np.errstate(invalid="ignore", divide="ignore"):
            log_n = (np.log(p) + p * np.log(n_c) + np.log(np.asarray(flops) / 6) - np.log(d_c)) / (p + 1)
        size = np.exp(log_n)
        return {"N": size, "D": np.asarray(flops) / (6 * size)}


@dataclass(frozen=True, eq=False, repr=False)
class KaplanNS(_Kaplan):
    """L(N, S) = (n_c/N)^alpha_n + (s_c/S)^alpha_s."""

    def evaluate(self, theta, x):
        """See `Law.evaluate`."""
        n_c, alpha_n, s_c, alpha_s = columns_of(theta)
        log_n, log_s = np.log(n_c) - np.log(x[0]), np.log(s_c) - np.log(x[1])
        log_y = np.logaddexp(alpha_n * log_n, alpha_s * log_s)
        share = np.exp(alpha_n * log_n - log_y)
        rows = [share * alpha_n / n_c, share * log_n, (1 - share) * alpha_s / s_c, (1 - share) * log_s]
        return log_y, stack_rows(rows, log_y.shape)


_N = {"N": "non-embedding parameters"}
_N_C, _ALPHA_N = _size("n_c", "size at which its term is 1"), exponent("alpha_n", "exponent of size")

kaplan_n = KaplanN(
    name="kaplan_n",
    equation="(n_c / N)^alpha_n",
    source="Kaplan et al. 2020, equation 1.1",
    inputs=_N,
    response="loss, nats per token",
    parameters=(_N_C, _ALPHA_N),
    needs={"N": Need(2, ("n_c", "alpha_n"))},
)

kaplan_nd = KaplanND(
    name="kaplan_nd",
    equation="[(n_c / N)^(alpha_n / alpha_d) + d_c / D]^alpha_d",
    source="Kaplan et al. 2020, equation 1.5",
    inputs=_N | {"D": "tokens of the training set"},
    response="loss, nats per token",
    parameters=(
        _N_C,
        _ALPHA_N,
        _size("d_c", "tokens at which the data term is 1"),
        exponent("alpha_d", "exponent of data"),
    ),
    needs={"N": Need(2, ("n_c", "alpha_n")), "D": Need(2, ("d_c", "alpha_d"))},
    ratio=(("N", "D"), ("alpha_n", "alpha_d")),
)

kaplan_ns = KaplanNS(
    name="kaplan_ns",
    equation="(n_c / N)^alpha_n + (s_c / s_min)^alpha_s",
    source="Kaplan et al. 2020, equation 1.6",
    inputs=_N | {"s_min": "optimizer steps at a batch far above the critical one"},
    response="loss, nats per token",
    parameters=(
        _N_C,
        _ALPHA_N,
        _size("s_c", "steps at which their term is 1"),
        exponent("alpha_s", "exponent of steps"),
    ),
    needs={"N": Need(2, ("n_c", "alpha_n")), "s_min": Need(2, ("s_c", "alpha_s"))},
    ratio=(("N", "s_min"), ("alpha_n", "alpha_s")),
)


def critical_batch(loss, *, b_star: float, alpha_b: float):
    """Batch, in tokens, at which time and data efficiency balance: b_star / loss^(1/alpha_b).

    References
    ----------
    Kaplan et al. 2020, equation 5.3.
    """
    return b_star / np.asarray(loss, dtype=float) ** (1 / alpha_b)


def steps_and_tokens(loss, batch_tokens, s_min, *, b_star: float, alpha_b: float):
    """Steps and tokens that reach `loss` at batch `batch_tokens`, where `s_min` steps would do at a huge batch.

    S = s_min (1 + B_crit / B) and E = B S.

    References
    ----------
    Kaplan et al. 2020, equation 5.4 (after McCandlish et al. 2018, equation 2.11).
    """
    batch_tokens = np.asarray(batch_tokens, dtype=float)
    steps = np.asarray(s_min, dtype=float) * (
        1 + critical_batch(loss, b_star=b_star, alpha_b=alpha_b) / batch_tokens
    )
    return steps, steps * batch_tokens
