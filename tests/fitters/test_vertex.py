import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from densing.fitters import optimum_slope, quadratic_optimum

V = np.array([288, 512, 768, 1_024, 2_048, 4_096], float)


@given(st.floats(350, 3_500), st.floats(0.01, 3), st.floats(-5, 5))
def test_noise_free_vertex_is_exact(best, curvature, floor):
    x = np.repeat(V, 3)
    found = quadratic_optimum(x, floor + curvature * np.log(x / best) ** 2, draws=20)
    assert found.bracketed
    assert found.optimum.value == pytest.approx(best, rel=1e-6)
    assert found.curvature.value == pytest.approx(curvature, rel=1e-6)
    assert found.predict(best) == pytest.approx(floor, abs=1e-6)


def test_intervals_cover(n_sets=300):
    rng = np.random.default_rng(0)
    x = np.repeat(V, 3)
    truth = 0.2 * np.log(x / 900) ** 2
    inside = 0
    for i in range(n_sets):
        found = quadratic_optimum(x, truth + 0.05 * rng.normal(size=len(x)), draws=400, seed=i)
        inside += found.optimum.lower <= 900 <= found.optimum.upper
    assert 0.88 <= inside / n_sets <= 0.98


def test_slope_of_moving_optima():
    x = np.repeat(V, 3)
    budgets = np.array([1e11, 2e11, 4e11, 8e11])
    optima = [quadratic_optimum(x, np.log(x / (600 * (c / 1e11) ** 0.3)) ** 2, draws=20) for c in budgets]
    assert optimum_slope(optima, budgets).value == pytest.approx(0.3, rel=1e-6)
    widths = np.array([24, 32, 48, 64])
    expected = np.polyfit(np.log(budgets), 0.3 * np.log(budgets) + np.log(widths), 1)[0]
    assert optimum_slope(optima, budgets, scale=widths).value == pytest.approx(expected, rel=1e-6)


def test_shuffled_labels_lose_curvature_and_slope():
    rng = np.random.default_rng(1)
    x = np.repeat(V, 3)
    curved = 0
    for i in range(60):
        y = 0.2 * np.log(x / 900) ** 2 + 0.02 * rng.normal(size=len(x))
        found = quadratic_optimum(rng.permutation(x), y, draws=200, seed=i)
        curved += found.bracketed and found.curvature.lower > 0
    assert curved <= 12


def test_concave_is_not_bracketed():
    found = quadratic_optimum(V, -(np.log(V / 900) ** 2), draws=20)
    assert not found.bracketed and np.isnan(found.optimum.value) and found.curvature.upper < 0


@pytest.mark.parametrize(
    "x, y", [([1, 2], [1, 2]), ([1, 2, 3], [1, 2]), ([0, 1, 2], [1, 2, 3]), ([1, 2, 3], [1, np.nan, 2])]
)
def test_refusals(x, y):
    with pytest.raises(ValueError, match="x"):
        quadratic_optimum(x, y)
    with pytest.raises(ValueError, match="at least two"):
        optimum_slope([], [])
