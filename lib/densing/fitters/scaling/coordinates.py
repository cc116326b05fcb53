"""From the parameters that a law names to the numbers that an optimiser moves."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from densing.checks import check_choice, check_range
from densing.errors import InputError
from densing.laws.base import Law


@dataclass(frozen=True)
class Coordinates:
    """Free coordinates z of a law's parameters: logarithms of positive ones, fixed ones left out, tied ones merged.

    The law is fitted in scaled units: inputs divided by `factors`, the response by `response`. So scales are of
    order one and nearly uncorrelated with their exponents. Where a scale is fixed, bounded or tied by the caller
    the inputs keep their units, because a box in the given units is none in the scaled ones.

    Attributes
    ----------
    mixing, offset : log-parameters = mixing @ z + offset, shapes (p, q) and (p,).
    lower, upper : box of z.
    """

    law: Law
    factors: np.ndarray
    response: float
    mixing: np.ndarray
    offset: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @property
    def positive(self) -> np.ndarray:
        """Which parameters are held as logarithms."""
        return np.array([p.positive for p in self.law.parameters])

    def scaled(self, z: np.ndarray) -> np.ndarray:
        """Parameters (..., p) in scaled units."""
        logs = z @ self.mixing.T + self.offset
        with np.errstate(over="ignore"):
            return np.where(self.positive, np.exp(logs), logs)

    def natural(self, z: np.ndarray) -> np.ndarray:
        """Parameters (..., p) in the caller's units."""
        with np.errstate(all="ignore"):
            return self.law.rescale(self.scaled(z), self.factors, self.response)

    def from_scaled(self, theta: np.ndarray) -> np.ndarray:
        """Coordinates of parameters (..., p) in scaled units; tied ones are averaged, all are moved into the box."""
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.where(self.positive, np.log(np.where(self.positive, theta, 1.0)), theta)
        z = (logs - self.offset) @ np.linalg.pinv(self.mixing).T
        return np.clip(np.nan_to_num(z), self.lower, self.upper)

    def from_natural(self, theta: np.ndarray) -> np.ndarray:
        """Coordinates of parameters in the caller's units."""
        return self.from_scaled(self.law.rescale(theta, 1 / self.factors, 1 / self.response))

    def at_bound(self, z: np.ndarray) -> np.ndarray:
        """Which parameters (..., p) rest on a bound."""
        edge = (z <= self.lower + 1e-9) | (z >= self.upper - 1e-9)
        return (edge[..., None, :] & (self.mixing != 0)).any(axis=-1)


def coordinates_for(
    law: Law,
    x: np.ndarray,
    y: np.ndarray,
    *,
    bounds: Mapping[str, tuple] | None = None,
    fixed: Mapping[str, float] | None = None,
    tie: Mapping[str, str] | None = None,
    keep_units: bool = False,
) -> Coordinates:
    """Coordinates for fitting `law` to inputs x (k, n) and response y (n,); unscaled with `keep_units`.

    Raises
    ------
    InputError : an unknown parameter, an empty or impossible interval, or a tie between unlike parameters.
    """
    bounds, fixed, tie = dict(bounds or {}), dict(fixed or {}), dict(tie or {})
    names = law.names
    for label, mapping in (("bounds", bounds), ("fixed", fixed), ("tie", tie)):
        for name in [*mapping, *(tie.values() if mapping is tie else ())]:
            check_choice(f"{label}: parameter", name, names)
    constrained = set(bounds) | set(fixed) | set(tie) | set(tie.values())
    keep_units = keep_units or any(law.parameters[names.index(n)].role != "exponent" for n in constrained)
    factors = np.ones(len(x)) if keep_units else law.typical(x)
    response = 1.0 if keep_units else float(np.median(np.abs(y))) or 1.0
    p = len(names)
    lower, upper = np.empty(p), np.empty(p)
    for j, parameter in enumerate(law.parameters):
        ends = _interval(parameter, bounds.get(parameter.name), keep_units)
        lower[j], upper[j] = ends
    source = np.arange(p)
    for name, other in tie.items():
        _check_tie(law, name, other, tie, fixed)
        source[names.index(name)] = names.index(other)
    offset, free = np.zeros(p), []
    for j, name in enumerate(names):
        if name in fixed:
            check_range(f"fixed: {name}", fixed[name])
            if law.parameters[j].positive:
                check_range(f"fixed: {name}", fixed[name], 0, open_low=True)
            offset[j] = np.log(fixed[name]) if law.parameters[j].positive else fixed[name]
        elif source[j] == j:
            free.append(j)
    if not free:
        raise InputError("fixed, tie: leave no parameter to fit")
    mixing = np.zeros((p, len(free)))
    for j, name in enumerate(names):
        if name not in fixed:
            mixing[j, free.index(source[j])] = 1.0
    low = np.array([lower[mixing[:, q] != 0].max() for q in range(len(free))])
    high = np.array([upper[mixing[:, q] != 0].min() for q in range(len(free))])
    return Coordinates(law, factors, response, mixing, offset, low, high)


def _interval(parameter, given, keep_units: bool) -> tuple[float, float]:
    low, high = parameter.bounds
    if keep_units and parameter.positive:
        low, high = 1e-300, 1e300
    if given is not None:
        name = f"bounds: {parameter.name}"
        if isinstance(given, str) or len(given) != 2 or not given[0] < given[1]:
            raise InputError(f"{name} = {given!r}: must be a pair (lower, upper) with lower < upper")
        for end in given:
            if np.isfinite(end):
                check_range(name, end, 0 if parameter.positive else None)
        low, high = max(given[0], low), min(given[1], high)
    return (np.log(low), np.log(high)) if parameter.positive else (low, high)


def _check_tie(law, name, other, tie, fixed) -> None:
    parameters = {p.name: p for p in law.parameters}
    if other in tie or name in fixed or name == other:
        raise InputError(
            f"tie: {name} = {other}: {other} must be free or fixed, and {name} neither fixed nor tied twice"
        )
    if parameters[name].positive != parameters[other].positive:
        raise InputError(f"tie: {name} = {other}: both must be scales, or both exponents")
