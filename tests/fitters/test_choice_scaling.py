"""Joint forecast of accuracy: planted laws come back, intervals cover, and the rivals do what they say."""

import numpy as np
import pytest

from densing.errors import InputError
from densing.fitters import (
    JointChoiceForecast,
    error_power_forecast,
    logistic_forecast,
    loss_power_forecast,
    loss_two_term_forecast,
    nearest_forecast,
)
from densing.fitters.choice_scaling.choice_laws import fit_choice_laws
from densing.lab import planted_scores

SIZES = 6 * 2e6 * np.geomspace(1e4, 1e6, 8)


def fitted(scores, rows, **options):
    some = scores.select(models=rows)
    return JointChoiceForecast(**options).fit(some.log_p, some.correct, some.compute, some.mask)


def test_a_planted_law_without_noise_is_found_and_extrapolated():
    compute = np.append(SIZES, SIZES[-1] * 5)
    options = {"noise": 0.0, "model_noise": 0.0, "exponent": 0.25, "seed": 3}
    scores = planted_scores(compute, items=60, **options)
    result = fitted(scores, slice(8), shrink=False, draws=50)
    assert result.alpha == 0.25 and (result.alpha_draws == 0.25).all()
    ahead = result.laws.value(np.log(compute[-1:]))[0].reshape(60, 4)
    assert np.abs(ahead - scores.log_p[-1]).max() < 1e-6
    forecast = result.predict(compute[-1:])
    assert np.array_equal(forecast.item_accuracy[0], scores.stage("accuracy")[-1])
    assert np.allclose(forecast.item_p_choices[0], scores.stage("p_choices")[-1], atol=1e-5)
    # the law of the right choice alone is as exact, and wrong about the incorrect ones
    alone = fitted(scores, slice(8), incorrect="last", shrink=False, draws=50).predict(compute[-1:])
    assert alone.accuracy[0] > forecast.accuracy[0] + 0.1


def test_shrinkage_brings_slopes_nearer_to_the_truth():
    options = {"items": 200, "noise": 0.8, "slope_sd": 0.1, "model_noise": 0.0, "seed": 1}
    noisy = planted_scores(SIZES, **options)
    y, z = -noisy.log_p.reshape(8, -1), np.log(SIZES)
    kind = (~noisy.wrong).ravel().astype(int)
    clean = -planted_scores(SIZES, **options | {"noise": 0.0}).log_p.reshape(8, -1)
    truth = fit_choice_laws(clean, z, 0.0, kind, shrink=False).slope
    errors = [
        np.sqrt(np.mean((fit_choice_laws(y, z, 0.0, kind, shrink=shrink).slope - truth) ** 2))
        for shrink in (False, True)
    ]
    assert errors[1] < 0.75 * errors[0]
    # with hardly any noise nothing is shrunken
    kept = fit_choice_laws(clean + 1e-3 * (y - clean), z, 0.0, kind).slope
    assert np.abs(kept - truth).max() < 2e-3


@pytest.mark.slow
def test_intervals_of_a_planted_model_cover_as_often_as_they_say():
    """Accuracy of one model at two and four times the largest fitted compute, three kinds of truth."""
    truths = ({}, {"exponent": 0.2, "model_noise": 0.1}, {"model_noise": 0.2, "shared_noise": 0.0})
    compute = np.concatenate([np.repeat(SIZES, 2), SIZES[-1] * np.array([2.0, 4.0])])
    covered = []
    for number in range(120):
        scores = planted_scores(compute, items=60, **truths[number % 3], seed=number)
        forecast = fitted(scores, slice(16), draws=200, seed=number).predict(compute[16:])
        observed = scores.stage("accuracy")[16:].mean(axis=1)
        covered.append((observed >= forecast.accuracy_lower) & (observed <= forecast.accuracy_upper))
    assert 0.90 <= np.mean(covered) <= 0.98


def test_common_noise_of_the_choices_cancels_and_that_of_a_model_does_not():
    def width(**options):
        scores = planted_scores(np.repeat(SIZES, 2), items=100, noise=0.6, **options, seed=2)
        found = fitted(scores, slice(None), draws=300).predict([SIZES[-1] * 2])
        return found.p_choices_upper[0] - found.p_choices_lower[0]

    independent = width(shared_noise=0.0, model_noise=0.0)
    assert width(shared_noise=1.0, model_noise=0.0) < 0.5 * independent
    assert width(shared_noise=0.0, model_noise=0.4) > 2 * independent


