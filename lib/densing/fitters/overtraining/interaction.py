"""Whether the exponent of reducible loss against compute depends on the tokens per parameter."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from densing.checks import check_choice, check_columns, check_range
from densing.errors import InputError
from densing.fitters.bootstrap import Estimate

_FLOORS = 60  # values of E that are tried for each table
_REACH = 0.15  # interactions that are tried, on both sides of zero
_STEPS = 301
_BATCH = 50  # resamples solved at once


@dataclass(frozen=True, eq=False)
class MultiplierInteraction:
    """Slopes of ln(L - E) on ln C at each multiplier, and how they change with it; from `multiplier_interaction`.

    Attributes
    ----------
    interaction : change of the slope for each e-fold of tokens per parameter, with its interval; 0 for parallel lines.
    floors : E of each table.
    slopes : a row for each table and multiplier with at least two sizes: table, multiplier, slope at the table's E, and
        the ends of its interval (lower, upper), which takes the uncertainty of E along.
    """

    interaction: Estimate
    floors: dict[str, float]
    slopes: pd.DataFrame


def multiplier_interaction(
    runs: pd.DataFrame,
    *,
    loss: str = "loss",
    params: str = "params",
    tokens: str = "tokens",
    tables: str | None = None,
    levels: str | None = None,
    constants: str = "each",
    bootstrap: int = 500,
    level: float = 0.95,
    seed: int = 0,
) -> MultiplierInteraction:
    """Fit ln(L - E) = c(M) + (s + t ln M) ln C and test t = 0, M = D / N and C = 6 N D.

    The law of over-training says that t is 0. Each table has its own E, s and c(M); t is common. For every E the rest
    is linear; squares are those of ln L to first order (weights ((L - E) / L)^2), so that E is not rewarded for
    stretching the logarithm. Intervals: percentiles of a bootstrap over the runs of each table, everything refitted.

    Parameters
    ----------
    runs : one trained model a row.
    loss, params, tokens : columns; losses above 0 in one unit.
    tables : column that says which training set a row belongs to; None: one table.
    levels : column of planned multipliers, whose runs share a constant; None: those of one M, to a thousandth.
    constants : "each": a constant for each multiplier; "quadratic": c(M) quadratic in ln M, for runs without a common
        grid of multipliers.
    bootstrap : resamples, at least 50.
    level, seed : of the intervals.

    Raises
    ------
    InputError : a missing column, a value that is not positive, or a table of fewer than three sizes or two
        multipliers.
    """
    check_columns("runs", runs.columns, [loss, params, tokens, *filter(None, [tables, levels])])
    check_choice("constants", constants, ("each", "quadratic"))
    check_range("bootstrap", bootstrap, 50, 100_000, integer=True)
    check_range("level", level, 0, 1, open_low=True, open_high=True)
    check_range("seed", seed, 0, 2**32 - 1, integer=True)
    names = ["all"] if tables is None else list(dict.fromkeys(runs[tables]))
    parts = [runs if tables is None else runs[runs[tables] == name] for name in names]
    tests = [
        _Table(str(name), part, [loss, params, tokens], levels, constants)
        for name, part in zip(names, parts, strict=True)
    ]
    rng = np.random.default_rng([seed, 9])
    drawn = [_weights(rng, bootstrap, len(test.y)) for test in tests]
    grid = np.linspace(-_REACH, _REACH, _STEPS)
    profiles = [test.profile(weights, grid) for test, weights in zip(tests, drawn, strict=True)]
    total = sum(squares for squares, _ in profiles)
    found, at = _between(grid, total)[1], total.argmin(axis=1)
    found = np.where(
        (at > 0) & (at < len(grid) - 1), found, np.nan
    )  # at an end of the range the optimum is outside
    interaction = Estimate.from_draws(found[0], found[1:], level)
    floors, slopes = {}, []
    for test, weights, (_, floor_at) in zip(tests, drawn, profiles, strict=True):
        floor = floor_at[np.arange(len(at)), at]
        floors[test.name] = float(floor[0])
        slopes += test.slopes(weights, floor, level)
    columns = ["table", "multiplier", "slope", "lower", "upper"]
    return MultiplierInteraction(interaction, floors, pd.DataFrame(slopes, columns=columns))


class _Table:
    """One training set: its runs, and the parts of its regression that do not depend on E."""

    def __init__(self, name, part, columns, levels, constants):
        values = part[columns].to_numpy(float)
        if not (np.isfinite(values) & (values > 0)).all():
            raise InputError(f"runs: {name}: {', '.join(columns)} must be finite numbers above 0")
        self.name, (self.y, size, trained) = name, values.T
        log_c, log_m = np.log(6 * size * trained), np.log(trained / size)
        self.log_c = log_c - log_c.mean()
        self.level = _near(trained / size) if levels is None else pd.factorize(part[levels], sort=True)[0]
        self.multipliers = np.exp(np.bincount(self.level, log_m) / np.bincount(self.level))
        if len(np.unique(size)) < 3 or len(self.multipliers) < 2:
            raise InputError(f"runs: {name}: needs at least three sizes and two multipliers")
        if constants == "each":
            nuisance = np.eye(len(self.multipliers))[self.level]
        else:
            nuisance = np.stack([np.ones_like(log_m), log_m, log_m**2], axis=1)
        self.known = np.column_stack([nuisance, self.log_c])
        self.product = (log_m - log_m.mean()) * self.log_c
        self.floors = np.linspace(0.0, 0.98, _FLOORS) * self.y.min()

    def profile(self, weights: np.ndarray, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Least squares (B, steps) at each interaction, and the E (B, steps) that gives it."""
        gap = self.y[None] - self.floors[:, None]
        target, squares = np.log(gap), (gap / self.y) ** 2
        lowest, floor = np.empty((len(weights), len(grid))), np.empty((len(weights), len(grid)))
        for at in range(0, len(weights), _BATCH):
            some = slice(at, at + _BATCH)
            w = weights[some, None, :] * squares  # (b, floors, n)
            left = np.stack(
                [np.broadcast_to(target, w.shape), np.broadcast_to(self.product, w.shape)], axis=2
            )
            gram = np.einsum("bfn,np,nq->bfpq", w, self.known, self.known, optimize=True)
            gram = gram + 1e-10 * np.trace(gram, axis1=2, axis2=3)[..., None, None] * np.eye(gram.shape[-1])
            cross = np.einsum("bfn,np,bfkn->bfpk", w, self.known, left, optimize=True)
            inner = np.einsum("bfn,bfkn,bfln->bfkl", w, left, left, optimize=True)
            inner = inner - np.einsum("bfpk,bfpl->bfkl", cross, np.linalg.solve(gram, cross))
            curve = (
                inner[..., 0, 0, None] - 2 * grid * inner[..., 0, 1, None] + grid**2 * inner[..., 1, 1, None]
            )
            lowest[some], floor[some] = _between(self.floors, np.moveaxis(curve, 1, -1))
        return lowest, floor

    def slopes(self, weights: np.ndarray, floor: np.ndarray, level: float) -> list[list]:
        """The slope of ln(L - E) on ln C at each multiplier, row by row."""
        gap = self.y - floor[:, None]
        target, w = np.log(gap), weights * (gap / self.y) ** 2
        rows = []
        for at, multiplier in enumerate(self.multipliers):
            own = self.level == at
            if np.ptp(self.log_c[own]) == 0:
                continue  # runs of one size
            x, u, t = self.log_c[own], w[:, own], target[:, own]
            with np.errstate(invalid="ignore", divide="ignore"):
                total = u.sum(axis=1, keepdims=True)
                dx = x - (u * x).sum(axis=1, keepdims=True) / total
                slope = (u * dx * t).sum(axis=1) / (u * dx**2).sum(axis=1)
            slope[(u > 0).sum(axis=1) < 2] = np.nan
            ends = np.nanquantile(slope[1:], ((1 - level) / 2, (1 + level) / 2))
            rows.append([self.name, multiplier, slope[0], *ends])
        return rows


def _weights(rng, count: int, n: int) -> np.ndarray:
    """Weights (1 + count, n): the table as it is, then how often each run is drawn."""
    return np.concatenate([np.ones((1, n)), rng.multinomial(n, np.full(n, 1 / n), size=count)])


def _near(multipliers: np.ndarray) -> np.ndarray:
    """Level of each run, 0 to the number of levels minus one; multipliers within a thousandth are one level."""
    order = np.argsort(multipliers)
    level = np.empty(len(multipliers), int)
    level[order] = np.cumsum(np.r_[False, np.diff(np.log(multipliers[order])) > 1e-3])
    return level


def _between(grid: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least of each row of `values` (..., steps), and where on `grid`, by a parabola through the lowest three."""
    at = np.clip(values.argmin(axis=-1), 1, len(grid) - 2)
    left, middle, right = (np.take_along_axis(values, at[..., None] + k, -1)[..., 0] for k in (-1, 0, 1))
    slope, bend = (right - left) / 2, left - 2 * middle + right
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = np.clip(np.nan_to_num(-slope / bend), -1, 1)
    return middle + shift * slope + shift**2 * bend / 2, grid[at] + shift * (grid[1] - grid[0])
