"""Every law: derivatives, batch axes, units; closed forms against numerical minima; published values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from densing import laws
from densing.errors import InputError

ROWS = 9


def draw(law, seed, batch=()):
    """Parameters from the law's start boxes, and inputs within a factor of five of 1."""
    rng = np.random.default_rng(seed)
    x = np.exp(rng.uniform(-1.5, 1.5, (len(law.inputs), ROWS)))
    if law.name == "floating_point":
        x[2:] = rng.integers(2, 7, (3, ROWS))
    if law.name == "data_repeat":
        x[1] = x[2] * np.exp(rng.uniform(0.1, 2, ROWS))
    columns = []
    for p in law.parameters:
        low, high = p.start
        u = rng.uniform(size=batch)
        columns.append(low * (high / low) ** u if p.positive else low + (high - low) * u)
    return np.stack(columns, axis=-1), x


@pytest.mark.parametrize("name", laws.known_laws())
@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_derivatives_agree_with_differences(name, seed):
    law = laws.get(name)
    theta, x = draw(law, seed)
    for on in ("identity", "log") if law.native == "log" else ("identity",):
        value = (lambda t: np.log(law.value(t, x))) if on == "log" else (lambda t: law.value(t, x))
        exact = law.jacobian(theta, x, on)
        for j in range(len(theta)):
            # Richardson's extrapolation of central differences: error of the fourth order.
            step = 1e-4 * (theta[j] if law.parameters[j].positive else max(abs(theta[j]), 0.1))
            differences = []
            for h in (step, step / 2):
                up, down = theta.copy(), theta.copy()
                up[j] += h
                down[j] -= h
                differences.append((value(up) - value(down)) / (2 * h))
            numeric = (4 * differences[1] - differences[0]) / 3
            size = np.abs(value(theta)).max()
            rounding = 50 * np.finfo(float).eps * size / step
            tolerance = 1e-6 * np.abs(exact[:, j]).max() + rounding
            if (
                name == "data_repeat"
            ):  # its derivative jumps where size begins to exceed the compute-optimal one
                _, a, b, alpha, beta, *_ = theta
                best = (np.log(alpha * a) - np.log(beta * b) + beta * np.log(x[2])) / alpha
                tolerance = np.where(np.abs(np.log(x[0]) - best) < 0.02, np.inf, tolerance)
            assert np.all(np.abs(exact[:, j] - numeric) <= 1e-6 * np.abs(numeric) + tolerance)


