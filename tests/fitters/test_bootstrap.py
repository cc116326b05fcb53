import math

import numpy as np
import pytest

from densing.errors import InputError
from densing.fitters import Estimate, cluster_bootstrap, cluster_weights, paired_bootstrap


def test_estimate_holds_its_interval_and_shows_it():
    estimate = Estimate(3.3, 2.1, 4.4)
    assert f"{estimate:.1f}" == "3.3 [2.1, 4.4]" and estimate.level == 0.95
    with pytest.raises(AttributeError):
        estimate.value = 1
    with pytest.raises(InputError, match="lower"):
        Estimate(1, 2, 1)
    with pytest.raises(InputError, match="level"):
        Estimate(1, 0, 2, level=95)
    assert math.isnan(Estimate(1, math.nan, math.nan).lower)


def test_a_falling_function_turns_the_interval_round():
    turned = Estimate(2, 1, 4).transform(lambda x: 1 / x)
    assert (turned.value, turned.lower, turned.upper) == (0.5, 0.25, 1)


def test_percentiles_of_draws():
    draws = np.arange(1, 1001.0)
    estimate = Estimate.from_draws(500, draws, level=0.9)
    assert (estimate.lower, estimate.upper) == (50, 950)
    assert Estimate.from_draws(1, [*draws[:980], *[math.inf] * 20]).upper < math.inf
    assert Estimate.from_draws(1, [*draws[:960], *[math.inf] * 40]).upper == math.inf
    # few undefined draws are left out, many make the interval undefined
    assert Estimate.from_draws(500, [*draws, *[math.nan] * 20]).lower == pytest.approx(25, abs=1)
    assert math.isnan(Estimate.from_draws(500, [*draws, *[math.nan] * 100]).lower)
    assert math.isnan(Estimate.from_draws(500, []).upper)


def test_weights_keep_clusters_whole_and_their_number():
    groups = np.array(["a", "b", "a", "c", "b", "a"])
    weights = cluster_weights(groups, 500, seed=1)
    for label in "abc":
        assert (np.ptp(weights[:, groups == label], axis=1) == 0).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    np.testing.assert_array_equal(weights, cluster_weights(groups, 500, seed=1))
    assert weights[:, 0].mean() == pytest.approx(1, abs=0.15)


def test_the_bootstrap_agrees_with_theory_and_clusters_widen_it():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 5)
    value = rng.normal(size=40)[groups] + 0.1 * rng.normal(size=200)

    def mean(weights):
        return weights @ value / weights.sum(axis=1)

    clustered = cluster_bootstrap(mean, groups, draws=4000)
    single = cluster_bootstrap(mean, np.arange(200), draws=4000)
    means = value.reshape(40, 5).mean(axis=1)
    width = 2 * 1.96 * means.std() / np.sqrt(40)
    assert clustered.upper - clustered.lower == pytest.approx(width, rel=0.06)
    assert clustered.upper - clustered.lower > 2 * (single.upper - single.lower)
    assert clustered.value == pytest.approx(value.mean())


def test_pairing_removes_what_the_items_share():
    rng = np.random.default_rng(1)
    item = 10 * rng.normal(size=60)
    first, second = item + 0.1 * rng.normal(size=60) + 0.2, item + 0.1 * rng.normal(size=60)
    estimate = paired_bootstrap(first, second)
    assert 0.1 < estimate.lower < 0.2 < estimate.upper < 0.3
    together = paired_bootstrap(first, second, groups=np.repeat(np.arange(6), 10))
    assert together.value == estimate.value and together.lower != estimate.lower


@pytest.mark.parametrize(
    "call, named",
    [
        (lambda: cluster_weights([], 10), "groups"),
        (lambda: cluster_weights([1, 2], 0), "draws"),
        (lambda: paired_bootstrap([1, 2], [1, 2, 3]), "first, second"),
        (lambda: paired_bootstrap([1, np.nan], [1, 2]), "finite"),
        (lambda: paired_bootstrap([1, 2], [1, 2], groups=[1]), "groups"),
        (lambda: cluster_bootstrap(lambda w: w, [1, 2]), "statistic"),
    ],
)
def test_bad_input(call, named):
    with pytest.raises(InputError, match=named):
        call()
