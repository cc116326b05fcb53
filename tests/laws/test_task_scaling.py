import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from densing.errors import InputError
from densing.laws import (
    log_minus_log,
    size_at_rate,
    steps_law,
    steps_log_minus_log,
    task_law,
    two_circuits,
)

STEPS = st.lists(st.tuples(st.floats(1e-2, 1e4), st.floats(0.01, 1.5)), min_size=1, max_size=8)


def test_the_worked_example():
    # N doubles at alpha 0.3: minus ln of 1e-4 falls from 9.21 to 7.48
    c = -np.log(1e-4) * 1e6**0.3
    assert task_law(1e6, c, 0.3) == pytest.approx(1e-4)
    assert -np.log(task_law(2e6, c, 0.3)) == pytest.approx(7.481, abs=1e-3)
    assert task_law(2e6, c, 0.3) == pytest.approx(5.64e-4, abs=1e-6)


@settings(deadline=None)
@given(c=st.floats(1e-2, 1e5), alpha=st.floats(0.02, 2), log_n=st.floats(2, 20))
def test_the_law_is_a_straight_line_and_its_inverse_undoes_it(c, alpha, log_n):
    N = np.exp(log_n)
    p = float(task_law(N, c, alpha))
    if 1e-280 < p < 1 - 1e-9:
        assert log_minus_log(p) == pytest.approx(np.log(c) - alpha * log_n, abs=1e-6)
        assert np.log(size_at_rate(p, c, alpha)) == pytest.approx(log_n, abs=1e-5 / alpha)


def test_the_ends_of_the_scale():
    assert log_minus_log([0.0, 1.0, np.exp(-1)]).tolist() == pytest.approx([np.inf, -np.inf, 0.0])


@settings(deadline=None)
@given(steps=STEPS, log_n=st.floats(3, 18))
def test_steps_in_a_row_bend_upward_only(steps, log_n):
    c, alpha = np.array(steps).T
    N = np.exp(log_n)
    F, second = steps_log_minus_log(N, c, alpha)
    # the second derivative by central differences of the closed form, and never below zero
    h = 1e-3
    near = steps_log_minus_log(np.exp(log_n + h * np.array([-1, 0, 1])), c, alpha)[0]
    assert second >= 0
    assert second == pytest.approx(np.diff(near, 2)[0] / h**2, abs=1e-4 * (1 + alpha.max() ** 4))
    product = np.prod([task_law(N, *step) for step in steps])
    if 1e-280 < product < 1 - 1e-6:
        assert log_minus_log(product) == pytest.approx(F, abs=1e-7)
        assert steps_law(N, c, alpha) == pytest.approx(product)


def test_equal_exponents_and_nothing_else_keep_the_line():
    assert steps_log_minus_log(1e5, [3.0, 40.0], [0.3, 0.3])[1] == pytest.approx(0, abs=1e-15)
    assert steps_log_minus_log(1e5, [3.0, 40.0], [0.2, 0.6])[1] > 1e-3


@pytest.mark.parametrize("w", [None, 0.5])
def test_two_circuits_can_bend_downward(w):
    x = np.linspace(np.log(4.5e4), np.log(1e5), 21)
    F = log_minus_log(two_circuits(np.exp(x), 1e3, 0.5, 3e5, 1.0, w))
    assert (np.diff(F, 2) / (x[1] - x[0]) ** 2 < -0.1).all()
    product = steps_law(np.exp(x), [1e3, 3e5], [0.5, 1.0])
    assert (np.diff(log_minus_log(product), 2) > 0).all()


def test_a_share_of_one_is_one_circuit():
    N = np.geomspace(1e3, 1e7, 5)
    assert np.allclose(two_circuits(N, 1e3, 0.5, 3e5, 1, 1.0), task_law(N, 1e3, 0.5))
    assert np.allclose(
        two_circuits(N, 1e3, 0.5, 3e5, 1), 1 - (1 - task_law(N, 1e3, 0.5)) * (1 - task_law(N, 3e5, 1))
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda: task_law(0, 1, 0.3),
        lambda: task_law(1e5, -1, 0.3),
        lambda: log_minus_log(1.2),
        lambda: size_at_rate(0.0, 1, 0.3),
        lambda: size_at_rate(0.5, 1, 0.0),
        lambda: steps_law(1e5, [1.0], [0.3, 0.4]),
        lambda: two_circuits(1e5, 1, 0.3, 1, 0.5, 1.5),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(InputError):
        call()
