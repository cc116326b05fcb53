import time

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from densing.errors import InputError
from densing.fitters import quantile_slopes


def check_loss(x, y, w, q, slope, intercept):
    r = y - intercept - slope * x
    return (w * np.where(r > 0, q * r, (q - 1) * r)).sum()


def best_of_all_lines(x, y, w, q):
    """The optimum lies on a line through two points: try them all."""
    i, j = np.triu_indices(len(x), 1)
    apart = x[i] != x[j]
    i, j = i[apart], j[apart]
    slopes = (y[i] - y[j]) / (x[i] - x[j])
    return min(check_loss(x, y, w, q, b, y[k] - b * x[k]) for b, k in zip(slopes, i, strict=True))


@given(
    st.integers(0, 10**6),
    st.integers(4, 14),
    st.sampled_from([0.1, 0.25, 0.5, 0.9]),
    st.booleans(),
    st.booleans(),
)
def test_the_optimum_is_exact(seed, n, q, ties, weighted):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 5, n).astype(float) if ties else 800 * rng.random(n)
    y = 0.01 * x + (np.round(rng.normal(size=n)) if ties else rng.normal(size=n))
    w = rng.integers(0, 4, n).astype(float) if weighted else np.ones(n)
    if len(np.unique(x[w > 0])) < 2:
        return
    (slope,), (intercept,) = quantile_slopes(x, y, q, weights=w if weighted else None)
    best = best_of_all_lines(x[w > 0], y[w > 0], w[w > 0], q)
    assert check_loss(x, y, w, q, slope, intercept) <= best + 1e-10 * (1 + best)


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
def test_parity_with_a_linear_program(q):
    rng = np.random.default_rng(3)
    x, w = np.sort(rng.integers(0, 800, 84)).astype(float), rng.integers(0, 4, 84).astype(float)
    y = 0.004 * x + rng.standard_t(3, size=84)
    n = len(x)
    program = linprog(
        np.r_[0, 0, q * w, (1 - q) * w],
        A_eq=np.c_[x, np.ones(n), np.eye(n), -np.eye(n)],
        b_eq=y,
        bounds=[(None, None)] * 2 + [(0, None)] * (2 * n),
    )
    (slope,), (intercept,) = quantile_slopes(x, y, q, weights=w)
    assert check_loss(x, y, w, q, slope, intercept) == pytest.approx(program.fun, rel=1e-9)
    assert slope == pytest.approx(program.x[0], rel=1e-7)


@pytest.mark.parametrize("q", [0.25, 0.5, 0.9])
def test_parity_with_statsmodels(q):
    rng = np.random.default_rng(4)
    x = np.sort(rng.integers(0, 800, 84)).astype(float)
    for _ in range(5):
        y = 0.005 * x + rng.normal(size=84)
        theirs = sm.QuantReg(y, sm.add_constant(x)).fit(q=q, p_tol=1e-12, max_iter=20_000).params
        (slope,), (intercept,) = quantile_slopes(x, y, q)
        assert slope == pytest.approx(theirs[1], rel=1e-5)
        ones = np.ones(84)
        assert (
            check_loss(x, y, ones, q, slope, intercept)
            <= check_loss(x, y, ones, q, theirs[1], theirs[0]) + 1e-10
        )


def test_a_batch_is_a_loop_and_counts_are_repeated_rows():
    rng = np.random.default_rng(5)
    x, y = rng.random((6, 30)), rng.random((6, 30))
    slopes, intercepts = quantile_slopes(x, y, 0.7)
    for row in range(6):
        one = quantile_slopes(x[row], y[row], 0.7)
        assert (slopes[row], intercepts[row]) == (one[0][0], one[1][0])
    counts = rng.integers(0, 3, 30)
    repeated = quantile_slopes(np.repeat(x[0], counts), np.repeat(y[0], counts), 0.7)
    assert quantile_slopes(x[0], y[0], 0.7, weights=counts)[0] == pytest.approx(repeated[0], abs=1e-9)


@given(st.floats(-5, 5), st.floats(0.01, 100), st.floats(-1000, 1000))
def test_equivariance(shift, scale, start):
    rng = np.random.default_rng(6)
    x, y = rng.random(25), rng.normal(size=25)
    base = quantile_slopes(x, y, 0.9)[0][0]
    assert quantile_slopes(start + x, scale * y + shift * x, 0.9)[0][0] == pytest.approx(
        scale * base + shift, abs=1e-7 * scale
    )


def test_points_on_one_line_and_outliers_do_not_stop_it():
    x = np.arange(20.0)
    y = 0.5 * x + 2
    y[3], y[17] = 1e6, -1e6
    slope, intercept = quantile_slopes(x, y, 0.5)
    assert slope[0] == pytest.approx(0.5, abs=1e-9) and intercept[0] == pytest.approx(2, abs=1e-8)


def test_undefined_where_x_does_not_vary():
    slopes, _ = quantile_slopes([[1.0, 1, 1], [1, 2, 3]], [1.0, 2, 3])
    assert np.isnan(slopes[0]) and slopes[1] == pytest.approx(1)


def test_ten_thousand_permutations_take_seconds():
    rng = np.random.default_rng(7)
    x = np.sort(rng.integers(0, 800, 84)).astype(float)
    y = 0.004 * x + rng.normal(size=84)
    shuffled = rng.permuted(np.broadcast_to(x, (10_000, 84)), axis=1)
    start = time.perf_counter()
    for q in (0.5, 0.9):
        assert np.isfinite(quantile_slopes(shuffled, y, q)[0]).all()
    assert time.perf_counter() - start < 8


@pytest.mark.parametrize(
    "arguments, named",
    [
        (([1, 2], [1, 2], 1.0), "q"),
        (([1, 2], [1, 2, 3], 0.5), "shapes"),
        (([1, np.nan], [1, 2], 0.5), "finite"),
    ],
)
def test_bad_input(arguments, named):
    with pytest.raises(InputError, match=named):
        quantile_slopes(*arguments)
    with pytest.raises(InputError, match="weights"):
        quantile_slopes([1, 2], [1, 2], 0.5, weights=[-1, 1])
