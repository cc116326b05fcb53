"""Minimising one objective from many starts, or many objectives from one, all at once."""

from dataclasses import dataclass

import numpy as np

from densing.fitters.scaling.objective import Objective

_CACHE = 32_768  # numbers an array may hold before the passes over it leave the processor's cache
_REWEIGHTED = 15  # at most so many reweighted steps before exact second derivatives take over
_DECREASE = 1e-14  # a row is done when the next step promises less than this share of its objective
_STALLED = 1e9  # damping at which no descent is left in double precision
_DAMPING = 1e-3  # to begin with, in units of the curvature's diagonal
EXACT = 1e-22  # a mean objective below this is a fit to the last digit


@dataclass
class Minima:
    """Where a batch of minimisations ended.

    Attributes
    ----------
    z : coordinates (B, q). fun : objective (B,). converged : (B,). iterations : (B,), evaluations of derivatives.
    """

    z: np.ndarray
    fun: np.ndarray
    converged: np.ndarray
    iterations: np.ndarray


def minimize(
    objective: Objective,
    z: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    *,
    reweighted: int = _REWEIGHTED,
    iterations: int = 300,
    lower: np.ndarray | None = None,
    upper: np.ndarray | None = None,
) -> Minima:
    """Minimise from each row of `z`, moving all rows together.

    Each row takes damped steps, first reweighted least squares, then Newton's with the exact second derivative of the
    Huber objective, which is piecewise smooth: once the set of rows inside delta settles it converges in a few steps.
    Damping follows Marquardt (a fifth after success, tenfold after failure); finished rows leave.

    Parameters
    ----------
    z : starts (B, q), inside the box `lower`, `upper` (the box of the coordinates by default; steps are clipped to it).
    y : response on the scale of the residuals, (n,) or (B, n).
    weights : of the rows of data, (n,) or (B, n).
    reweighted : number of reweighted steps before Newton's; 0 near an optimum.
    """
    z = np.array(z, dtype=float)
    lower = objective.coordinates.lower if lower is None else lower
    upper = objective.coordinates.upper if upper is None else upper
    result = Minima(z, np.empty(len(z)), np.zeros(len(z), bool), np.zeros(len(z), int))
    size = max(1, _CACHE // objective.rows)
    for at in range(0, len(z), size):
        part = slice(at, at + size)
        box = [b if b.ndim == 1 else b[part] for b in (lower, upper)]
        rows = [a if a.ndim == 1 else a[part] for a in (y, weights)]
        with np.errstate(all="ignore"):  # a step may overflow; it is refused then
            done = _minimize_part(objective, z[part], *rows, *box, reweighted, iterations)
        result.z[part], result.fun[part], result.converged[part], result.iterations[part] = done
    return result


def _minimize_part(objective, z, y, weights, lower, upper, reweighted, iterations):
    count, q = z.shape
    lower, upper = np.broadcast_to(lower, z.shape), np.broadcast_to(upper, z.shape)
    best, fun, promise = z.copy(), np.full(count, np.inf), np.full(count, np.inf)
    gradient, matrix = np.zeros((count, q)), np.zeros((count, q, q))
    damping = np.full(count, _DAMPING if reweighted else 0.0)
    converged, spent = np.zeros(count, bool), np.zeros(count, int)
    live, trial = np.arange(count), best
    for step in range(iterations):
        exact = step >= reweighted
        standing = step in (0, reweighted)  # a look at where the rows stand, not a step
        if standing:
            trial, fun[live] = best[live], np.inf
            damping[live] = np.minimum(damping[live], _DAMPING)
        data = [a if a.ndim == 1 else a[live] for a in (y, weights)]
        value, slope, curve = objective.derivatives(trial, *data, exact=exact)
        spent[live] += 1
        better = (value < fun[live]) | standing
        if not standing:
            good = better & (fun[live] - value > 0.25 * promise[live])
            damping[live] = _adapt(damping[live], better, good)
        moved = live[better]
        best[moved], fun[moved] = trial[better], value[better]
        gradient[moved], matrix[moved] = slope[better], curve[better]
        move, promise[live] = _step(*(a[live] for a in (best, gradient, matrix, damping, lower, upper)))
        if exact:
            small = promise[live] <= _DECREASE * fun[live]
            finished = small | (damping[live] > _STALLED)
            gone = live[finished]
            converged[gone] = (small[finished] & (damping[gone] < 1)) | _flat(gradient, matrix, fun, gone)
            live, move = live[~finished], move[~finished]
            if not len(live):
                break
        trial = best[live] + move
    exact_fit = fun <= EXACT * np.broadcast_to(weights, (count, objective.rows)).sum(axis=1)
    return best, fun, (converged | exact_fit) & np.isfinite(fun), spent


def _adapt(damping, better, good):
    """Damping after a step: a fifth after one that kept its promise, double after a poor one, tenfold after none."""
    raised = np.where(better, 2.0, 10.0) * np.maximum(damping, 1e-4)
    new = np.where(good, damping / 5, raised)
    return np.where(new < 1e-7, 0.0, new)


def _flat(gradient, matrix, fun, rows):
    """Whether the gradient is negligible, in units of the curvature, where no step lowers the objective further."""
    diagonal = np.abs(np.einsum("bqq->bq", matrix[rows])) + 1e-300
    return (gradient[rows] ** 2 / diagonal).sum(axis=1) <= 1e-9 * fun[rows] + 1e-300


def _step(z, gradient, matrix, damping, lower, upper):
    """Damped steps (B, q), clipped to the box, and the decrease that the quadratic model promises."""
    held = ((z <= lower) & (gradient > 0)) | ((z >= upper) & (gradient < 0))
    scale = np.abs(np.einsum("bqq->bq", matrix)) + 1e-300
    g = np.where(held, 0.0, gradient)
    full = matrix.copy()
    q = z.shape[1]
    index = np.arange(q)
    full[:, index, index] += damping[:, None] * scale
    if held.any():
        full[held[:, :, None] | held[:, None, :]] = 0.0
        full[:, index, index] = np.where(held, scale, full[:, index, index])
    move = -_solve(full, g, scale)
    move = np.clip(z + move, lower, upper) - z
    bend = np.einsum("bq,bqr,br->b", move, matrix, move)
    promised = -np.einsum("bq,bq->b", g, move) - 0.5 * bend
    # A model that bends down promises more than a quadratic can tell; the slope alone is the safe statement.
    return move, np.where(promised > 0, promised, np.abs(np.einsum("bq,bq->b", g, move)))


def _solve(matrix, right, scale):
    """Solutions of matrix . s = right by Cholesky factors L D L', with pivots made positive, so that s descends."""
    q = right.shape[1]
    root = 1 / np.sqrt(scale)
    a = matrix * root[:, :, None] * root[:, None, :]
    b = right * root
    factor, pivots = np.zeros_like(a), np.empty_like(b)
    for j in range(q):
        weighted = factor[:, j, :j] * pivots[:, :j]
        pivot = a[:, j, j] - (factor[:, j, :j] * weighted).sum(axis=1)
        pivots[:, j] = np.maximum(np.abs(pivot), 1e-12)
        if j + 1 < q:
            rest = a[:, j + 1 :, j] - np.einsum("bij,bj->bi", factor[:, j + 1 :, :j], weighted)
            factor[:, j + 1 :, j] = rest / pivots[:, j, None]
    for j in range(1, q):
        b[:, j] -= (factor[:, j, :j] * b[:, :j]).sum(axis=1)
    b /= pivots
    for j in range(q - 2, -1, -1):
        b[:, j] -= (factor[:, j + 1 :, j] * b[:, j + 1 :]).sum(axis=1)
    return b * root