@pytest.mark.parametrize("name", laws.known_laws())
def test_leading_axes_are_a_loop(name):
    law = laws.get(name)
    theta, x = draw(law, 1, (2, 3))
    values, slopes = law.value(theta, x), law.jacobian(theta, x)
    assert values.shape == (2, 3, ROWS) and slopes.shape == (2, 3, ROWS, theta.shape[-1])
    for i in range(2):
        for j in range(3):
            np.testing.assert_allclose(values[i, j], law.value(theta[i, j], x), rtol=1e-13)
            np.testing.assert_allclose(slopes[i, j], law.jacobian(theta[i, j], x), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", laws.known_laws())
@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_units_can_be_changed(name, seed):
    law = laws.get(name)
    theta, x = draw(law, seed)
    rng = np.random.default_rng(seed)
    factors = np.exp(rng.uniform(-3, 3, len(x)))
    factors[[n in law.plain_inputs for n in law.inputs]] = 1.0
    if name == "data_repeat":
        factors[1] = factors[2]
    moved = law.rescale(theta, factors, 2.5)
    np.testing.assert_allclose(law.value(moved, x * factors[:, None]), 2.5 * law.value(theta, x), rtol=1e-10)


def test_chinchilla_units_change_only_the_scale():
    theta = np.array([1.8, 478.0, 2143.0, 0.35, 0.37])
    moved = laws.chinchilla.rescale(theta, np.array([1e3, 1.0]))
    np.testing.assert_allclose(moved, theta * [1, 10 ** (3 * 0.35), 1, 1, 1], rtol=1e-14)


@pytest.mark.parametrize("name", laws.known_laws())
def test_laws_describe_themselves(name):
    law = laws.get(name)
    assert law.name == name and law.source and law.equation in repr(law)
    assert set(law.needs) <= set(law.inputs) and set(law.linear) <= set(law.names)
    assert all(set(need.identifies) <= set(law.names) for need in law.needs.values())
    assert all(p.bounds[0] <= p.start[0] < p.start[1] <= p.bounds[1] for p in law.parameters)


def test_calling_a_law():
    value = laws.chinchilla(1e9, [2e10, 4e10], E=1.8, A=400, B=400, alpha=0.34, beta=0.28)
    np.testing.assert_allclose(value, 1.8 + 400 / 1e9**0.34 + 400 / np.array([2e10, 4e10]) ** 0.28)
    assert isinstance(laws.power(2.0, x0=4.0, alpha=0.5), float)
    with pytest.raises(InputError, match="needs the parameters E, A, B, alpha, beta"):
        laws.chinchilla(1e9, 2e10, E=1.8)
    with pytest.raises(InputError, match="takes the inputs N, D"):
        laws.chinchilla(1e9, E=1.8, A=400, B=400, alpha=0.34, beta=0.28)
    with pytest.raises(InputError, match="chinchilla"):
        laws.get("chinchila")


def test_data_repeat_gives_the_values_of_its_repository():
    published = dict(
        E=np.exp(0.6254804), A=np.exp(6.255414), B=np.exp(7.3049974), alpha=0.3526596, beta=0.3526596
    )
    published |= dict(r_d=15.387756, r_n=5.309743)
    assert laws.data_repeat(6.34e9, 242e9, 25e9, **published) == pytest.approx(2.22564, abs=6e-6)
    assert laws.data_repeat(8.67e9, 178e9, 25e9, **published) == pytest.approx(2.22696, abs=6e-6)


def test_data_repeat_without_repeats_is_chinchilla():
    shared = dict(E=1.9, A=500.0, B=1500.0, alpha=0.35, beta=0.36)
    once = laws.data_repeat(1e8, 1e10, 1e10, **shared, r_d=15.0, r_n=5.0)
    assert once == pytest.approx(laws.chinchilla(1e8, 1e10, **shared), rel=1e-12)


def test_overtraining_is_chinchilla_with_equal_exponents():
    there = laws.from_chinchilla(E=1.8, A=300.0, B=700.0, alpha=0.28)
    back = laws.to_chinchilla(**there)
    assert back == pytest.approx(dict(E=1.8, A=300.0, B=700.0, alpha=0.28, beta=0.28), rel=1e-12)
    size, tokens = np.array([1e7, 3e8]), np.array([5e9, 2e10])
    np.testing.assert_allclose(
        laws.overtraining(6 * size * tokens, tokens / size, **there), laws.chinchilla(size, tokens, **back)
    )


def test_hestness_regions():
    curve = dict(alpha=30.0, beta_g=-0.5, gamma=0.1, eps0=2.0)
    assert laws.hestness(1e-3, **curve) == pytest.approx(2.1, rel=1e-6)
    assert laws.hestness(1e12, **curve) == pytest.approx(0.1, rel=1e-3)
    middle = laws.hestness([1e5, 1e6], **curve) - 0.1
    assert np.log10(middle[1] / middle[0]) == pytest.approx(-0.5, abs=1e-6)
    power = {k: v for k, v in curve.items() if k != "eps0"}
    assert laws.hestness_power(1e6, **power) == pytest.approx(laws.hestness(1e6, **curve), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "theta"),
    [
        ("chinchilla", [1.8, 478.0, 2143.0, 0.35, 0.37]),
        ("kaplan_nd", [8.8e13, 0.076, 5.4e13, 0.095]),
    ],
)
def test_allocation_minimises_the_loss(name, theta):
    law, theta = laws.get(name), np.array(theta)
    for flops in (1e19, 1e23):
        found = law.allocate(theta[None], np.array([flops]))
        loss = lambda s: law.value(theta, np.array([[np.exp(s)], [flops / (6 * np.exp(s))]]))[0]  # noqa: E731, B023
        best = minimize_scalar(loss, bracket=(15, 20, 30), tol=1e-14)
        assert np.log(found["N"][0, 0]) == pytest.approx(best.x, abs=1e-4)
        assert found["N"][0, 0] * found["D"][0, 0] * 6 == pytest.approx(flops)


