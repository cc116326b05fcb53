"""The published procedure, as it was run: SciPy from a grid of starts. For parity and for timing."""

from dataclasses import dataclass
from itertools import product
from time import perf_counter, process_time

import numpy as np
from scipy.optimize import minimize

from densing.checks import check_choice, check_range
from densing.errors import FitError
from densing.fitters.scaling.batched import EXACT
from densing.fitters.scaling.problem import Optimum, Problem

# Hoffmann et al. 2022, appendix D.4: 6 x 6 x 5 x 5 x 5 values of log A, log B, log E, alpha, beta.
_GRID = {
    "a": np.arange(0, 30, 5.0),
    "b": np.arange(0, 30, 5.0),
    "e": np.arange(-1, 1.5, 0.5),
    "alpha": np.arange(0, 2.5, 0.5),
    "beta": np.arange(0, 2.5, 0.5),
}
PUBLISHED_STARTS = 4_500


@dataclass(frozen=True)
class ReferenceFit:
    """The published procedure on a share of its starts and resamples.

    Attributes
    ----------
    params : A, B, E, alpha, beta of the best start. fun : its objective. starts : number tried.
    agreement : share of them within 1e-8 of the best objective, relative.
    resampled_fun : objectives of the resamples. wall_seconds, cpu_seconds : scaled up to 4,500 starts and
        `resamples` resamples, from those timed.
    start_seconds, start_fun : time when each start ended, and its objective.
    """

    params: np.ndarray
    fun: float
    starts: int
    agreement: float
    resampled_fun: np.ndarray
    wall_seconds: float
    cpu_seconds: float
    start_seconds: np.ndarray
    start_fun: np.ndarray


def published_grid_fit(
    size: np.ndarray,
    tokens: np.ndarray,
    loss: np.ndarray,
    *,
    gradients: str = "numeric",
    share: float = 1.0,
    weights: np.ndarray | None = None,
    resamples: int = 1000,
    delta: float = 1e-3,
    seed: int = 0,
) -> ReferenceFit:
    """Fit L = E + A/N^alpha + B/D^beta as Hoffmann et al. and Besiroglu et al. did, and time it.

    L-BFGS-B from a grid of starts on the sum of Huber losses of log-sum-exp residuals, then BFGS from the optimum on
    each resample. Parameters are log A, log B, log E, alpha, beta; inputs are not centred.

    Parameters
    ----------
    size, tokens, loss : (n,) of each run.
    gradients : "numeric" (finite differences, as published) or "analytic".
    share : random share of the starts that is run, in (0, 1]; times are scaled up.
    weights : (m, n) multinomial weights of the resamples that are run; None for none.
    resamples : number that the time of resampling is scaled to.

    References
    ----------
    Hoffmann et al. 2022, section 3.3 and appendix D.4; Besiroglu et al. 2024, published notebook.
    """
    check_choice("gradients", gradients, ("numeric", "analytic"))
    check_range("share", share, 0, 1, open_low=True)
    log_n, log_d, log_y = np.log(size), np.log(tokens), np.log(loss)
    unit = np.ones(len(log_y))
    value = _objective(log_n, log_d, log_y, delta, with_gradient=gradients == "analytic")
    options = {"jac": gradients == "analytic"}
    grid = np.array(list(product(*_GRID.values())))
    count = max(1, round(share * len(grid)))
    chosen = np.random.default_rng(seed).permutation(len(grid))[:count]
    clock, ends, passed = (perf_counter(), process_time()), [], []
    for start in grid[chosen]:
        ends.append(minimize(value, start, args=(unit,), method="L-BFGS-B", **options))
        passed.append(perf_counter() - clock[0])
    start_times = np.array([passed[-1], process_time() - clock[1]]) * len(grid) / count
    funs = np.array([end.fun for end in ends])
    best = ends[int(np.nanargmin(funs))]
    resampled, resample_times = np.empty(0), np.zeros(2)
    if weights is not None:
        clock = perf_counter(), process_time()
        # numpy warns where BFGS' line search overshoots
        with np.errstate(all="ignore"):
            resampled = np.array(
                [minimize(value, best.x, args=(w,), method="BFGS", **options).fun for w in weights]
            )
        resample_times = (
            np.array([perf_counter() - clock[0], process_time() - clock[1]]) * resamples / len(weights)
        )
    a, b, e, alpha, beta = best.x
    wall, cpu = start_times + resample_times
    return ReferenceFit(
        params=np.array([np.exp(a), np.exp(b), np.exp(e), alpha, beta]),
        fun=float(best.fun),
        starts=count,
        agreement=float((funs <= funs[np.isfinite(funs)].min() * (1 + 1e-8)).mean()),
        resampled_fun=resampled,
        wall_seconds=float(wall),
        cpu_seconds=float(cpu),
        start_seconds=np.array(passed),
        start_fun=funs,
    )


def _objective(log_n, log_d, log_y, delta, with_gradient: bool):
    """The sum of weighted Huber losses as a function of parameters and weights, and its gradient when asked for."""
    forms = np.empty((3, len(log_y)))

    def objective(p, weights):
        forms[0] = p[0] - p[3] * log_n
        forms[1] = p[1] - p[4] * log_d
        forms[2] = p[2]
        top = forms.max(axis=0)
        terms = np.exp(forms - top)
        total = terms.sum(axis=0)
        r = top + np.log(total) - log_y
        size = np.abs(r)
        huber = np.where(size < delta, 0.5 * r**2, delta * (size - 0.5 * delta))
        if not with_gradient:
            return weights @ huber
        pull = weights * np.clip(r, -delta, delta) * terms / total
        by_scale = pull.sum(axis=1)
        return weights @ huber, np.array([*by_scale, -(pull[0] @ log_n), -(pull[1] @ log_d)])

    return objective


def solve_with_scipy(problem: Problem, starts: int) -> Optimum:
    """The optimum by SciPy's L-BFGS-B, one start after the other, in the coordinates of the batched fit.

    Raises
    ------
    FitError : no start reaches a finite objective.
    """
    weights, c = problem.rows.weights, problem.coordinates

    def objective(z):
        value, gradient, _ = problem.objective.derivatives(z[None], problem.y, weights, exact=False)
        return value[0], np.nan_to_num(gradient[0])

    box = list(zip(c.lower, c.upper, strict=True))
    options = {"maxiter": 5_000, "maxfun": 20_000, "ftol": 1e-15, "gtol": 1e-12}
    ends = []
    for start in problem.starting_points(starts):
        end = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=box, options=options)
        # A kink of the Huber loss can end the line search early; a fresh start of the same search goes on.
        ends.append(minimize(objective, end.x, jac=True, method="L-BFGS-B", bounds=box, options=options))
    funs = np.array([end.fun for end in ends])
    if not len(funs) or not np.isfinite(funs).any():
        raise FitError(f"{problem.law.name}: no start reached a finite objective; try bounds, or other units")
    best = ends[int(np.nanargmin(funs))]
    return Optimum(
        z=best.x,
        others=np.empty((0, len(best.x))),
        fun=float(problem.in_units(best.fun)),
        converged=bool(best.success),
        agreement=float((funs <= best.fun * (1 + 1e-8) + EXACT * weights.sum()).mean()),
        starts=len(funs),
        iterations=int(sum(end.nit for end in ends)),
        last_iterations=int(best.nit),
    )
