"""How much the loss law of over-training hinges on the runs that it is fitted to: every small subset of them."""

from dataclasses import dataclass
from itertools import chain, combinations
from math import comb

import numpy as np
from threadpoolctl import threadpool_limits

from densing.checks import check_flag, check_range
from densing.errors import InputError

_GRID = 48  # exponents at which every subset is solved before the best is refined
_CHUNK = 2_048  # subsets at a time, so that the arrays stay in the processor's cache
_SMOOTH, _KINKED = 9, 20  # points around the best of them, without bounds and with
_MOST = 20_000_000


@dataclass(frozen=True, eq=False)
class SubsetFits:
    """The loss law fitted to many subsets of one table.

    Attributes
    ----------
    runs : (m, k) positions of the runs of each subset.
    E, A, B, exponent : (m,) of L = E + A N^-exponent + B D^-exponent (2 eta of `overtraining`).
    rss : (m,) residual sum of squares.
    at_edge : (m,) whether the best exponent is an end of the range that was searched.
    """

    runs: np.ndarray
    E: np.ndarray
    A: np.ndarray
    B: np.ndarray
    exponent: np.ndarray
    rss: np.ndarray
    at_edge: np.ndarray

    def predict(self, params: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """Loss (m, targets) of models of `params` parameters and `tokens` tokens by each subset's law."""
        power = -self.exponent[:, None]
        return (
            self.E[:, None]
            + self.A[:, None] * np.asarray(params, float) ** power
            + self.B[:, None] * np.asarray(tokens, float) ** power
        )


def identifying_subsets(params: np.ndarray, tokens: np.ndarray, size: int = 5) -> np.ndarray:
    """All subsets of `size` runs that identify the four parameters of the law, as positions (m, size).

    With one size E and A cannot be told apart, with one number of tokens E and B, with one multiplier A and B. Any
    other five different runs identify the law.

    Raises
    ------
    InputError : more than 20 million subsets, or a size below five.
    """
    n = len(params)
    check_range("size", size, 5, n, integer=True)
    if comb(n, size) > _MOST:
        raise InputError(f"size = {size}: {n} runs have {comb(n, size):,} such subsets; draw some instead")
    flat = np.fromiter(chain.from_iterable(combinations(range(n), size)), np.int16, comb(n, size) * size)
    subsets = flat.reshape(-1, size)
    keep = np.ones(len(subsets), bool)
    size_of, tokens_of = np.log(np.asarray(params, float)), np.log(np.asarray(tokens, float))
    for values in (size_of, tokens_of, tokens_of - size_of):
        chosen = values[subsets]
        keep &= np.ptp(chosen, axis=1) > 1e-3
    return subsets[keep]


def fit_subsets(
    params: np.ndarray,
    tokens: np.ndarray,
    loss: np.ndarray,
    subsets: np.ndarray,
    *,
    bounded: bool = True,
    free: SubsetFits | None = None,
    exponents: tuple[float, float] = (0.02, 2.0),
) -> SubsetFits:
    """The loss law of over-training fitted to each subset of a table, by least squares on the raw losses.

    Given the exponent the law is linear, so each subset is solved exactly at 48 exponents, and the best of them refined
    by parabolas (variable projection). There are no starts, and half a million subsets take seconds.

    Parameters
    ----------
    params, tokens, loss : (n,) of each run.
    subsets : (m, k) positions of runs, from `identifying_subsets` or a part of it.
    bounded : keep E, A and B at or above zero, as the law means them.
    free : fits of the same subsets without bounds, if they are at hand; where they keep the bounds by themselves they
        are the answer, so that only the others are solved again.
    exponents : range that is searched for the exponent of N and D.

    Raises
    ------
    InputError : arrays that do not fit together, or values that are not positive.
    """
    check_flag("bounded", bounded)
    table = np.array([params, tokens, loss], dtype=float)
    if table.ndim != 2 or not (np.isfinite(table) & (table > 0)).all():
        raise InputError("params, tokens, loss: must be lists of one length of finite numbers above 0")
    subsets = np.asarray(subsets)
    if subsets.ndim != 2 or not np.issubdtype(subsets.dtype, np.integer) or subsets.size == 0:
        raise InputError("subsets: must be a table (m, k) of positions of runs")
    if subsets.min() < 0 or subsets.max() >= table.shape[1]:
        raise InputError(f"subsets: positions must be 0 to {table.shape[1] - 1}")
    low, high = exponents
    check_range("exponents", low, 0, open_low=True)
    check_range("exponents", high, low, open_low=True)
    if free is None:
        with threadpool_limits(limits=1):  # small products: threads only wait for each other
            free = _fit_all(table, subsets, False, low, high)
    elif not np.array_equal(free.runs, subsets):
        raise InputError("free: must be the fits of the same subsets")
    if not bounded:
        return free
    # a free optimum that keeps the bounds is the best within them too
    outside = (free.E < 0) | (free.A < 0) | (free.B < 0)
    if not outside.any():
        return free
    with threadpool_limits(limits=1):
        again = _fit_all(table, subsets[outside], True, low, high)
    merged = []
    for name in ("E", "A", "B", "exponent", "rss", "at_edge"):
        values = getattr(free, name).copy()
        values[outside] = getattr(again, name)
        merged.append(values)
    return SubsetFits(subsets, *merged)


def _fit_all(table: np.ndarray, subsets: np.ndarray, bounded: bool, low: float, high: float) -> SubsetFits:
    centre = np.log(table[:2]).mean(axis=1)
    mean = table[2].mean()
    logs, y = np.log(table[:2]) - centre[:, None], table[2] - mean
    grid = np.linspace(np.log(low), np.log(high), _GRID)
    parts = [
        _fit_chunk(logs, y, mean, subsets[at : at + _CHUNK], bounded, grid)
        for at in range(0, len(subsets), _CHUNK)
    ]
    E, A, B, log_exponent, rss = (np.concatenate(part) for part in zip(*parts, strict=True))
    exponent = np.exp(log_exponent)
    scale_n, scale_d = np.exp(centre[:, None] * exponent)
    edge = (log_exponent < grid[0] + 1e-3) | (log_exponent > grid[-1] - 1e-3)
    return SubsetFits(subsets, E, A * scale_n, B * scale_d, exponent, rss, edge)


def _fit_chunk(logs, y, mean, subsets, bounded, grid):
    """E, A, B, log exponent and rss of some subsets; `logs` are centred, so A and B are those of centred inputs."""
    member = np.zeros((len(subsets), logs.shape[1]))
    np.put_along_axis(member, subsets.astype(np.int64), 1.0, axis=1)
    f, g = np.moveaxis(np.exp(-np.exp(grid)[:, None, None] * logs), 1, 0)  # (grid, n) each
    sums = [member @ column.T for column in (f, g, f * f, f * g, g * g, f * y, g * y)]
    k = subsets.shape[1]
    every = _solve(k, (member @ y)[:, None], (member @ y**2)[:, None], *sums, mean, bounded)[3]
    best = np.clip(every.argmin(axis=1), 1, len(grid) - 2)
    rows = np.arange(len(subsets))
    # one row a run of the subset, so that sums run over whole rows
    chosen, response = logs[:, subsets.T], y[subsets.T]
    sy, syy = response.sum(axis=0), (response**2).sum(axis=0)

    def solve(log_exponent):
        f, g = np.exp(-np.exp(log_exponent) * chosen)
        columns = (f, g, f * f, f * g, g * g, f * response, g * response)
        return _solve(k, sy, syy, *(column.sum(axis=0) for column in columns), mean, bounded)

    x, value = grid[best + np.array([[-1], [0], [1]])], every[rows, best + np.array([[-1], [0], [1]])]
    for step in range(_KINKED if bounded else _SMOOTH):
        x, value = _narrower(x, value, solve, halve=step % 2 == 1)
    at = value.argmin(axis=0)
    log_exponent = x[at, rows]
    E, A, B, rss = solve(log_exponent)
    return E, A, B, log_exponent, rss


def _narrower(x, value, solve, halve: bool):
    """Three points (3, m) around each minimum, after one more.

    That is the vertex of their parabola, or the middle of the longer side: the vertex alone would hang on one side of a
    sharp minimum.
    """
    left, right = x[1] - x[0], x[2] - x[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        rise, fall = (value[2] - value[1]) / right, (value[0] - value[1]) / left
        new = x[1] + 0.5 * (fall * right - rise * left) / (rise + fall)
    longer = np.where(left > right, x[1] - 0.5 * left, x[1] + 0.5 * right)
    span = x[2] - x[0]
    # a vertex on top of a known point would not narrow anything
    near = np.minimum(np.minimum(new - x[0], x[2] - new), np.abs(new - x[1])) < 1e-3 * span
    new = longer if halve else np.where(np.isfinite(new) & ~near, new, longer)
    found = solve(new)[3]
    points, values = np.concatenate([x, new[None]]), np.concatenate([value, found[None]])
    order = np.argsort(points, axis=0)
    points, values = np.take_along_axis(points, order, 0), np.take_along_axis(values, order, 0)
    middle = np.clip(values.argmin(axis=0), 1, 2)[None] + np.array([[-1], [0], [1]])
    return np.take_along_axis(points, middle, 0), np.take_along_axis(values, middle, 0)


def _solve(k, sy, syy, sf, sg, sff, sfg, sgg, sfy, sgy, mean, bounded):
    """Least squares of y on (1, f, g) from sums over the k runs: E, A, B and the residual sum of squares.

    `y` has the mean `mean` taken off. With `bounded` E, A and B are at least 0: where the free solution leaves that
    region, the best of the solutions with some of them at zero.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        cff, cfg, cgg = sff - sf * sf / k, sfg - sf * sg / k, sgg - sg * sg / k
        cfy, cgy, cyy = sfy - sf * sy / k, sgy - sg * sy / k, syy - sy * sy / k
        det = cff * cgg - cfg * cfg
        A, B = (cgg * cfy - cfg * cgy) / det, (cff * cgy - cfg * cfy) / det
        E = (sy - A * sf - B * sg) / k + mean
        rss = np.maximum(cyy - A * cfy - B * cgy, 0.0)
        if not bounded:
            return E, A, B, np.where(np.isfinite(rss), rss, np.inf)
        inside = (E >= 0) & (A >= 0) & (B >= 0) & np.isfinite(rss)
        rss = np.where(inside, rss, np.inf)
        if inside.all():
            return E, A, B, rss
        # sums of the losses themselves, for the solutions without E
        ty, tyy = sy + k * mean, syy + 2 * mean * sy + k * mean**2
        tfy, tgy = sfy + mean * sf, sgy + mean * sg
        zero, full = np.zeros_like(rss), sff * sgg - sfg * sfg
        only_f, only_g = cfy / cff, cgy / cgg
        a, b = (sgg * tfy - sfg * tgy) / full, (sff * tgy - sfg * tfy) / full
        candidates = (
            ((ty - only_f * sf) / k, only_f, zero, cyy - only_f * cfy),
            ((ty - only_g * sg) / k, zero, only_g, cyy - only_g * cgy),
            (zero, a, b, tyy - a * tfy - b * tgy),
            (zero, tfy / sff, zero, tyy - tfy * tfy / sff),
            (zero, zero, tgy / sgg, tyy - tgy * tgy / sgg),
            (ty / k + zero, zero, zero, cyy + zero),
        )
        for e_, a_, b_, r_ in candidates:
            better = (e_ >= 0) & (a_ >= 0) & (b_ >= 0) & (r_ < rss)
            E, A, B, rss = (np.where(better, new, old) for new, old in ((e_, E), (a_, A), (b_, B), (r_, rss)))
    return E, A, B, rss
