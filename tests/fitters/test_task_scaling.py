import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from densing.errors import InputError
from densing.fitters import (
    TaskScalingLaw,
    count_likelihood,
    expected_stopped_rate,
    fdr,
    fit_two_circuits,
    holm,
    mean_F,
    mean_rate,
    rival_rates,
    stopped_interval,
    stopped_rate,
    stopped_variance,
)
from densing.laws import log_minus_log, task_law, two_circuits

SIZES = np.array([13_944, 55_536, 111_024, 201_280, 443_232, 915_376, 1_860_640])


def stopped_runs(p, passes, cap, runs, seed):
    """Counts of sampling until so many passes, or to the cap."""
    rng = np.random.default_rng(seed)
    p = np.broadcast_to(p, (runs,))
    # the generator refuses rates that no run of a test would notice
    total = passes + rng.negative_binomial(passes, np.maximum(p, 1e-12))
    cut = total > cap
    # given that the passes did not come within the cap, the passes among its samples are binomial below `passes`
    inside = np.array([_below(rng, cap, own, passes) for own in p[cut]])
    s = np.full(runs, passes)
    s[cut] = inside
    return s, np.where(cut, cap, total), cut


def _below(rng, n, p, passes):
    while (drawn := rng.binomial(n, p)) >= passes:
        pass
    return drawn


# Estimates


@pytest.mark.parametrize("p", [0.3, 0.05])
def test_one_over_the_waiting_time_is_biased_as_it_should_be(p):
    s, k, cut = stopped_runs(p, 1, 10**9, 20_000, 0)
    naive = stopped_rate(s, k, cut, "mle")
    closed = -p * np.log(p) / (1 - p)
    error = naive.std() / np.sqrt(len(naive))
    assert abs(naive.mean() - closed) < 4 * error
    assert closed - p > 20 * error  # a plain share of successes fails an unbiasedness test
    assert expected_stopped_rate(p, 1) == pytest.approx(closed)


def test_the_mean_of_passes_over_samples_is_its_series():
    k = np.arange(5, 20_000)
    series = np.sum(5 / k * stats.nbinom.pmf(k - 5, 5, 0.01))
    assert expected_stopped_rate([0.01, 1.0], 5) == pytest.approx([series, 1.0])
    assert expected_stopped_rate(1e-3, 1) == pytest.approx(6.9e-3, rel=0.01)
    for wrong in ((0.0, 1), (0.5, 0)):
        with pytest.raises(InputError):
            expected_stopped_rate(*wrong)


@pytest.mark.parametrize("p, cap", [(0.5, 10**9), (0.02, 10**9), (0.02, 200), (0.004, 500)])
def test_the_unbiased_estimate_is_unbiased_with_and_without_a_cap(p, cap):
    s, k, cut = stopped_runs(p, 5, cap, 20_000, 1)
    for estimator, fair in (("unbiased", True), ("mle", False)):
        rate = stopped_rate(s, k, cut, estimator)
        z = (rate.mean() - p) / (rate.std() / np.sqrt(len(rate)))
        assert (abs(z) < 4) == fair, (estimator, z)
    variance = stopped_variance(s, k, cut)
    assert variance.mean() == pytest.approx(stopped_rate(s, k, cut).var(), rel=0.08)


@pytest.mark.parametrize("p", [0.5, 1e-2, 1e-3])
@pytest.mark.parametrize("passes, cap", [(10, 10**9), (10, 2_000), (1, 300)])
def test_intervals_cover(p, passes, cap):
    s, k, cut = stopped_runs(p, passes, cap, 4_000, 2)
    lower, upper = stopped_interval(s, k, cut, 0.9)
    assert ((lower <= p) & (p <= upper)).mean() >= 0.9 - 3 * np.sqrt(0.09 / 4_000)


