import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import kstest

from densing.errors import InputError
from densing.fitters import (
    as_days,
    breakpoint_test,
    curvature,
    excess_over_chance,
    fit_trend,
    permutation_p,
    permute_dates,
    record_frontier,
    release_labels,
    rolling_forecast,
)

METHODS = ["frontier", "ols", "quantile", "isotonic"]
SLOPE = np.log(2) / 100


@pytest.mark.parametrize("method", METHODS)
def test_a_planted_doubling_of_100_days_is_found(method):
    day = np.array([0, 13, 40, 77, 120, 180, 250, 365, 500, 700.0])
    trend = fit_trend(day, 3 + SLOPE * day, method, draws=50, permutations=99)
    assert np.log(2) / trend.slope_per_day == pytest.approx(100, abs=1e-6)
    assert trend.doubling_months == pytest.approx(100 / 30.44, abs=1e-8)
    assert trend.intercept == pytest.approx(3, abs=1e-8) and trend.r_squared == pytest.approx(1)
    if method in ("ols", "isotonic"):
        assert trend.permutation_p <= 0.02
    assert (trend.n, trend.n_records) == (10, 10)


def test_least_squares_agrees_with_statsmodels():
    rng = np.random.default_rng(0)
    day = np.sort(rng.integers(0, 800, 200)).astype(float)
    value = 0.005 * day + rng.normal(size=200)
    theirs = sm.OLS(value, sm.add_constant(day)).fit()
    trend = fit_trend(day, value, "ols", draws=4000, permutations=99)
    assert trend.slope_per_day == pytest.approx(theirs.params[1], rel=1e-9)
    assert trend.r_squared == pytest.approx(theirs.rsquared, rel=1e-9)
    low, high = theirs.conf_int()[1]
    assert trend.slope.lower == pytest.approx(low, abs=0.15 * (high - low))
    assert trend.slope.upper == pytest.approx(high, abs=0.15 * (high - low))


def test_the_frontier_is_least_squares_through_its_records():
    rng = np.random.default_rng(1)
    day, value = rng.integers(0, 300, 60).astype(float), rng.normal(size=60) + 0.01 * np.arange(60)
    for rule in ("best", "every"):
        mask = record_frontier(day, value, same_day=rule)
        trend = fit_trend(day, value, same_day=rule, draws=0, permutations=0)
        assert trend.slope_per_day == pytest.approx(np.polyfit(day[mask], value[mask], 1)[0])
        assert trend.n_records == mask.sum()


def test_a_draw_of_families_is_a_refit_of_the_drawn_rows():
    rng = np.random.default_rng(2)
    day = np.sort(rng.integers(0, 300, 40)).astype(float)
    value, family = 0.01 * day + rng.normal(size=40), rng.integers(0, 9, 40)
    from densing.fitters import cluster_weights

    weights = cluster_weights(family, 20, seed=5)
    for method in ("frontier", "ols", "quantile"):
        draws = fit_trend(
            day, value, method, 0.7, groups=family, draws=20, seed=5, permutations=0
        ).slope_draws
        for row in (0, 7):
            again = np.repeat(np.arange(40), weights[row])
            refit = fit_trend(day[again], value[again], method, 0.7, draws=0, permutations=0)
            assert draws[row] == pytest.approx(refit.slope_per_day, abs=1e-9)


@pytest.mark.parametrize("siblings", [False, True])
def test_permutation_p_is_uniform_without_trend(siblings):
    """With siblings, values share a release effect; exchanging single models would then be wrong."""
    rng = np.random.default_rng(3)
    wrong, right = [], []
    for seed in range(500):
        release = np.repeat(np.arange(15), 4)
        day = rng.integers(0, 700, 15).astype(float)[release]
        value = rng.normal(size=60) + 2 * siblings * rng.normal(size=15)[release]
        right.append(
            fit_trend(day, value, "ols", groups=release, draws=0, permutations=199, seed=seed).permutation_p
        )
        wrong.append(fit_trend(day, value, "ols", draws=0, permutations=199, seed=seed).permutation_p)
    assert kstest(right, "uniform").pvalue > 0.01
    assert (kstest(wrong, "uniform").pvalue < 1e-6) == siblings


