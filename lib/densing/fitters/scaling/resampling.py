"""How the estimate would vary: bootstrap refits, and refits without one unit."""

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from densing.errors import InputError
from densing.fitters.scaling.batched import Minima
from densing.fitters.scaling.problem import Problem

_BATCH = 256  # resamples that share a random stream, so that the number of processes changes no number
_NUMBERS = 20_000_000  # weights held at once
_BLOCKS = 400  # leave-one-out refits at most; beyond, units are left out in random blocks


def bootstrap(problem: Problem, starts: np.ndarray, count: int, *, resampling: str, n_jobs: int) -> Minima:
    """Refits of `count` resamples, each from the best of `starts`.

    ``resampling="case"`` draws rows, or whole groups, by multinomial weights; ``"residual"`` keeps the inputs and adds
    drawn residuals to the fitted curve, which a designed grid of few runs asks for.
    """
    batch = max(1, min(_BATCH, _NUMBERS // len(problem.y)))
    sizes = [min(batch, count - at) for at in range(0, count, batch)]
    tasks = [(problem, starts, size, [problem.seed, 4, i], resampling) for i, size in enumerate(sizes)]
    if n_jobs == 1:
        parts = [_resample(*task) for task in tasks]
    else:
        parts = Parallel(n_jobs=n_jobs)(delayed(_resample)(*task) for task in tasks)
    return Minima(
        *(np.concatenate([getattr(p, f) for p in parts]) for f in ("z", "fun", "converged", "iterations"))
    )


def _resample(problem: Problem, starts, size: int, seed, resampling: str) -> Minima:
    rng, rows = np.random.default_rng(seed), problem.rows
    with threadpool_limits(limits=1):
        if resampling == "case":
            return problem.refit(starts, rows.weights * case_weights(rng, size, len(rows.y), rows.groups))
        weights = np.repeat(rows.weights[None], size, 0)
        return problem.refit(starts, weights, _drawn_responses(problem, starts[0], rng, size))


def case_weights(rng: np.random.Generator, size: int, n: int, groups: np.ndarray | None) -> np.ndarray:
    """How often each of `n` rows is drawn (size, n); rows of one group are drawn together."""
    units = n if groups is None else int(groups.max()) + 1
    counts = rng.multinomial(units, np.full(units, 1 / units), size=size).astype(float)
    return counts if groups is None else counts[:, groups]


def _drawn_responses(problem: Problem, z, rng, size: int) -> np.ndarray:
    """Fitted values plus drawn residuals, centred and widened for the parameters they were fitted with."""
    n, q = len(problem.y), len(z)
    residuals = -problem.objective.residuals(z[None], problem.y)[0]
    residuals = (residuals - residuals.mean()) * np.sqrt(n / (n - q))
    fitted = problem.y + problem.objective.residuals(z[None], problem.y)[0]
    return fitted + residuals[rng.integers(0, n, (size, n))]


def leave_one_out(problem: Problem, z: np.ndarray) -> np.ndarray:
    """Natural parameters (units, p) of refits without one row, or one group, each; in random blocks when many.

    Raises
    ------
    InputError : fewer than three units.
    """
    groups = np.arange(len(problem.y)) if problem.rows.groups is None else problem.rows.groups
    units = int(groups.max()) + 1
    if units < 3:
        raise InputError(f"groups: {units} units are too few to leave one out")
    if units > _BLOCKS:
        blocks = np.random.default_rng([problem.seed, 5]).permutation(units) % _BLOCKS
        groups, units = blocks[groups], _BLOCKS
    batch = max(1, min(_BATCH, _NUMBERS // len(groups)))
    found = []
    with threadpool_limits(limits=1):
        for at in range(0, units, batch):
            left = np.arange(at, min(at + batch, units))[:, None]
            found.append(problem.refit(z[None], problem.rows.weights * (groups != left)).z)
    return problem.coordinates.natural(np.concatenate(found))
