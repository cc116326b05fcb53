import numpy as np
import pandas as pd
import pytest

from densing.data import load_published
from densing.errors import ExternalDataMissing
from densing.fitters import (
    DerivativeVocabulary,
    IsoFlopVocabulary,
    ParametricVocabulary,
    huber_sum,
    quadratic_optimum,
)
from densing.laws import RELEASED, ParametricCoefficients, get, tokens_per_character

SIZES = {
    33_222_784: 512,
    84_834_176: 768,
    150_834_176: 768,
    316_445_568: 1_024,
    631_668_352: 1_536,
    1_129_891_136: 2_048,
}
TRUE = ParametricCoefficients(e=5.5, a1=1.8, alpha1=0.42, a2=0.3, alpha2=0.6, b=1.4, beta=0.42)


def planted(coefficients=TRUE, noise=0.0, seed=0, shuffle=False):
    """The published design with losses from known constants."""
    rng = np.random.default_rng(seed)
    rows = []
    for n, d in SIZES.items():
        for v in (4_096, 6_144, 8_192, 10_240, 16_384, 24_576, 32_768, 48_128, 64_512, 96_256):
            own = noise * rng.normal()
            for k in range(1, 21):
                characters = k * 7.8 * n
                tokens = characters * tokens_per_character(v)
                constants = {name: getattr(coefficients, name) for name in get("vocabulary").names}
                loss = get("vocabulary")(n / 1e6, v * d / 1e6, tokens / 1e9, **constants) + own
                rows.append((v, d, n, v * d, characters, 6 * (n + v * d) * tokens, loss))
    names = (
        "vocab_size d_model params_non_vocab params_vocab train_characters flops unigram_normalised_loss_nats"
    )
    frame = pd.DataFrame(rows, columns=names.split())
    if shuffle:
        runs = frame.groupby(["params_non_vocab", "vocab_size"]).ngroup().to_numpy()
        order = rng.permutation(60)
        losses = frame["unigram_normalised_loss_nats"].to_numpy().reshape(60, 20)
        frame["unigram_normalised_loss_nats"] = losses[order[runs], np.tile(np.arange(20), 60)]
    return frame


@pytest.fixture(scope="module")
def published():
    try:
        return load_published("vocab_runs")
    except ExternalDataMissing as missing:
        pytest.skip(str(missing))


def test_parametric_recovers_planted_constants():
    fit = ParametricVocabulary(min_flops=0, starts=16, draws=0).fit(planted())
    for name in get("vocabulary").names:
        assert getattr(fit.coefficients, name) == pytest.approx(getattr(TRUE, name), rel=1e-4), name
    assert fit.rms < 1e-6
    assert fit.optimal_vocabulary(70e9).value == pytest.approx(
        ParametricVocabulary(min_flops=0, starts=16, draws=0)
        .fit(planted().sample(frac=1, random_state=1))
        .optimal_vocabulary(70e9)
        .value,
        rel=1e-3,
    )


def test_bootstrap_by_run_gives_an_interval_around_the_estimate():
    fit = ParametricVocabulary(min_flops=0, starts=8, draws=60).fit(planted(noise=0.01))
    alpha2 = fit.estimate("alpha2")
    assert alpha2.lower < 0.6 < alpha2.upper and alpha2.upper - alpha2.lower < 0.6
    with pytest.raises(ValueError, match="name = 'gamma'"):
        fit.estimate("gamma")


def test_isoflop_finds_the_growth_that_was_planted():
    fit = IsoFlopVocabulary(draws=100).fit(planted())
    gamma = fit.estimate("gamma")
    # along the optimum of the planted law, read from the law itself on the same budgets
    c = np.geomspace(1e17, 2e20, 12)
    best = [_best(budget) for budget in c]
    expected = 2 * np.polyfit(np.log(c), np.log(best), 1)[0]
    assert gamma.value == pytest.approx(expected, abs=0.15)
    assert gamma.lower < gamma.value < gamma.upper or gamma.upper - gamma.lower < 0.3


def _best(budget):
    v = np.geomspace(4_096, 96_256, 60)
    lowest = None
    for n, d in SIZES.items():
        tokens = budget / (6 * (n + v * d)) / 1e9
        constants = {name: getattr(TRUE, name) for name in get("vocabulary").names}
        loss = get("vocabulary")(n / 1e6, v * d / 1e6, tokens, **constants)
        i = int(np.argmin(loss))
        if lowest is None or loss[i] < lowest[0]:
            lowest = (loss[i], v[i] * d)
    return lowest[1]