def test_a_frontier_climbs_without_any_trend():
    """Why the correction exists: through records of noise the line rises, always."""
    rng = np.random.default_rng(4)
    day = np.arange(84.0)
    slopes = []
    for _ in range(200):
        value = rng.normal(size=84)
        if record_frontier(day, value).sum() >= 3:
            slopes.append(fit_trend(day, value, draws=0, permutations=0).slope_per_day)
    assert min(slopes) > 0 and np.mean(slopes) > 4 * np.std(slopes) / np.sqrt(len(slopes))


def test_the_frontiers_slope_is_a_blind_test_even_of_a_perfect_trend():
    """Shuffled, a strong trend becomes wide noise, whose few records rise steeply and early."""
    day = np.sort(np.random.default_rng(11).integers(0, 800, 84)).astype(float)
    frontier = fit_trend(day, 0.0065 * day, draws=0, permutations=999)
    assert frontier.permutation_p > 0.2
    assert fit_trend(day, 0.0065 * day, "ols", draws=0, permutations=999).permutation_p == 0.001
    assert excess_over_chance(day, 0.0065 * day, permutations=999).permutation_p <= 0.01


def test_releases_move_together_and_keep_their_dates():
    day = np.array([5, 5, 9, 9, 9, 2.0])
    family = np.array(["a", "a", "a", "b", "b", "c"])
    releases = release_labels(day, family)
    assert len(np.unique(releases)) == 4 and releases[3] == releases[4] != releases[2]
    shuffled = permute_dates(day, releases, 200, seed=0)
    assert (shuffled[:, 0] == shuffled[:, 1]).all() and (shuffled[:, 3] == shuffled[:, 4]).all()
    first = [np.flatnonzero(releases == r)[0] for r in range(4)]
    assert (np.sort(shuffled[:, first], axis=1) == [2, 5, 9, 9]).all()
    assert len(np.unique(shuffled, axis=0)) > 5
    with pytest.raises(InputError, match="within a release"):
        permute_dates(day, np.zeros(6, int), 10)


def test_the_observed_order_counts_as_one_permutation():
    assert permutation_p(5, [1, 2, 3]) == 0.25
    assert permutation_p(2, [1, 2, 3]) == 0.75
    assert permutation_p(0, [1, 2, np.nan]) == 1


def test_draws_of_dates_and_values_enter():
    rng = np.random.default_rng(5)
    day = np.sort(rng.integers(0, 300, 50)).astype(float)
    value = 0.01 * day + 0.01 * rng.normal(size=50)
    plain = fit_trend(day, value, "ols", draws=300, permutations=0)
    noisy = fit_trend(
        day, value, "ols", draws=300, permutations=0, value_draws=value + rng.normal(size=(300, 50)),
        date_draws=day + rng.integers(-5, 6, (300, 50)),
    )  # fmt: skip
    assert noisy.slope_per_day == plain.slope_per_day
    assert noisy.upper - noisy.lower > 3 * (plain.upper - plain.lower)
    with pytest.raises(InputError, match="value_draws"):
        fit_trend(day, value, draws=10, value_draws=np.zeros((9, 50)))


def test_doubling_time_of_a_trend_that_may_not_rise_is_open_above():
    rng = np.random.default_rng(6)
    trend = fit_trend(np.arange(40.0), rng.normal(size=40), "ols", draws=500, permutations=0)
    assert trend.slope.lower < 0 < trend.slope.upper
    assert trend.upper == np.inf and 0 < trend.lower < np.inf


