"""What a measurement of capacity density gives."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from densing.errors import InputError
from densing.fitters.bootstrap import Estimate


@dataclass(frozen=True)
class Density:
    """The capacity density of a model, with its interval and its two controls.

    Attributes
    ----------
    rho, lower, upper, level : effective over actual parameters, its interval and the interval's level.
    n_effective, n_parameters, tokens : effective size, actual size, tokens of training.
    method : "curve" (of the nominal budget), "law" (of all budgets) or "task" (two-step).
    extrapolated : whether the effective size lies outside half the family's smallest and twice its largest size.
    rho_equal_tokens : effective size at the model's own tokens instead of D0, over its size.
    rho_equal_compute : size of the compute-optimal reference model of the same loss, over the size of the one that
        spends the model's own C = 6 N D; 1 is as good as the reference at its best for that compute.
    rho_curve, rho_law : against the curve of D0, and against the law at D0; `rho` is one of them.
    notes : what to know before quoting the number.
    log_draws : draws of ln rho (B,). Draws of two models measured against one fitted reference, with equally many
        seeds on the same data orders, share their random numbers.
    """

    rho: float
    lower: float
    upper: float
    n_effective: float
    extrapolated: bool
    rho_equal_tokens: Estimate
    rho_equal_compute: Estimate
    rho_curve: Estimate
    rho_law: Estimate
    n_parameters: float
    tokens: float
    method: str
    level: float = 0.95
    notes: tuple[str, ...] = ()
    log_draws: NDArray | None = field(default=None, repr=False, compare=False)

    @property
    def estimate(self) -> Estimate:
        """The density with its interval."""
        return Estimate(self.rho, self.lower, self.upper, self.level)

    @property
    def half_width(self) -> float:
        """Half the width of the interval of ln rho."""
        with np.errstate(divide="ignore"):
            return float(np.log(self.upper) - np.log(self.lower)) / 2

    def ratio(self, parent: "Density") -> Estimate:
        """This density over that of the model this one was made from, draw by draw: the parent's seed noise cancels.

        Parameters
        ----------
        parent : density of the parent, against the same fitted reference, with the same seeds.

        Raises
        ------
        InputError : draws of different numbers, or none.
        """
        if self.log_draws is None or parent.log_draws is None or len(self.log_draws) != len(parent.log_draws):
            raise InputError("parent: must be measured with as many draws, against the same reference")
        with np.errstate(invalid="ignore"):
            draws = np.exp(self.log_draws - parent.log_draws)
        return Estimate.from_draws(self.rho / parent.rho, draws, self.level)

    def as_row(self) -> dict[str, float | bool | str]:
        """The numbers as one row of a table; intervals as <name>_lower and <name>_upper."""
        row: dict = {"rho": self.rho, "rho_lower": self.lower, "rho_upper": self.upper}
        for name in ("n_effective", "n_parameters", "tokens", "half_width", "extrapolated", "method"):
            row[name] = getattr(self, name)
        for name in ("rho_curve", "rho_law", "rho_equal_tokens", "rho_equal_compute"):
            one = getattr(self, name)
            row |= {name: one.value, f"{name}_lower": one.lower, f"{name}_upper": one.upper}
        return row | {"notes": "; ".join(self.notes)}