def test_the_interval_is_clopper_and_pearsons():
    lower, upper = stopped_interval([0, 3, 10, 2], [100, 100, 100, 2], [True, True, False, False])
    assert lower[0] == 0 and upper[0] == pytest.approx(1 - 0.025 ** (1 / 100))
    from statsmodels.stats.proportion import proportion_confint

    assert (lower[1], upper[1]) == pytest.approx(proportion_confint(3, 100, method="beta"))
    assert lower[2] == pytest.approx(proportion_confint(10, 100, method="beta")[0])
    assert upper[2] == pytest.approx(proportion_confint(9, 99, method="beta")[1])
    assert upper[3] == 1


@pytest.mark.parametrize(
    "rates, passes, cap",
    [
        (np.full(30, 2e-4), 10, 1_000),
        (np.geomspace(1e-5, 0.5, 40), 10, 2_000),
        (np.linspace(0.9, 0.999, 20), 10, 500),
    ],
)
def test_the_interval_of_a_test_set_covers(rates, passes, cap):
    hits = 0
    for seed in range(200):
        s, k, cut = stopped_runs(rates, passes, cap, len(rates), seed)
        found = mean_rate(s, k, cut, 0.9)
        hits += found.lower <= rates.mean() <= found.upper
    assert hits >= 200 * 0.9 - 3 * np.sqrt(200 * 0.09)


def test_nothing_passed_is_bounded_by_poisson():
    found = mean_rate(np.zeros(200), np.full(200, 5_000), np.ones(200, bool))
    assert found.value == found.lower == 0
    assert found.upper == pytest.approx(-np.log(0.025) / 1e6)
    one = mean_rate([*np.zeros(199), 1], np.full(200, 5_000), np.ones(200, bool))
    assert one.lower == pytest.approx(0.0253e-6, rel=0.01) and one.upper == pytest.approx(5.572e-6, rel=0.01)


# Likelihood


@settings(deadline=None)
@given(eta=st.floats(-8, 5), passes=st.integers(0, 20), more=st.integers(0, 5_000))
def test_the_derivatives_are_those_of_the_censored_likelihood(eta, passes, more):
    samples = passes + more
    value, first, second = count_likelihood(eta, passes, samples)
    h = 1e-4 * max(1, abs(eta))
    up, down = (count_likelihood(eta + step, passes, samples) for step in (h, -h))
    scale = 1 + abs(value) + abs(second)
    assert first == pytest.approx((up[0] - down[0]) / (2 * h), abs=2e-5 * scale)
    assert second == pytest.approx((up[1] - down[1]) / (2 * h), abs=2e-5 * scale)
    assert second <= 1e-12


def test_stopped_and_cut_rows_have_the_likelihoods_of_their_rules():
    p = np.array([0.01, 0.02])
    eta = log_minus_log(p)
    stopped = count_likelihood(eta, 3, 250)[0]
    assert np.diff(stopped) == pytest.approx(np.diff(stats.nbinom.logpmf(247, 3, p)))
    cut = count_likelihood(eta, 0, 250)[0]
    assert cut == pytest.approx(250 * np.log1p(-p))


def counts_of(rates, size, passes=10, cap=5_000, seed=0):
    """Table of stopped counts of one instance a row of `rates` (I, J)."""
    rows = []
    for i, own in enumerate(np.atleast_2d(rates)):
        s, k, cut = stopped_runs(own, passes, cap, len(size), seed + 1_000 * i)
        rows += [
            {"size": n, "model": j, "instance": i, "passes": a, "samples": b, "censored": c}
            for j, (n, a, b, c) in enumerate(zip(size, s, k, cut, strict=True))
        ]
    return pd.DataFrame(rows)


def test_a_planted_law_is_found_again():
    c, alpha = 30.0, 0.15
    hits = []
    for seed in range(40):
        counts = counts_of(task_law(SIZES, c, alpha), SIZES, passes=20, seed=seed)
        found = TaskScalingLaw(between_models=False).fit(counts)
        sd = np.sqrt(found.line.covariance[1, 1])
        assert abs(found.alpha.value - alpha) < 3.5 * sd
        hits.append(
            [
                abs(found.alpha.value - alpha) < 2 * sd,
                found.alpha.lower <= alpha <= found.alpha.upper,
                found.c.lower <= c <= found.c.upper,
            ]
        )
    assert (np.mean(hits, 0) >= 0.85).all()


