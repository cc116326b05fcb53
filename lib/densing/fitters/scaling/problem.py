"""One law on one table: the fit, refits on resampled rows, leave-one-out refits, fits with a parameter held."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from densing.errors import FitError
from densing.fitters.scaling.batched import EXACT, Minima, minimize
from densing.fitters.scaling.coordinates import Coordinates, coordinates_for
from densing.fitters.scaling.frames import Rows
from densing.fitters.scaling.losses import Loss
from densing.fitters.scaling.objective import Objective, objective_for
from densing.fitters.scaling.starts import candidate_parameters
from densing.laws.base import Law

_SAME = 1e-8  # relative difference of objectives below which two starts found one optimum
_FEW_ROWS = 5_000  # all starts are followed on so many rows; on larger tables only the best go on


@dataclass(frozen=True)
class Optimum:
    """The best of many starts.

    Attributes
    ----------
    z : its coordinates (q,); others : distinct next-best ones (m, q). fun : objective in the data's units.
    agreement : share of starts within 1e-8 of it, relative.
    """

    z: np.ndarray
    others: np.ndarray
    fun: float
    converged: bool
    agreement: float
    starts: int
    iterations: int
    last_iterations: int


@dataclass(frozen=True, eq=False)
class Problem:
    """A law, the rows it is fitted to, the loss, and the scale of the residuals."""

    law: Law
    rows: Rows
    coordinates: Coordinates
    delta: float
    on: str
    seed: int = 0
    constraints: dict = field(default_factory=dict)

    @property
    def _unit(self) -> float:
        """Of the residuals, in the data's units."""
        return 1.0 if self.on == "log" else self.coordinates.response

    @cached_property
    def loss(self) -> Loss:
        """Loss in scaled units."""
        return Loss(self.delta / self._unit)

    @cached_property
    def x(self) -> np.ndarray:
        """Inputs in scaled units."""
        return self.rows.x / self.coordinates.factors[:, None]

    @cached_property
    def y(self) -> np.ndarray:
        """Response on the scale of the residuals, in scaled units."""
        y = self.rows.y / self.coordinates.response
        return np.log(y) if self.on == "log" else y

    @cached_property
    def objective(self) -> Objective:
        """The batch objective."""
        return objective_for(self.law, self.x, self.coordinates, self.loss, self.on)

    def in_units(self, fun):
        """Objectives in the data's units."""
        return fun * self._unit**2

    def starting_points(self, count: int) -> np.ndarray:
        """The `count` best starts, as coordinates."""
        law, weights = self.law, self.rows.weights
        factors = law.typical(self.rows.x)
        response = float(np.median(np.abs(self.rows.y))) or 1.0
        fixed = {
            law.names.index(n): v
            for n, v in self.constraints.get("fixed", {}).items()
            if law.parameters[law.names.index(n)].role == "exponent"
        }
        theta = candidate_parameters(
            law,
            self.rows.x / factors[:, None],
            self.rows.y / response,
            weights,
            relative=self.on == "log",
            fixed=fixed,
            seed=self.seed,
        )
        with np.errstate(all="ignore"):
            z = self.coordinates.from_natural(law.rescale(theta, factors, response))
        value = np.concatenate(
            [self.objective.value(p, self.y, weights) for p in np.array_split(z, -(-len(z) // 32))]
        )
        order = np.argsort(value, kind="stable")
        return z[order[: min(count, int(np.isfinite(value).sum()))]]

    def solve(self, starts: int, iterations: int = 300) -> Optimum:
        """Follow the best `starts` starts to their optima, for at most so many `iterations`.

        Raises
        ------
        FitError : no start has a finite objective, or none converges.
        """
        z = self.starting_points(starts)
        if not len(z):
            raise FitError(
                f"{self.law.name}: overflows at every start; check the units of the inputs and of y"
            )
        if len(self.y) > _FEW_ROWS:
            keep = np.sort(
                np.random.default_rng([self.seed, 3]).choice(len(self.y), _FEW_ROWS, replace=False)
            )
            part = objective_for(self.law, self.x[:, keep], self.coordinates, self.loss, self.on)
            rough = minimize(part, z, self.y[keep], self.rows.weights[keep], iterations=iterations)
            found, order = rough, np.argsort(rough.fun, kind="stable")
            z = rough.z[_distinct(rough, order, 4, 0.0)]
            final = minimize(self.objective, z, self.y, self.rows.weights, iterations=iterations)
        else:
            found = final = minimize(self.objective, z, self.y, self.rows.weights, iterations=iterations)
        order = np.argsort(final.fun, kind="stable")
        best = order[0]
        if not np.isfinite(final.fun[best]):
            raise FitError(
                f"{self.law.name}: no start reached a finite objective; try bounds, or other units"
            )
        exact = EXACT * self.rows.weights.sum()  # a fit without residuals: its last digits mean nothing
        near = found.fun <= found.fun.min() * (1 + _SAME) + exact
        return Optimum(
            z=final.z[best],
            others=final.z[_distinct(final, order, 3, exact)[1:]],
            fun=float(self.in_units(final.fun[best])),
            converged=bool(final.converged[best]),
            agreement=float(near.mean()),
            starts=len(found.fun),
            iterations=int(found.iterations.sum()),
            last_iterations=int(final.iterations[best]),
        )

    def refit(self, starts: np.ndarray, weights: np.ndarray, y: np.ndarray | None = None) -> Minima:
        """Refit with other weights (B, n), and perhaps another response, from the best of `starts` (m, q).

        Each row of weights is followed from every start, the ends compared.
        """
        y = self.y if y is None else y
        best = None
        for start in starts:
            found = minimize(
                self.objective, np.repeat(start[None], len(weights), 0), y, weights, reweighted=0
            )
            if best is None:
                best = found
                continue
            better = found.fun < best.fun
            for name in ("z", "fun", "converged", "iterations"):
                getattr(best, name)[better] = getattr(found, name)[better]
        return best

    def with_units_kept(self) -> "Problem":
        """The same problem in the caller's units, where every parameter is a coordinate of its own."""
        coordinates = coordinates_for(self.law, self.rows.x, self.rows.y, **self.constraints, keep_units=True)
        return Problem(self.law, self.rows, coordinates, self.delta, self.on, self.seed, self.constraints)


def _distinct(found: Minima, order: np.ndarray, most: int, exact: float) -> list[int]:
    """Indices of at most `most` different optima, best first; objectives below `exact` are all the same."""
    chosen: list[int] = []
    for at in order:
        if not np.isfinite(found.fun[at]) or (chosen and not found.converged[at]):
            continue
        if all(abs(found.fun[at] - found.fun[c]) > _SAME * found.fun[c] + exact for c in chosen):
            chosen.append(int(at))
        if len(chosen) == most:
            break
    return chosen
