"""Laws that are sums of powers: log y is a log-sum-exp of linear forms, so derivatives cost nothing extra."""

from dataclasses import dataclass, field

import numpy as np

from densing.laws.base import Law


@dataclass(frozen=True)
class Power:
    """A factor ``(input + shift) ** (coefficient * exponent)`` of a term."""

    exponent: str
    input: str
    coefficient: float = -1.0
    shift: float = 0.0


@dataclass(frozen=True)
class Term:
    """``scale ** sign`` times a product of `Power`s.

    `factor` names a known factor of the term that depends on the inputs only (see `PowerSum.log_factor`).
    """

    scale: str
    powers: tuple[Power, ...] = ()
    sign: float = 1.0
    factor: str | None = None


@dataclass(frozen=True, eq=False, repr=False)
class PowerSum(Law):
    """A law y = sum of `terms`; with the scales as logarithms, log y = log sum_k exp(u_k), u_k linear."""

    terms: tuple[Term, ...] = field(default=())

    def log_factor(self, name: str, x: np.ndarray) -> np.ndarray:
        """Logarithm (n,) of the known factor called `name`."""
        raise NotImplementedError

    def design(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The linear forms: ``u = coefficients . phi + offset`` with phi = log of positive parameters, else as is.

        Returns
        -------
        coefficients (K, p, n) and offsets (K, n).
        """
        names, inputs, n = self.names, list(self.inputs), x.shape[1]
        coefficients, offsets = np.zeros((len(self.terms), len(names), n)), np.zeros((len(self.terms), n))
        for k, term in enumerate(self.terms):
            coefficients[k, names.index(term.scale)] += term.sign
            for power in term.powers:
                log_x = np.log(x[inputs.index(power.input)] + power.shift)
                coefficients[k, names.index(power.exponent)] += power.coefficient * log_x
            if term.factor:
                with np.errstate(divide="ignore"):
                    offsets[k] = self.log_factor(term.factor, x)
        return coefficients, offsets

    def evaluate(self, theta, x):
        """See `Law.evaluate`."""
        coefficients, offsets = self.design(x)
        positive = np.array([p.positive for p in self.parameters])
        with np.errstate(divide="ignore", invalid="ignore"):
            phi = np.where(positive, np.log(theta), theta)
        u = np.einsum("...p,kpn->k...n", phi, coefficients)
        u += offsets.reshape(offsets.shape[0], *([1] * (phi.ndim - 1)), -1)
        top = u.max(axis=0)
        share = np.exp(u - top)
        total = share.sum(axis=0)
        share /= total
        rows = np.einsum("k...n,kpn->...pn", share, coefficients)
        rows /= np.where(positive, theta, 1.0)[..., None]
        return top + np.log(total), rows

    def rescale(self, theta, factors, response=1.0):
        """See `Law.rescale`: each term's own scale absorbs the change."""
        names, inputs = self.names, list(self.inputs)
        theta = np.array(theta, dtype=float)
        new = theta.copy()
        for term in self.terms:
            shift = np.log(response)
            for power in term.powers:
                shift = shift - power.coefficient * theta[..., names.index(power.exponent)] * np.log(
                    factors[inputs.index(power.input)]
                )
            new[..., names.index(term.scale)] = theta[..., names.index(term.scale)] * np.exp(
                term.sign * shift
            )
        return new
