import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from densing.errors import InputError
from densing.laws import chance_logit, loss_to_score, score_to_loss

CURVE = {"c": 0.75, "gamma": -2.5, "l0": 1.2, "d": 0.25}


@given(
    st.floats(0.1, 1),
    st.floats(-10, -0.5),
    st.floats(-2, 5),
    st.floats(0, 0.5),
    st.floats(-6, 6),
)
def test_the_inverse_is_exact(c, gamma, l0, d, steps):
    loss = l0 + steps / abs(gamma)
    assert score_to_loss(loss_to_score(loss, c, gamma, l0, d), c, gamma, l0, d) == pytest.approx(
        loss, abs=1e-10
    )


def test_the_curve_falls_from_ceiling_to_floor():
    score = loss_to_score([-50.0, 1.2, 60.0], **CURVE)
    np.testing.assert_allclose(score, [1.0, 0.625, 0.25], atol=1e-12)


def test_nothing_is_clipped_and_reasons_are_given():
    loss, why = score_to_loss([0.1, 0.25, 0.6, 1.0, 1.1, np.nan], **CURVE, reasons=True)
    assert (
        np.isnan(loss[[0, 4, 5]]).all() and loss[1] == np.inf and loss[3] == -np.inf and np.isfinite(loss[2])
    )
    assert "below the floor" in why[0] and "at the floor" in why[1] and why[2] == ""
    assert "at the ceiling" in why[3] and "above" in why[4] and why[5] == "no score"


@pytest.mark.parametrize("bad", [{"c": 0}, {"gamma": 0}, {"gamma": 1}, {"l0": np.nan}, {"d": np.inf}])
def test_bad_curves_are_refused_by_name(bad):
    for function in (loss_to_score, score_to_loss):
        with pytest.raises(InputError, match=next(iter(bad))):
            function(0.5, **(CURVE | bad))


def test_a_fit_by_scipy_finds_the_planted_curve():
    loss = np.linspace(0, 3, 40)
    found, _ = curve_fit(
        lambda l, g, m: loss_to_score(l, 0.75, -np.exp(g), m, 0.25), loss, loss_to_score(loss, **CURVE)
    )
    np.testing.assert_allclose([-np.exp(found[0]), found[1]], [CURVE["gamma"], CURVE["l0"]], rtol=1e-6)


def test_chance_logit():
    assert chance_logit(0.625, 0.25) == pytest.approx(0, abs=1e-12)
    assert np.isnan(chance_logit([0.2, 0.25], 0.25)).all()
    assert chance_logit(0.2, 0.25, clip=0.001) == pytest.approx(np.log(0.001 / 0.999))
    assert chance_logit(1.0, 0.25) == np.inf
    # broadcasting: one chance a benchmark
    assert chance_logit([[0.5, 0.5]], [0.0, 0.25]).shape == (1, 2)
    for bad in (1.0, -0.1):
        with pytest.raises(InputError, match="chance"):
            chance_logit(0.5, bad)
    with pytest.raises(InputError, match="clip"):
        chance_logit(0.5, 0.0, clip=0.5)


def test_chance_logit_is_the_inverse_of_the_curve_with_unit_ceiling():
    score = np.linspace(0.3, 0.95, 7)
    loss = score_to_loss(score, 0.75, -1.0, 0.0, 0.25)
    np.testing.assert_allclose(chance_logit(score, 0.25), -loss, atol=1e-12)