def test_the_fit_is_the_cloglog_regression_of_failures():
    rates = task_law(SIZES, 30.0, 0.15)
    s = np.random.default_rng(0).binomial(3_000, rates)
    counts = pd.DataFrame(
        {"size": SIZES, "instance": "only", "passes": s, "samples": 3_000, "censored": True}
    )
    found = TaskScalingLaw(between_models=False).fit(counts)
    family = sm.families.Binomial(link=sm.families.links.CLogLog())
    x = sm.add_constant(np.log(SIZES))
    peer = sm.GLM(np.column_stack([3_000 - s, s]), x, family=family).fit(tol=1e-14)
    assert np.log(found.c.value) == pytest.approx(peer.params[0], abs=1e-6)
    assert -found.alpha.value == pytest.approx(peer.params[1], abs=1e-6)


def test_zeros_and_cut_rows_are_used_and_least_squares_refuses_them():
    rates = task_law(SIZES, 60.0, 0.17)
    counts = counts_of(rates, SIZES, passes=10, cap=300, seed=3)
    assert counts["passes"].min() == 0
    found = TaskScalingLaw(between_models=False).fit(counts)
    assert found.alpha.lower <= 0.17 <= found.alpha.upper and found.alpha.lower > 0
    with pytest.raises(InputError, match="13944.*likelihood"):
        TaskScalingLaw("least_squares").fit(counts)


def test_least_squares_agrees_where_every_count_is_large():
    counts = counts_of(task_law(SIZES, 20.0, 0.15), SIZES, passes=100, cap=10**7)
    ways = [TaskScalingLaw(method).fit(counts).alpha.value for method in ("likelihood", "least_squares")]
    assert ways[0] == pytest.approx(ways[1], abs=0.01)


def test_a_spread_between_models_is_found_and_integrated_out():
    rng = np.random.default_rng(0)
    size = np.repeat(SIZES, 3)
    F = np.log(30.0) - 0.15 * np.log(size) + rng.normal(0, 0.2, len(size))
    counts = counts_of(np.exp(-np.exp(F)), size, passes=100, cap=10**7)
    exact = pd.DataFrame({"size": size, "model": range(21), "instance": 0, "log_p": -np.exp(F)})
    ways = [TaskScalingLaw().fit(frame) for frame in (counts, exact)]
    assert ways[0].tau == pytest.approx(ways[1].tau, abs=0.02) and 0.12 < ways[0].tau < 0.3
    assert ways[0].alpha.value == pytest.approx(ways[1].alpha.value, abs=0.01)
    assert ways[0].alpha.lower == pytest.approx(ways[1].alpha.lower, abs=0.015)
    # exact data: Student's interval of a least-squares slope
    peer = sm.OLS(F, sm.add_constant(np.log(size))).fit()
    low, high = peer.conf_int()[1]
    assert (ways[1].alpha.lower, ways[1].alpha.upper) == pytest.approx((-high, -low), abs=1e-6)
    alone = TaskScalingLaw(between_models=False).fit(counts)
    assert alone.alpha.upper - alone.alpha.lower < 0.7 * (ways[0].alpha.upper - ways[0].alpha.lower)


def test_rare_passes_with_a_spread_between_models_are_fitted():
    size = np.repeat(SIZES[:5], 3)
    passes = [1, 0, 1, 7, 5, 4, 2, 19, 7, 23, 2, 10, 39, 93, 15]
    counts = pd.DataFrame({"size": size, "model": range(15), "instance": 0, "passes": passes})
    found = TaskScalingLaw().fit(counts.assign(samples=355_000, censored=True))
    assert 0 < found.alpha.lower < 0.12 < found.alpha.upper
    # beside the maximum the likelihood is lower: it was not given up half way
    for step in ([1e-3, 0], [-1e-3, 0], [0, 1e-3], [0, -1e-3]):
        moved = found.line.cells.terms(found.line.design @ (found.line.theta + step), found.tau)[0].sum()
        assert moved < found.line.log_likelihood


