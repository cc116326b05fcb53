"""Identities of the over-training law and of its readings as cost and as density."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from densing.laws import (
    chinchilla,
    exponential_decay,
    from_chinchilla,
    optimal_multiplier,
    overtraining,
    price_of_multiplier,
    size_ratio_of_multiplier,
    to_chinchilla,
    tokens_to_reach,
)

amplitude = st.floats(1.0, 1e4)
exponent = st.floats(0.05, 0.4)
parameters = st.fixed_dictionaries(
    {"e": st.floats(0.1, 4.0), "a": amplitude, "b": amplitude, "eta": exponent}
)


@given(parameters)
def test_round_trip_through_chinchilla(theta):
    there = to_chinchilla(**theta)
    back = from_chinchilla(**{k: v for k, v in there.items() if k != "beta"})
    for name, value in theta.items():
        assert back[name] == pytest.approx(value, rel=1e-12)
    size, tokens = 3e8, 7e9
    assert chinchilla(size, tokens, **there) == pytest.approx(
        overtraining(6 * size * tokens, tokens / size, **theta), rel=1e-12
    )


@given(parameters)
def test_the_optimal_multiplier_has_slope_zero(theta):
    best = float(optimal_multiplier(a=theta["a"], b=theta["b"], eta=theta["eta"]))
    assert best == pytest.approx((theta["b"] / theta["a"]) ** (1 / (2 * theta["eta"])), rel=1e-12)
    up, down = (
        theta["a"] * m ** theta["eta"] + theta["b"] * m ** -theta["eta"] for m in (best * 1.001, best / 1.001)
    )
    at = theta["a"] * best ** theta["eta"] + theta["b"] * best ** -theta["eta"]
    assert min(up, down) > at and up == pytest.approx(down, rel=1e-9)


@given(parameters, st.floats(1e7, 1e10), st.floats(2.0, 1e4))
def test_tokens_to_reach_inverts_the_law(theta, size, multiplier):
    loss = overtraining(6 * size * size * multiplier, multiplier, **theta)
    assert tokens_to_reach(loss, size, **theta) == pytest.approx(size * multiplier, rel=1e-5)
    assert np.isinf(tokens_to_reach(theta["e"], size, **theta))


@given(parameters, st.floats(1e7, 1e10), st.floats(1.0, 1e4))
def test_size_ratio_is_the_size_of_equal_loss(theta, size, multiplier):
    amplitudes = {n: theta[n] for n in ("a", "b", "eta")}
    ratio = size_ratio_of_multiplier(multiplier, 20.0, **amplitudes)
    worth = ratio * size
    loss = overtraining(6 * size * size * multiplier, multiplier, **theta)
    assert overtraining(6 * worth * worth * 20, 20.0, **theta) == pytest.approx(loss, rel=1e-9)
    assert size_ratio_of_multiplier(20.0, **amplitudes) == pytest.approx(1.0, rel=1e-12)
    assert size_ratio_of_multiplier(2 * multiplier, **amplitudes) >= ratio


@given(parameters, st.floats(1e7, 1e10), st.floats(1.0, 1e4))
def test_price_is_the_compute_of_equal_loss(theta, size, multiplier):
    amplitudes = {n: theta[n] for n in ("a", "b", "eta")}
    best = float(optimal_multiplier(**amplitudes))
    flops = 6 * size * size * multiplier
    price = float(price_of_multiplier(multiplier, **amplitudes))
    assert price >= 1 - 1e-9
    gap = overtraining(flops, multiplier, **theta) - theta["e"]
    assert overtraining(flops / price, best, **theta) - theta["e"] == pytest.approx(gap, rel=1e-6)


def test_the_exercise_of_the_chapter():
    eta = 0.136
    a, b = 1.0, 20 ** (2 * eta)
    rise = overtraining(1.0, 640.0, e=1e-12, a=a, b=b, eta=eta) / overtraining(
        1.0, 20.0, e=1e-12, a=a, b=b, eta=eta
    )
    assert rise == pytest.approx((32**eta + 32**-eta) / 2, rel=1e-9) == pytest.approx(1.113, abs=5e-4)


@given(st.floats(0.5, 1.0), st.floats(0.1, 10.0), st.floats(0.1, 3.0))
def test_the_error_law_rises_to_its_limit(epsilon, k, gamma):
    loss = np.linspace(0, 60 / gamma, 400)
    error = exponential_decay(loss, epsilon=epsilon, k=k, gamma=gamma)
    assert (np.diff(error) >= 0).all() and (error <= epsilon).all()
    assert error[-1] == pytest.approx(epsilon, abs=1e-12) and error[0] == pytest.approx(epsilon - k)