def test_forecasts_are_the_same_again_and_for_repeated_targets():
    scores = planted_scores(SIZES, items=40, seed=5)
    one, two = (fitted(scores, slice(None), draws=50, seed=1).predict([3e13, 1e13, 3e13]) for _ in range(2))
    for name in ("accuracy", "accuracy_upper", "item_accuracy"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
        assert np.array_equal(getattr(one, name)[0], getattr(one, name)[2])
    assert np.allclose(one.item_accuracy.mean(axis=1), one.accuracy)


def test_ragged_choices_are_forecast_with_what_they_have():
    scores = planted_scores(SIZES, items=40, choices=4, noise=0.0, model_noise=0.0, seed=6)
    mask = np.ones((40, 4), bool)
    mask[::2] = np.arange(4) < 2
    mask[np.arange(40), scores.correct] = True
    log_p = np.where(mask, scores.log_p, np.nan)
    found = JointChoiceForecast(draws=50).fit(log_p, scores.correct, SIZES, mask).predict([SIZES[-1]])
    kept = np.where(mask, scores.log_p, -np.inf)[-1]
    assert np.array_equal(found.item_accuracy[0], kept.argmax(axis=1) == scores.correct)


def test_logistic_curves_and_power_laws_come_back():
    z = np.linspace(0, 5, 12)
    new = np.array([6.0, 8.0])
    curve = lambda x: 0.25 + 0.75 / (1 + np.exp(3 - 0.9 * x))  # noqa: E731
    assert np.allclose(logistic_forecast(z, curve(z), new, 0.25), curve(new), atol=1e-6)
    many = logistic_forecast(z, np.stack([curve(z), curve(z - 1)]), new, 0.25)
    assert np.allclose(many, [curve(new), curve(new - 1)], atol=1e-6)
    compute, ahead = np.exp(z), np.exp(new)
    assert np.allclose(error_power_forecast(compute, 1 - 0.8 * compute**-0.1, ahead), 1 - 0.8 * ahead**-0.1)
    assert np.allclose(loss_power_forecast(compute, 3 * compute**-0.2, ahead), 3 * ahead**-0.2)


def test_accuracies_at_and_below_chance_stay_there():
    z = np.linspace(0, 5, 12)
    found = logistic_forecast(z, np.full(12, 0.22), [9.0], 0.25)
    assert 0.25 <= found[0] < 0.26


def test_the_two_term_law_is_the_best_of_its_grid_and_not_negative():
    from scipy.optimize import nnls

    from densing.fitters.choice_scaling.baselines import _RATES

    n, d = (v.ravel() for v in np.meshgrid(np.geomspace(1e4, 4e5, 5), np.geomspace(5e5, 8e6, 5)))
    alpha, beta = _RATES[12], _RATES[10]
    exact = 2 * (n / 1e5) ** -alpha + 1.5 * (d / 1e6) ** -beta
    assert np.allclose(loss_two_term_forecast(n, d, exact, [2e6], [4e6]), 2 * 20**-alpha + 1.5 * 4**-beta)
    loss = exact * np.exp(np.random.default_rng(0).normal(0, 0.02, 25))
    best, value = np.inf, None
    for a in _RATES:
        for b in _RATES:
            columns = np.stack([(n / 1e5) ** -a, (d / 1e6) ** -b], axis=1)
            amplitudes, left = nnls(columns / loss[:, None], np.ones(25))
            if left < best:
                best, value = left, amplitudes @ [20.0**-a, 4.0**-b]
    found = loss_two_term_forecast(n, d, loss, [2e6], [4e6])
    assert np.isclose(found[0], value, rtol=1e-6)
    both = loss_two_term_forecast(n, d, np.stack([loss, loss[::-1]]), [2e6], [4e6])
    assert both.shape == (2, 1) and np.isclose(both[0, 0], found[0])


def test_the_nearest_cell_is_carried_forward():
    where = np.log([[1, 1], [1, 1], [4, 1], [4, 8]])
    values = np.array([0.1, 0.3, 0.5, 0.9])
    assert np.allclose(nearest_forecast(where, values, np.log([[1, 1], [9, 1], [9, 9]])), [0.2, 0.5, 0.9])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"incorrect": "none"}, "incorrect = 'none'"),
        ({"shrink": 1}, "shrink = 1"),
        ({"draws": 10}, "draws = 10"),
        ({"level": 1.0}, "level = 1.0"),
        ({"exponents": []}, "exponents: must hold"),
        ({"exponents": [-1.0]}, "exponents = -1.0"),
    ],
)
def test_refused_options(options, told):
    with pytest.raises(InputError, match=told):
        JointChoiceForecast(**options)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"compute": [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 3.0]}, "3 different values"),
        ({"compute": np.arange(8.0)}, "compute: must be finite and above 0"),
        ({"correct": np.full(30, 4)}, "correct: must be the index"),
        ({"log_p": np.full((8, 30, 4), np.nan)}, "item 0, choice 0 of model 0 is not finite"),
        ({"log_p": np.ones((8, 10, 4)), "correct": np.zeros(10, int)}, "10 items"),
        ({"mask": np.ones((3, 4))}, "mask: shape"),
        ({"correct": [0]}, "must be"),
    ],
)
def test_refused_data(change, told):
    good = {"log_p": -np.ones((8, 30, 4)), "correct": np.zeros(30, int), "compute": SIZES}
    with pytest.raises(InputError, match=told):
        JointChoiceForecast().fit(**good | change)


def test_refused_targets_and_baselines():
    scores = planted_scores(SIZES, items=20, seed=0)
    with pytest.raises(InputError, match="compute = 0"):
        fitted(scores, slice(None), draws=50).predict([0])
    with pytest.raises(InputError, match="chance = 1"):
        logistic_forecast([0, 1, 2], [0.1, 0.2, 0.3], [3], 1)
    with pytest.raises(InputError, match="models: 2"):
        error_power_forecast([1, 2], [0.1, 0.2], [3])
    with pytest.raises(InputError, match="loss: -1"):
        loss_power_forecast([1, 2, 3], [1, 2, -1], [3])
    with pytest.raises(InputError, match="finite"):
        logistic_forecast([0, 1, 2], [0.1, np.nan, 0.3], [3], 0)