# Test sets


def heterogeneous(size, instances=60, seed=0, scatter=0.1, between=0.0, by_size=0.0, bend=0.0):
    """F of instances that each follow their own law, (I, J), for models of these sizes."""
    rng = np.random.default_rng(seed)
    x = np.log(size) - np.log(SIZES).mean()
    level, alpha = rng.normal(1.6, 0.5, instances), rng.normal(0.2, 0.05, instances)
    F = level[:, None] - alpha[:, None] * x + bend * x**2
    F += rng.normal(0, scatter, F.shape) + rng.normal(0, between, len(size))
    return F + np.array([rng.normal(0, by_size) for _ in SIZES])[np.searchsorted(SIZES, size)]


def exact_table(F, size):
    return pd.DataFrame(
        {
            "size": np.tile(size, len(F)),
            "model": np.tile(np.arange(len(size)), len(F)),
            "instance": np.repeat(np.arange(len(F)), len(size)),
            "log_p": -np.exp(F).ravel(),
        }
    )


def test_the_rate_of_a_test_set_is_a_mean_and_not_a_pool_of_stopped_counts():
    rates = np.array([[0.5], [0.001]]).repeat(3, 1)
    counts = counts_of(rates, SIZES[:3], passes=50, cap=10**7)
    found = TaskScalingLaw().fit(counts)
    pooled = counts.groupby("size")["passes"].sum() / counts.groupby("size")["samples"].sum()
    assert found.table.mean_rates() == pytest.approx([0.2505] * 3, rel=0.3)
    assert (pooled < 0.01).all()


def test_mean_F_keeps_the_digits_of_tiny_rates():
    log_p = np.array([[-800.0, -2.0], [-900.0, -3.0]])
    expected = [np.log(800 + np.log(2)), np.log(-np.log((np.exp(-2) + np.exp(-3)) / 2))]
    assert mean_F(log_p) == pytest.approx(expected)
    assert mean_F(log_p, np.array([[0, 2]])) == pytest.approx(np.log([[900, 3]]))


@pytest.mark.parametrize("exact", [True, False])
def test_instances_predict_better_than_the_test_set(exact):
    size = np.repeat(SIZES[:5], 3)
    errors = {"testset": [], "instance": []}
    for seed in range(6):
        F = heterogeneous(np.append(size, SIZES[5:]), instances=100, seed=seed)
        truth = np.exp(-np.exp(F[:, 15:])).mean(0)
        table = (
            exact_table(F[:, :15], size) if exact else counts_of(np.exp(-np.exp(F[:, :15])), size, seed=seed)
        )
        for unit in errors:
            predicted = TaskScalingLaw().fit(table, unit).predict(SIZES[5:])["rate"]
            errors[unit].append(np.abs(predicted - truth).mean())
    assert np.mean(errors["instance"]) < 0.8 * np.mean(errors["testset"])
    assert np.mean(errors["instance"]) < 0.01


def test_the_population_of_instances_is_recovered():
    F = heterogeneous(np.repeat(SIZES, 3), instances=400, scatter=0.2)
    lines = TaskScalingLaw().fit(exact_table(F, np.repeat(SIZES, 3)), "instance").lines
    assert lines.scatter == pytest.approx(0.2, abs=0.01)
    assert -lines.prior_mean[1] == pytest.approx(0.2, abs=0.01)
    assert np.sqrt(np.diag(lines.prior_covariance)) == pytest.approx([0.5, 0.05], rel=0.15)