def test_chance_curve_is_subtracted():
    rng = np.random.default_rng(7)
    day = np.arange(60.0)
    flat = excess_over_chance(day, rng.normal(size=60), permutations=500)
    rising = excess_over_chance(day, 0.1 * day + rng.normal(size=60), permutations=500)
    assert (np.diff(flat.expected) >= 0).all() and flat.expected[-1] == pytest.approx(flat.observed[-1])
    assert flat.permutation_p > 0.05 > 0.01 > rising.permutation_p and rising.slope_per_day > 0


def test_a_planted_break_is_found_and_none_is_not():
    rng = np.random.default_rng(8)
    day = np.sort(rng.integers(0, 600, 120)).astype(float)
    broken = 0.005 * day + 0.01 * np.maximum(day - 300, 0)
    test = breakpoint_test(day, broken, 300, draws=200)
    assert test.ratio.value == pytest.approx(3, abs=1e-9) and test.p <= 0.01
    assert (test.n_before, test.n_after) == ((day < 300).sum(), (day >= 300).sum())
    p = [breakpoint_test(day, 0.005 * day + rng.normal(size=120), 300, draws=99).p for _ in range(200)]
    assert kstest(p, "uniform").pvalue > 0.01
    with pytest.raises(InputError, match="at = -5"):
        breakpoint_test(day, broken, -5)
    nothing = breakpoint_test(day, broken, -5, strict=False)
    assert np.isnan([nothing.p, nothing.ratio.value, nothing.before.lower]).all() and nothing.n_before == 0


def test_curvature():
    day = np.arange(0, 800, 10.0)
    assert curvature(day, 3 * (day / 365.25) ** 2).value == pytest.approx(6)
    straight = curvature(day, 0.01 * day + np.random.default_rng(9).normal(size=80))
    assert straight.lower < 0 < straight.upper


def test_forecasts_of_a_straight_frontier_are_right_and_of_a_stop_too_high():
    day = np.arange(0, 900, 15.0)
    rng = np.random.default_rng(10)
    value = 0.01 * day + 0.05 * rng.normal(size=60)
    forecast = rolling_forecast(day, value, [300, 500], [90, 180], draws=200)
    assert (
        len(forecast) == 4 and forecast["error"].abs().max() < 0.2 and forecast["carried_error"].max() < -0.5
    )
    stopped = rolling_forecast(day, np.minimum(value, 4), [400, 600], [180], draws=200)
    assert (stopped["error"] > 1).all() and not stopped["covered"].any()
    with pytest.raises(InputError, match="origins"):
        rolling_forecast(day, value, [5000])


def test_dates_can_be_dates():
    dates = pd.to_datetime(["2024-01-01", "2024-01-31", "2024-03-01", "2024-06-01"])
    assert as_days(dates).tolist() == [0, 30, 60, 152]
    assert fit_trend(dates, [0.0, 1, 2, 3], draws=0, permutations=0).slope_per_day > 0
    with pytest.raises(InputError, match="31.02"):
        as_days(["2024-01-01", "31.02.2024"])


@pytest.mark.parametrize(
    "change, named",
    [
        ({"method": "lad"}, "method"),
        ({"q": 1}, "q"),
        ({"draws": -1}, "draws"),
        ({"permutations": 1.5}, "permutations"),
        ({"level": 95}, "level"),
        ({"same_day": "last"}, "same_day"),
        ({"value": [1, 2]}, "date, value"),
        ({"value": [1, 2, 3, np.nan]}, "finite"),
        ({"value": [4, 3, 2, 1]}, "records on 1 dates"),
        ({"date": [1, 2], "value": [1, 2]}, "at least 3"),
        ({"date": [1, 1, 1, 1], "method": "ols"}, "two different dates"),
        ({"groups": [1, 2]}, "groups"),
    ],
)
def test_bad_input(change, named):
    with pytest.raises(InputError, match=named):
        fit_trend(**({"date": [1, 2, 3, 4], "value": [1, 2, 3, 4.0]} | change))