def test_overtraining_optimum():
    e, a, b, eta = 1.8, 900.0, 1400.0, 0.14
    found = laws.overtraining.allocate(np.array([[e, a, b, eta]]), np.array([1e20]))
    best = minimize_scalar(lambda m: a * np.exp(eta * m) + b * np.exp(-eta * m), bracket=(0, 5), tol=1e-14)
    assert np.log(found["multiplier"][0, 0]) == pytest.approx(best.x, abs=1e-6)


def test_compute_optimal_rules():
    size, tokens = laws.chinchilla_allocation(5.76e23)
    assert tokens / size == pytest.approx(laws.tokens_per_parameter(406.4, 410.7, 0.34, 0.28, 5.76e23))
    parts = laws.chinchilla.allocate(np.array([[1.69, 406.4, 410.7, 0.34, 0.28]]), np.array([5.76e23]))
    assert parts["N"][0, 0] == pytest.approx(size)
    size, tokens = laws.kaplan_allocation(8.64e19)
    assert size == pytest.approx(1.3e9) and 6 * size * tokens == pytest.approx(8.64e19)


def test_translation_split_is_the_minimum():
    law = dict(beta=100.0, p_e=0.18, p_d=0.31, l_inf=1.2)
    encoder, decoder = laws.optimal_split(1e9, 0.18, 0.31)
    best = minimize_scalar(
        lambda s: laws.translation(s * 1e9, (1 - s) * 1e9, **law),
        bounds=(0.01, 0.99),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert encoder / 1e9 == pytest.approx(best.x, abs=1e-6) and encoder + decoder == pytest.approx(1e9)


def test_floating_point_optimum_and_critical_tokens():
    k = dict(
        n=69.2343, alpha=0.2368, d=68973.06, beta=0.5162, eps=1.9061, gamma=11334.52, delta=3.1926, nu=2.9543
    )
    exponent_bits, mantissa_bits = laws.optimal_layout(8, delta=k["delta"], nu=k["nu"])
    assert exponent_bits + mantissa_bits + 1 == pytest.approx(8)
    split = lambda e: laws.floating_point(1e9, 1e11, e, 7 - e, 128, **k)  # noqa: E731
    best = minimize_scalar(split, bounds=(0, 7), method="bounded", options={"xatol": 1e-9})
    assert exponent_bits == pytest.approx(best.x, abs=1e-5)
    shared = {name: k[name] for name in ("d", "gamma", "alpha", "beta", "delta", "nu")}
    tokens = laws.critical_tokens(1e9, 4, 3, 128, **shared)
    around = laws.floating_point(1e9, tokens * np.array([0.999, 1, 1.001]), 4, 3, 128, **k)
    assert around[1] < around[0] and around[1] < around[2]
    assert laws.floating_point(1e9, 1e11, 4, 3, 1, **k) == pytest.approx(
        k["n"] / 1e9 ** k["alpha"] + k["d"] / 1e11 ** k["beta"] + k["eps"]
    )


def test_critical_batch_balances_time_and_data():
    law = dict(b_star=2.1e8, alpha_b=0.21)
    batch = laws.critical_batch(3.0, **law)
    steps, tokens = laws.steps_and_tokens(3.0, batch, 1e4, **law)
    assert steps == pytest.approx(2e4) and tokens == pytest.approx(2 * batch * 1e4)


def test_multilingual_grows_with_its_table():
    law = laws.multilingual.resolve({"task": np.array([1, 1, 2, 2]), "weight": np.array([0.5, 1, 0.5, 1])})
    assert law.names == (
        "beta[1,0.5]",
        "beta[1,1]",
        "beta[2,0.5]",
        "beta[2,1]",
        "alpha[1]",
        "alpha[2]",
        "l_inf[1]",
        "l_inf[2]",
    )
    theta = np.array([3.0, 2.0, 5.0, 4.0, 0.2, 0.3, 1.0, 1.5])
    x = np.array([[1e6, 1e6], [1, 2], [1, 0.5]])
    np.testing.assert_allclose(law.value(theta, x), [2 * 1e6**-0.2 + 1, 5 * 1e6**-0.3 + 1.5])
    with pytest.raises(InputError, match="no such task"):
        law.value(theta, np.array([[1e6], [3], [1]]))
    assert laws.effective_fraction(2.0, 2.0, 0.2) == 1