def test_counts_shrink_instances_without_passes_toward_the_others():
    size = np.repeat(SIZES[:5], 2)
    F = heterogeneous(size, instances=80, seed=4, scatter=0.05)
    counts = counts_of(np.exp(-np.exp(F + 0.7)), size, cap=400, seed=1)
    found = TaskScalingLaw().fit(counts, "instance")
    silent = counts.groupby("instance")["passes"].sum() == 0
    assert silent.sum() > 3
    alpha = found.instances.set_index("instance")["alpha"]
    assert np.isfinite(found.instances["log_c"]).all() and alpha[silent].between(0, 0.5).all()
    truth = np.exp(-np.exp(F + 0.7)).mean(0)
    rate = found.predict(size)["rate"].to_numpy()
    often = truth * 80 * 400 > 50  # passes to be expected: fewer do not pin a rate to a quarter
    assert often.sum() >= 4
    assert rate[often] == pytest.approx(truth[often], rel=0.25)
    assert (np.abs(np.log(rate / truth)) < np.log(2)).all()


@pytest.mark.parametrize("noise", [{"between": 0.15}, {"between": 0.05, "by_size": 0.12}])
@pytest.mark.parametrize("unit", ["testset", "instance"])
@pytest.mark.slow
def test_intervals_of_new_models_cover(noise, unit):
    size, hits = np.repeat(SIZES, 3), []
    for seed in range(120):
        F = heterogeneous(size, instances=40, seed=seed, **noise)
        seen, rate = size < 5e5, np.exp(-np.exp(F)).mean(0)
        found = TaskScalingLaw().fit(exact_table(F[:, seen], size[seen]), unit).predict(SIZES[5:], models=3)
        truth = rate[~seen].reshape(2, 3).mean(1)
        hits.append((found["lower"] <= truth) & (truth <= found["upper"]))
    assert 0.88 <= np.mean(hits) <= 0.995


def test_sizes_permuted_leave_no_line():
    F = heterogeneous(SIZES, instances=50, scatter=0.05)
    straight = TaskScalingLaw().fit(exact_table(F, SIZES))
    assert straight.r_squared > 0.98
    shuffled = [
        TaskScalingLaw().fit(exact_table(F, np.random.default_rng(seed).permutation(SIZES))).r_squared
        for seed in range(20)
    ]
    assert np.median(shuffled) < 0.4


def test_an_effective_size_is_where_the_law_has_the_rate():
    found = TaskScalingLaw().fit(exact_table(heterogeneous(SIZES), SIZES))
    rate = float(found.predict(3e5)["rate"].iloc[0])
    assert found.effective_size(rate) == pytest.approx(3e5, rel=1e-6)


# Curvature


@pytest.mark.slow
def test_the_bend_is_found_and_its_interval_covers():
    size = np.repeat(SIZES, 3)
    for bend in (0.0, -0.06):
        hits, found = [], []
        for seed in range(100):
            F = heterogeneous(size, instances=60, seed=seed, between=0.1, bend=bend)
            # the bend of the mean rate is not that of the instances: what infinitely many instances would show
            test = TaskScalingLaw().fit(exact_table(F, size)).curvature_test(draws=200)
            found.append(test)
            hits.append(test.curvature.lower <= _true_bend(size, bend) <= test.curvature.upper)
        assert 0.88 <= np.mean(hits) <= 1.0, np.mean(hits)
        rejected = np.mean([test.p_value < 0.05 for test in found])
        assert rejected < 0.3 if bend == 0 else rejected > 0.9


def _true_bend(size, bend):
    F = heterogeneous(size, instances=20_000, seed=123, scatter=0.1, bend=bend)
    x = np.log(size) - np.log(size).mean()
    return np.polyfit(x, log_minus_log(np.exp(-np.exp(F)).mean(0)), 2)[0]


def test_the_bend_of_exact_data_is_the_parabolas():
    F = heterogeneous(SIZES, instances=1, scatter=0.2)
    test = TaskScalingLaw().fit(exact_table(F, SIZES)).curvature_test()
    x = np.log(SIZES) - np.log(SIZES).mean()
    peer = sm.OLS(F[0], np.stack([x**0, x, x**2], 1)).fit()
    assert test.curvature.value == pytest.approx(peer.params[2])
    assert test.p_value == pytest.approx(peer.pvalues[2])
    assert test.curvature.upper == pytest.approx(peer.conf_int()[2][1])
    null = sm.OLS(F[0], np.stack([x**0, x], 1)).fit()
    assert test.likelihood_ratio == pytest.approx(2 * (peer.llf - null.llf))


