"""The chained laws of over-training: published digits, recovery, joint intervals, costs, subsets, refusals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit, minimize_scalar, nnls

from densing import laws
from densing.errors import FitError, InputError
from densing.fitters import (
    OverTraining,
    fit_subsets,
    identifying_subsets,
    multiplier_interaction,
    published_error_fit,
    published_loss_fit,
)

# RedPajama runs of Gadre et al. 2024 (released under the MIT licence): the five of the loss law, the sixth of the error law,
# and the two large ones. Loss on C4 in nats per token, mean error over 17 tasks.
PUBLISHED = pd.DataFrame(
    [
        (10569312, 211386240, 5.3870209, 0.8134857058823529, "five"),
        (10569312, 3382179840, 4.5722926, 0.767102, "five"),
        (78914048, 1578280960, 3.899943, 0.7250452352941177, "five"),
        (153677376, 3073547520, 3.5311474, 0.6710079411764707, "five"),
        (411616256, 8232325120, 3.1497695, 0.6365529411764705, "five"),
        (1439795200, 28795904000, 2.7687567, 0.5473252941176471, "sixth"),
        (1439795200, 921468928000, 2.5020536, 0.4752152352941176, "target"),
        (6889410560, 137788211200, 2.4249931, 0.4716372941176471, "target"),
    ],
    columns=["params", "tokens", "loss", "error", "role"],
)
TARGETS = PUBLISHED[PUBLISHED["role"] == "target"]
SIX = "role in ['five', 'sixth']"
TRUTH = {"e": 1.8, "a": 200.0, "b": 350.0, "eta": 0.14}
ERROR_TRUTH = {"epsilon": 0.86, "k": 2.2, "gamma": 0.7}


def published(**options):
    return OverTraining(PUBLISHED, error="error", fit_rows="role == 'five'", error_rows=SIX, **options)


@pytest.fixture(scope="module")
def chained():
    return published().fit(bootstrap=1000)


def planted(noise=0.0, seed=0, sizes=(1e7, 4e7, 1.5e8, 4e8), multipliers=(5, 20, 80, 320)):
    """Runs that follow both laws, with relative noise."""
    rng = np.random.default_rng(seed)
    n, m = (v.ravel() for v in np.meshgrid(sizes, multipliers, indexing="ij"))
    loss = laws.overtraining(6 * n * n * m, m, **TRUTH) * (1 + noise * rng.normal(size=n.size))
    error = laws.exponential_decay(loss, **ERROR_TRUTH) * (1 + noise * rng.normal(size=n.size))
    return pd.DataFrame({"params": n, "tokens": n * m, "loss": loss, "error": error})


def relative(found):
    truth = TARGETS[["loss", "error"]].to_numpy()
    return 100 * np.abs(found[["loss", "error"]].to_numpy() / truth - 1)


def test_published_digits(chained):
    errors = relative(chained.predict(TARGETS["params"], TARGETS["tokens"]))
    np.testing.assert_allclose(errors, [[0.7103, 3.6365], [0.7321, 0.0464]], atol=5e-5)


def test_published_procedure_finds_the_same_optimum(chained):
    five, six = PUBLISHED.query("role == 'five'"), PUBLISHED.query(SIX)
    found = published_loss_fit(five["params"], five["tokens"], five["loss"])
    np.testing.assert_allclose([found[n] for n in chained.loss.params.index], chained.loss.params, rtol=1e-5)
    big = laws.to_chinchilla(**found)
    np.testing.assert_allclose(
        [big["A"], found["b"], big["alpha"], big["E"]], [166.2, 366.7, 0.2729, 1.8366], rtol=2e-4
    )
    error = published_error_fit(six["loss"], six["error"])
    np.testing.assert_allclose(
        [error["k"], error["gamma"], error["epsilon"]], [2.2065, 0.71459, 0.85699], rtol=1e-5
    )
    np.testing.assert_allclose(
        [error[n] for n in chained.error.params.index], chained.error.params, rtol=1e-5
    )


def test_parity_with_scipy_from_one_published_start():
    five = PUBLISHED.query("role == 'five'")

    def law(x, a, b, c, e):
        return a * x[0] ** c + b * 6 ** (c / 2) * x[1] ** c + e

    x = five[["params", "tokens"]].to_numpy().T
    with np.errstate(all="ignore"):
        found = curve_fit(law, x, five["loss"], p0=(300, 300, -0.3, 2.0), maxfev=10_000)[0]
    fit = OverTraining(five).fit(bootstrap=0).loss
    assert 2 * fit.fun <= np.sum((law(x, *found) - five["loss"]) ** 2) * (1 + 1e-9)
    np.testing.assert_allclose(-2 * fit.params["eta"], found[2], rtol=1e-4)


def test_noise_free_recovery():
    runs = planted()
    fit = OverTraining(runs, error="error").fit(bootstrap=0)
    np.testing.assert_allclose(fit.loss.params, [TRUTH[n] for n in fit.loss.params.index], rtol=1e-5)
    np.testing.assert_allclose(fit.error.params, [ERROR_TRUTH[n] for n in fit.error.params.index], rtol=1e-5)
    row = fit.predict(7e9, 1.4e11).iloc[0]
    loss = laws.overtraining(row["flops"], row["multiplier"], **TRUTH)
    np.testing.assert_allclose(
        row[["loss", "error"]], [loss, laws.exponential_decay(loss, **ERROR_TRUTH)], rtol=1e-6
    )


def test_permuted_losses_predict_nothing():
    rng = np.random.default_rng(0)
    five, errors = PUBLISHED.query("role == 'five'"), []
    while len(errors) < 20:
        shuffled = rng.permutation(5)
        if np.sum(shuffled == np.arange(5)) > 1:
            continue
        runs = five.assign(loss=five["loss"].to_numpy()[shuffled])
        found = OverTraining(runs).fit(bootstrap=0).predict(TARGETS["params"], TARGETS["tokens"])
        errors.append(np.abs(found["loss"].to_numpy() / TARGETS["loss"].to_numpy() - 1).max())
    assert np.mean(np.array(errors) > 0.10) > 0.9 and np.median(errors) > 0.25


def test_chained_interval_is_wider_than_either_alone(chained):
    found = chained.predict(TARGETS["params"], TARGETS["tokens"])
    width = (found["error_ci_upper"] - found["error_ci_lower"]).to_numpy()
    loss = found["loss"].to_numpy()
    error_law_alone = laws.exponential_decay.value(chained.error.bootstrap_params, loss[None])
    x = found[["flops", "multiplier"]].to_numpy().T
    loss_law_alone = laws.exponential_decay.value(
        chained.error.params.to_numpy(), laws.overtraining.value(chained.loss.bootstrap_params, x)[None]
    )
    for alone in (error_law_alone, loss_law_alone):
        ends = np.quantile(alone, (0.025, 0.975), axis=0)
        assert (width > (ends[1] - ends[0]) * 1.02).all()
    assert (found["error_obs_upper"] - found["error_obs_lower"] >= width * 0.98).all()
    assert (
        (found["loss_obs_lower"] < TARGETS["loss"].to_numpy())
        & (found["loss_obs_upper"] > TARGETS["loss"].to_numpy())
    ).all()


@pytest.mark.slow
def test_prediction_intervals_cover_new_runs():
    x, inside = (3e9, 3e11), []
    truth = planted(sizes=(x[0],), multipliers=(x[1] / x[0],)).iloc[0]
    for seed in range(50):
        runs = planted(0.004, seed)
        row = (
            OverTraining(runs, error="error")
            .fit(bootstrap=100, resampling="case", seed=seed)
            .predict(*x)
            .iloc[0]
        )
        rng = np.random.default_rng(1_000 + seed)
        new = truth[["loss", "error"]] * (1 + 0.004 * rng.normal(size=2))
        inside.append(
            [
                row[f"{n}_obs_lower"] <= v <= row[f"{n}_obs_upper"]
                for n, v in zip(("loss", "error"), new, strict=True)
            ]
        )
    # 16 runs make case resampling a little narrow, and 50 data sets leave 3 points of counting error
    assert (np.mean(inside, axis=0) > 0.85).all(), np.mean(inside, axis=0)


def test_runs_in_both_laws_are_drawn_together():
    # 16 runs with residuals that are equal, up to scale, in both laws: their draws must stay tied
    runs = planted(0.01, 3)
    exact = laws.overtraining(6 * runs["params"] * runs["tokens"], runs["tokens"] / runs["params"], **TRUTH)
    tied = runs.assign(
        error=laws.exponential_decay(runs["loss"], **ERROR_TRUTH) + 0.1 * (runs["loss"] - exact)
    )
    for kind in ("case", "residual"):
        fit = OverTraining(tied, error="error").fit(bootstrap=400, resampling=kind)
        x = np.array([[6 * 4e8 * 8e9], [20.0]])
        loss = fit.loss.law.value(fit.loss.bootstrap_params, x)[:, 0]
        error = fit.error.law.value(fit.error.bootstrap_params, np.array([[3.1]]))[:, 0]
        shuffled = np.random.default_rng(0).permutation(loss)
        assert abs(np.corrcoef(loss, error)[0, 1]) > 0.3
        assert abs(np.corrcoef(shuffled, error)[0, 1]) < 0.15


def test_same_seed_same_draws():
    first, second, other = (published().fit(bootstrap=60, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.loss.bootstrap_params, second.loss.bootstrap_params)
    assert np.array_equal(first.error.bootstrap_params, second.error.bootstrap_params)
    assert not np.array_equal(first.loss.bootstrap_params, other.loss.bootstrap_params)


def test_groups_are_drawn_whole():
    runs = planted(0.01, 5)
    runs["trunk"] = np.arange(len(runs))
    twice = pd.concat([runs, runs])
    alone = OverTraining(runs).fit(bootstrap=100, resampling="case")
    grouped = OverTraining(twice, groups="trunk").fit(bootstrap=100)
    assert grouped.resampling == "case"
    # doubling every run within its group changes neither the estimate nor the draws
    np.testing.assert_allclose(grouped.loss.bootstrap_params, alone.loss.bootstrap_params, rtol=1e-4)
    with pytest.raises(InputError, match="groups forbid"):
        OverTraining(twice, groups="trunk").fit(resampling="residual")


# cost


def test_cost_of_a_smaller_model(chained):
    small, optimal = np.array([2e9, 4e9, 6.9e9]), 6.9e9
    table = chained.overtraining_cost(small, optimal)
    losses = chained.predict(small, table["tokens"])["loss"]
    np.testing.assert_allclose(losses, losses.iloc[-1], rtol=1e-10)
    assert table["multiplier"].iloc[-1] == pytest.approx(chained.optimal_multiplier().value)
    assert (table["extra_flops"].iloc[:-1] > 0).all() and table["extra_flops"].iloc[-1] == pytest.approx(
        0, abs=1e12
    )
    served = table["break_even_tokens"].to_numpy()[:-1]
    total = table["training_flops"].to_numpy()[:-1] + 2 * small[:-1] * served
    np.testing.assert_allclose(total, table["training_flops"].iloc[-1] + 2 * optimal * served, rtol=1e-10)
    assert (table["tokens_lower"] <= table["tokens"]).all() and (
        table["tokens"] <= table["tokens_upper"]
    ).all()


def test_lifetime_cost_crosses_one_at_the_break_even(chained):
    even = chained.overtraining_cost(2e9, 6.9e9)["break_even_tokens"].iloc[0]
    found = chained.lifetime_cost(2e9, 6.9e9, [0, even, 1e18])
    start, middle, end = found["ratio"]
    assert start > 1 and middle == pytest.approx(1, rel=1e-9) and end == pytest.approx(2 / 6.9, rel=1e-3)
    assert (found["lower"] <= found["ratio"]).all() and (found["ratio"] <= found["upper"]).all()
    # at the best multiplier of each resample no smaller model is cheaper to train
    assert found["lower"].iloc[0] >= 1
    with pytest.raises(InputError, match="served"):
        chained.lifetime_cost(2e9, 6.9e9, -1)


def test_a_model_too_small_never_gets_there(chained):
    row = chained.overtraining_cost(3e8, 6.9e9).iloc[0]
    assert np.isinf(row[["tokens", "training_flops", "extra_flops", "break_even_tokens"]]).all()


def test_the_optimal_multiplier_is_cheapest(chained):
    best = chained.optimal_multiplier().value
    flops = 1e21
    at = minimize_scalar(
        lambda m: laws.overtraining(flops, np.exp(m), **chained.loss.params), bounds=(-3, 9), method="bounded"
    )
    assert np.exp(at.x) == pytest.approx(best, rel=1e-3)


# refusals


def expect(match, **options):
    runs = options.pop("runs", PUBLISHED)
    with pytest.raises(InputError, match=match):
        OverTraining(runs, **options)


def test_refusals():
    expect(
        "a, b not identified with one multiplier",
        runs=planted(multipliers=(20,), sizes=np.geomspace(1e7, 1e9, 6)),
    )
    expect("5", fit_rows="params < 1e8")
    expect("one size", runs=planted(sizes=(1e8,), multipliers=np.geomspace(5, 500, 6)))
    expect("close: 'error'", error="eror")
    expect(r"0 must be|row 1.*\[0, 1\]", error="error", runs=PUBLISHED.assign(error=[0.8, 1.2, *[0.7] * 6]))
    expect("1 - accuracy", runs=PUBLISHED.assign(error=1 - PUBLISHED["error"]), error="error")
    expect("not a query", fit_rows="size <")
    expect("truth values", fit_rows=[True, False])
    expect("row 2.*above 0", runs=PUBLISHED.assign(params=[1e7, 1e7, 0, *[1e8] * 5]))
    expect("row 0.*finite", runs=PUBLISHED.assign(loss=[np.nan, *PUBLISHED["loss"][1:]]))
    expect("DataFrame", runs=[1, 2])
    expect("at least one column", error=[])
    with pytest.raises(InputError, match="residual"):
        published().fit(resampling="case")
    with pytest.raises(InputError, match="bootstrap = 10"):
        published().fit(bootstrap=10)
    with pytest.raises(InputError, match="groups"):
        OverTraining(pd.concat([planted(0.01, 1).assign(run="one")])).fit()


def test_refusals_of_results(chained):
    with pytest.raises(InputError, match="tokens"):
        chained.predict(1e9, -1)
    with pytest.raises(InputError, match="params_small"):
        chained.overtraining_cost(9e9, 6.9e9)
    with pytest.raises(InputError, match="multiplier = 0"):
        chained.overtraining_cost(1e9, 6.9e9, multiplier=0)
    with pytest.raises(FitError, match="bootstrap=1000"):
        published().fit(bootstrap=0).optimal_multiplier()
    assert list(published().fit(bootstrap=0).predict(1e9, 1e11).columns)[-2:] == ["loss", "error"]


# subsets


@given(seed=st.integers(0, 1_000))
@settings(max_examples=8, deadline=None)
def test_subsets_reach_the_global_optimum(seed):
    runs = planted(0.02, seed)
    n, d, y = (runs[c].to_numpy() for c in ("params", "tokens", "loss"))
    every = identifying_subsets(n, d)
    subsets = every[np.random.default_rng(seed).choice(len(every), 6)]
    found = fit_subsets(n, d, y, subsets)
    assert (found.E >= 0).all() and (found.A >= 0).all() and (found.B >= 0).all()
    for row, chosen in enumerate(subsets):

        def squares(log_exponent, chosen=chosen):
            power = -np.exp(log_exponent)
            design = np.stack([np.ones(5), (n[chosen] / 1e8) ** power, (d[chosen] / 1e9) ** power], axis=1)
            return nnls(design, y[chosen])[1] ** 2

        grid = np.linspace(np.log(0.02), np.log(2.0), 48)
        at = int(np.argmin([squares(g) for g in grid]))
        ends = grid[max(at - 1, 0)], grid[min(at + 1, 47)]
        best = minimize_scalar(squares, bounds=ends, method="bounded", options={"xatol": 1e-9}).fun
        assert found.rss[row] <= best * 1.01 + 1e-9
        value = (
            found.E[row]
            + found.A[row] * n[chosen] ** -found.exponent[row]
            + found.B[row] * d[chosen] ** -found.exponent[row]
        )
        assert np.sum((value - y[chosen]) ** 2) == pytest.approx(found.rss[row], rel=1e-4, abs=1e-10)


def test_the_published_subset_agrees_with_the_estimator(chained):
    five = PUBLISHED.query("role == 'five'")
    found = fit_subsets(five["params"], five["tokens"], five["loss"], np.arange(5)[None])
    np.testing.assert_allclose(
        found.predict(TARGETS["params"], TARGETS["tokens"])[0],
        chained.predict(TARGETS["params"], TARGETS["tokens"])["loss"],
        rtol=1e-6,
    )


def test_free_fits_are_used_where_they_keep_the_bounds():
    runs = planted(0.02, 1)
    columns = [runs[c].to_numpy() for c in ("params", "tokens", "loss")]
    subsets = identifying_subsets(*columns[:2])[::20]
    free = fit_subsets(*columns, subsets, bounded=False)
    direct, reused = fit_subsets(*columns, subsets), fit_subsets(*columns, subsets, free=free)
    np.testing.assert_array_equal(direct.rss, reused.rss)
    assert (direct.rss >= free.rss * (1 - 1e-9)).all()
    assert ((free.E < 0) | (free.A < 0) | (free.B < 0)).any(), "some subsets must need their bounds"


def test_counting_of_subsets():
    n, m = (
        v.ravel()
        for v in np.meshgrid([1e7, 1e8, 1e9, 1e10], [5, 10, 20, 40, 80, 160, 320, 640], indexing="ij")
    )
    # 32 choose 5, without the 4 x (8 choose 5) of one size; one multiplier has four runs only
    assert len(identifying_subsets(n, n * m)) == 201_376 - 4 * 56
    with pytest.raises(InputError, match="size = 4"):
        identifying_subsets(n, n * m, 4)
    with pytest.raises(InputError, match="draw some"):
        identifying_subsets(np.arange(1, 200.0), np.arange(1, 200.0) ** 2, 6)
    with pytest.raises(InputError, match="positions"):
        fit_subsets(n, n * m, n, np.array([[0, 1, 2, 3, 99]]))


# interaction


@pytest.mark.parametrize(("planted_t", "constants"), [(0.0, "each"), (0.01, "each"), (-0.02, "quadratic")])
def test_a_planted_interaction_is_found(planted_t, constants):
    rng = np.random.default_rng(4)
    n, m = (
        v.ravel() for v in np.meshgrid([1e7, 4e7, 1.5e8, 4e8], [20, 40, 80, 160, 320, 640], indexing="ij")
    )
    log_c = np.log(6 * n * n * m)
    centred = log_c - log_c.mean()
    gap = np.exp(0.3 - 0.13 * centred + 0.02 * np.log(m / 100) ** 2 + planted_t * centred * np.log(m / 100))
    loss = (1.7 + gap) * (1 + 1e-4 * rng.normal(size=n.size))
    both = pd.concat(
        [
            pd.DataFrame({"params": n, "tokens": n * m, "loss": loss, "set": "one"}),
            pd.DataFrame({"params": n, "tokens": n * m, "loss": loss + 0.3, "set": "two"}),
        ]
    )
    found = multiplier_interaction(both, tables="set", constants=constants, bootstrap=100)
    assert found.interaction.lower - 1e-3 <= planted_t <= found.interaction.upper + 1e-3
    assert abs(found.interaction.value - planted_t) < 1e-3
    assert found.floors["one"] == pytest.approx(1.7, abs=0.1) and found.floors["two"] == pytest.approx(
        2.0, abs=0.1
    )
    if planted_t == 0:
        assert found.slopes["slope"].to_numpy() == pytest.approx(-0.13, abs=0.01)
    else:
        assert not found.interaction.lower <= 0 <= found.interaction.upper


def test_planned_levels_stand_for_multipliers_that_differ_a_little():
    n, m = (v.ravel() for v in np.meshgrid([1e7, 4e7, 1.5e8], [20.0, 80.0, 320.0], indexing="ij"))
    actual = m * np.repeat([1.2, 1.1, 1.02], 3)
    loss = laws.overtraining(6 * n * n * actual, actual, **TRUTH)
    runs = pd.DataFrame({"params": n, "tokens": n * actual, "loss": loss, "planned": m})
    found = multiplier_interaction(runs, levels="planned", bootstrap=50)
    assert len(found.slopes) == 3 and abs(found.interaction.value) < 5e-3
    with pytest.raises(InputError, match="missing column 'plan'"):
        multiplier_interaction(runs, levels="plan", bootstrap=50)


def test_refusals_of_the_interaction():
    runs = planted()
    with pytest.raises(InputError, match="constants"):
        multiplier_interaction(runs, constants="none")
    with pytest.raises(InputError, match="three sizes"):
        multiplier_interaction(runs[runs["params"] < 5e7])
    with pytest.raises(InputError, match="missing column"):
        multiplier_interaction(runs, loss="nats")