def test_shuffled_runs_make_the_parametric_fit_bad():
    good = ParametricVocabulary(min_flops=0, starts=8, draws=0).fit(planted(noise=0.01))
    bad = ParametricVocabulary(min_flops=0, starts=8, draws=0).fit(planted(noise=0.01, shuffle=True))
    assert bad.rms > 10 * good.rms


def test_derivative_on_the_published_design():
    fit = DerivativeVocabulary(draws=20).fit(planted())
    assert fit.estimate("gamma").value == pytest.approx(0.8377, abs=1e-4)
    assert fit.coefficients.compression == pytest.approx((0.00639222, -0.15811069, 1.20470122), rel=1e-6)


def test_published_runs_under_both_conventions(published):
    released = RELEASED[3]
    results = {}
    for convention in ("published", "true_tokens"):
        estimator = ParametricVocabulary(convention=convention, starts=16, draws=0)
        residuals = estimator.residuals(published, released)
        results[convention] = (
            huber_sum(residuals),
            float(np.sqrt(np.mean(residuals**2))),
            estimator.fit(published),
        )
    objective, rms, fit = results["published"]
    assert fit.nobs == 1_054 and fit.n_runs == 60
    assert objective == pytest.approx(0.062292, abs=2e-6) and rms == pytest.approx(0.0908, abs=1e-4)
    assert fit.fun <= 0.06229136
    assert fit.optimal_vocabulary(70e9).value == pytest.approx(219_273, rel=1e-3)
    objective, rms, fit = results["true_tokens"]
    assert rms == pytest.approx(0.5297, abs=1e-3) and objective > 7 * fit.fun
    assert fit.fun == pytest.approx(0.066786, abs=1e-6)
    assert fit.coefficients.alpha2 == pytest.approx(1.0588, abs=1e-3)
    assert fit.optimal_vocabulary(70e9).value == pytest.approx(66_402, rel=1e-3)


def test_isoflop_and_derivative_on_the_published_runs(published):
    assert IsoFlopVocabulary(draws=0).fit(published).coefficients.gamma == pytest.approx(0.8713, abs=1e-3)
    assert DerivativeVocabulary(draws=0).fit(published).coefficients.gamma == pytest.approx(0.8377, abs=1e-3)


def test_what_the_chapter_says_about_the_published_runs(published):
    late = IsoFlopVocabulary(min_flops=2.18e17, draws=200).fit(published).estimate("gamma")
    assert late.value == pytest.approx(0.94, abs=0.005) and late.upper > 1
    anchored = DerivativeVocabulary(draws=0).fit(published)
    assert anchored.coefficients.anchor_nv == 10_240 * 512
    assert anchored.optimal_vocabulary(70e9).value == pytest.approx(389_000, rel=2e-3)
    implied = published["flops"] / 6 / (published["params_non_vocab"] + published["params_vocab"])
    counted = published["train_characters"] * tokens_per_character(published["vocab_size"])
    assert np.abs(implied / counted - 1).max() < 1e-7
    extra = tokens_per_character(published["vocab_size"] / 1_000) / tokens_per_character(
        published["vocab_size"]
    )
    assert 2.6 < extra.min() < 2.75 and 2.95 < extra.max() < 3.05
    largest = published[published["params_non_vocab"] == published["params_non_vocab"].max()]
    for budget in (1e20, 2e20, 3e20):
        losses = {
            v: np.interp(np.log(budget), np.log(run["flops"]), run["unigram_normalised_loss_nats"])
            for v, run in largest.sort_values("flops").groupby("vocab_size")
        }
        assert 21_000 < quadratic_optimum(list(losses), list(losses.values()), draws=2).optimum.value < 25_000


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda f: f.drop(columns="train_characters"), "missing column 'train_characters'"),
        (lambda f: f.assign(flops=0.0), "flops = 0.0 in row 0"),
        (lambda f: f[f["vocab_size"] < 7_000], "2 distinct values of vocab_size"),
        (lambda f: f[f["d_model"] == 512], "1 distinct values of params_non_vocab"),
    ],
)
@pytest.mark.parametrize("estimator", [IsoFlopVocabulary, DerivativeVocabulary, ParametricVocabulary])
def test_refusals(estimator, change, told):
    with pytest.raises(ValueError, match=told):
        estimator(draws=0).fit(change(planted()))


def test_options_are_checked():
    with pytest.raises(ValueError, match="convention = 'both'"):
        ParametricVocabulary(convention="both")
    with pytest.raises(ValueError, match="anchor_flops = 1e\\+30"):
        DerivativeVocabulary(anchor_flops=1e30, draws=0).fit(planted())