# Circuits and rivals


def test_two_circuits_are_told_from_one_only_where_there_are_two():
    rng = np.random.default_rng(0)
    size = np.repeat(np.geomspace(1e4, 3e6, 9), 3)
    one = np.log(30.0) - 0.15 * np.log(size) + rng.normal(0, 0.01, len(size))
    assert not fit_two_circuits(size, one).preferred
    both = log_minus_log(two_circuits(size, 1e3, 0.5, 3e5, 1.0)) + rng.normal(0, 0.01, len(size))
    found = fit_two_circuits(size, both)
    assert found.preferred and (found.a1, found.a2) == pytest.approx((0.5, 1.0), abs=0.15)
    few = fit_two_circuits(size[::3][:6], both[::3][:6])
    assert few.aicc == np.inf and not few.preferred


def test_rivals_are_what_they_are_called():
    size = np.array([1e4, 1e5, 1e6])
    rate = np.array([0.1, 0.2, 0.3])
    found = rival_rates(size, rate, [1e7, 1e20])
    assert found["carried forward"] == pytest.approx([0.3, 0.3])
    assert found["straight line"] == pytest.approx([0.4, 1.0])
    logit = np.array([-2.0, -1.0, 0.0])
    found = rival_rates(size, 1 / (1 + np.exp(-logit)), [1e7])
    assert found["logistic curve"] == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-5)
    found = rival_rates(size, 1 - np.array([0.8, 0.4, 0.2]), [1e7])
    assert found["power law of the error"] == pytest.approx([0.9])


def test_corrections_for_many_tests():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert fdr([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.04, 0.04])
    with pytest.raises(InputError):
        holm([0.5, 1.5])


# Bad input


GOOD = counts_of(task_law(SIZES[:4], 30.0, 0.15), SIZES[:4])


@pytest.mark.parametrize(
    "frame, message",
    [
        (GOOD.drop(columns="passes"), "passes"),
        (GOOD[GOOD["size"] < 1e5], "2 different sizes"),
        (GOOD.assign(samples=1), "row 0"),
        (GOOD.assign(size=0), "positive"),
        (pd.concat([GOOD, GOOD]), "twice"),
        (pd.concat([GOOD, GOOD.assign(instance=1).iloc[1:]]), "same instances"),
        (GOOD.assign(passes=0, censored=True), "nothing passed"),
        (GOOD.assign(log_p=0.1), "log_p"),
        (GOOD.assign(log_p=0.0), "13944"),
        (pd.concat([GOOD.assign(passes=1, instance=i) for i in range(2)]), "first pass"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(frame, message):
    with pytest.raises(InputError, match=message):
        TaskScalingLaw().fit(frame)


def test_other_bad_input_is_refused():
    for options in ({"method": "magic"}, {"level": 1.0}, {"between_models": 1}):
        with pytest.raises(InputError, match=next(iter(options))):
            TaskScalingLaw(**options)
    with pytest.raises(InputError, match="unit"):
        TaskScalingLaw().fit(GOOD, "word")
    with pytest.raises(InputError, match="at least 5"):
        TaskScalingLaw().fit(GOOD, "instance")
    with pytest.raises(InputError, match="at least 4"):
        TaskScalingLaw().fit(GOOD[GOOD["size"] < 2e5]).curvature_test()
    for call in (
        lambda: stopped_rate([1], [10], [False], "unbiased"),
        lambda: stopped_rate([0], [10], [False], "mle"),
        lambda: stopped_rate([11], [10], [True], "mle"),
        lambda: rival_rates([1e5], [0.1], [1e6]),
        lambda: fit_two_circuits([1e4, 1e5, 1e6], [1, 2, 3]),
    ):
        with pytest.raises(InputError):
            call()
