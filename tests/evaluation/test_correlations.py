"""Correlations of item scores with scale: peers, chance, planted controls, and the bootstrap of their drops."""

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import kendalltau, pearsonr, spearmanr

from densing.errors import InputError
from densing.evaluation import (
    ChoiceScores,
    aggregate_correlations,
    distractor_medians,
    frozen_medians,
    item_correlations,
    permuted_correlations,
    resample_items,
    stage_drops,
    survival,
)
from densing.evaluation.predictability.resampling import weighted_median
from densing.lab import planted_scores

LADDER = 6 * np.repeat(np.outer([1e4, 5e4, 1e5, 2e5, 4e5, 9e5, 2e6], [1e6, 4e6]).ravel(), 3)
SEEDS = np.tile([0, 1, 2], 14)
PEERS = {"pearson": pearsonr, "spearman": spearmanr, "kendall": kendalltau}


@pytest.fixture(scope="module")
def scores():
    return planted_scores(LADDER, items=150, seed=1)


@pytest.mark.parametrize("kind", PEERS)
@pytest.mark.parametrize("stage", ["log_p_vocab", "p_vocab", "p_choices", "brier", "accuracy"])
def test_every_item_as_scipy_has_it(scores, stage, kind):
    found, values = item_correlations(scores, stage, kind), scores.stage(stage)
    constant = np.ptp(values, axis=0) == 0
    assert np.array_equal(np.isnan(found), constant)
    zero = item_correlations(scores, stage, kind, constant_items="zero")
    assert (zero[constant] == 0).all() and np.array_equal(zero[~constant], found[~constant])
    expected = [PEERS[kind](np.log(LADDER), column).statistic for column in values[:, ~constant].T]
    assert np.allclose(found[~constant], expected, atol=1e-10)


def test_seven_scales_are_extreme_by_chance_as_often_as_enumeration_says():
    """P(|Spearman| > 0.7) of seven scales, over all 5,040 orders, against permuted labels of planted items."""
    ranks = np.arange(7)
    exact = np.mean([abs(np.corrcoef(ranks, p)[0, 1]) > 0.7 for p in permutations(ranks)])
    assert exact == pytest.approx(0.088, abs=0.001)
    some = planted_scores(np.geomspace(1, 1e3, 7), items=60, seed=2)
    null = permuted_correlations(some, "p_choices", draws=1_000)
    assert (np.abs(null) > 0.7).mean() == pytest.approx(exact, abs=0.012)
    assert abs(null.mean()) < 0.02
    assert (np.abs(item_correlations(some, "p_choices")) > 0.7).mean() > 5 * exact


def test_replicates_move_together_under_permutation(scores):
    alone = permuted_correlations(scores, "p_choices", draws=400)
    together = permuted_correlations(scores, "p_choices", cells=LADDER, draws=400)
    # 14 cells instead of 42 models: chance correlations are wider by about the square root of 3
    assert 1.4 < together.std() / alone.std() < 2.0
    with pytest.raises(InputError, match="same compute"):
        permuted_correlations(scores, "p_choices", cells=SEEDS)


def test_degradation_appears_with_moving_incorrect_choices_and_vanishes_without():
    few = planted_scores(LADDER, items=400, seed=3)
    found = stage_drops(few, models=SEEDS, draws=200)
    assert found.drops["p_vocab"].value == 0  # ranks do not change
    assert found.drops["p_choices"].lower > 0.05 and found.drops["accuracy"].lower > 0.1
    fixed = stage_drops(planted_scores(LADDER, items=400, incorrect="fixed", seed=3), models=SEEDS, draws=200)
    assert abs(fixed.drops["p_choices"].value) < 1e-12
    assert fixed.drops["p_choices"].upper - fixed.drops["p_choices"].lower < 1e-12


def test_pearson_loses_something_on_the_way_out_of_the_logarithm(scores):
    found = stage_drops(scores, ("log_p_vocab", "p_vocab"), "pearson", draws=100)
    assert found.drops["p_vocab"].lower > 0.05


def test_shuffled_right_choices_bring_chance(scores):
    rng = np.random.default_rng(0)
    items = 2_000
    many = planted_scores(LADDER, items=items, seed=5)
    shuffled = ChoiceScores(many.log_p, rng.integers(4, size=items), LADDER)
    assert abs(shuffled.stage("accuracy").mean() - 0.25) < 0.03
    for stage in ("p_choices", "brier"):
        assert abs(np.nanmedian(item_correlations(shuffled, stage))) < 0.2
        assert abs(np.nanmedian(item_correlations(many, stage))) > 0.4


def test_freezing_gives_back_what_masking_took():
    some = planted_scores(LADDER, items=400, right_slope=0.5, shared_noise=0.0, seed=7)
    rank = frozen_medians(some, "spearman", models=SEEDS, draws=50)
    assert np.allclose(rank.value[0], rank.value[2]) and rank.value[1] < rank.value[0] - 0.05
    scatter = frozen_medians(some, "spearman", "scatter", draws=50).value
    trend = frozen_medians(some, "spearman", "trend", draws=50).value
    assert rank.value[1] < scatter[2] and rank.value[1] < trend[2]
    assert np.array_equal(scatter[:2], trend[:2])


def test_more_distractors_make_items_follow_compute():
    wide = planted_scores(LADDER, items=150, choices=32, slope_correlation=0.0, seed=8)
    medians = distractor_medians(wide, [1, 4, 31], repeats=3).mean(axis=1)
    assert medians[0] < medians[1] < medians[2]


def test_averaging_items_repairs_accuracy(scores):
    found = np.nanmedian(aggregate_correlations(scores, "accuracy", [1, 10, 150], draws=60), axis=1)
    assert found[0] < found[1] < found[2] and found[2] > 0.9
    whole = aggregate_correlations(scores, "accuracy", [150], draws=2)
    expected = spearmanr(LADDER, scores.stage("accuracy").mean(axis=1)).statistic
    assert np.allclose(whole, expected)
    with pytest.raises(InputError, match="counts = 151"):
        aggregate_correlations(scores, "accuracy", [151])


def test_survival_is_the_share_above():
    assert survival([0.1, 0.5, np.nan, 0.9], [0, 0.1, 0.5, 0.95]).tolist() == pytest.approx(
        [1, 2 / 3, 1 / 3, 0]
    )
    with pytest.raises(InputError, match="no defined value"):
        survival([np.nan], [0])


def test_weighted_medians_are_medians_of_repeated_values():
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=17), rng.integers(0, 4, (30, 17))
    expected = [np.median(np.repeat(values, row)) for row in weights]
    assert np.allclose(weighted_median(values, weights), expected)
    gaps = np.where(rng.random(17) < 0.3, np.nan, values)
    expected = [np.nanmedian(np.repeat(gaps, row)) for row in weights]
    assert np.allclose(weighted_median(gaps, weights), expected)
    assert np.isnan(weighted_median(np.full(3, np.nan), np.ones((2, 3)))).all()


def test_resampling_sees_the_noise_of_items_and_of_models():
    rng = np.random.default_rng(0)
    model_effect, item_effect = rng.normal(0, 1, 40), rng.normal(0, 2, 100)
    table = model_effect[:, None] + item_effect

    def mean_of(chosen):
        return table[chosen].mean(axis=0, keepdims=True)

    def statistic(values, weights):
        return (weights @ values[0] / weights.sum(axis=1))[:, None]

    spreads = {}
    for name, models in (("models", np.arange(40)), ("none", np.zeros(40))):
        spreads[name] = resample_items(
            mean_of, statistic, models=models, items=np.arange(100), draws=2_000
        ).draws.std()
    assert spreads["none"] == pytest.approx(item_effect.std() / 10, rel=0.08)
    expected = np.hypot(item_effect.std() / 10, model_effect.std() / np.sqrt(40))
    assert spreads["models"] == pytest.approx(expected, rel=0.08)
    clustered = resample_items(mean_of, statistic, models=np.zeros(40), items=np.arange(100) // 50, draws=200)
    assert len(np.unique(clustered.draws.round(12))) <= 3


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"compute": np.ones(42)}, "all 42 models have 1"),
        ({"compute": np.repeat([1.0, 2.0, 3.0], 14)}, "3 different values, must be at least 4"),
        ({"items": np.arange(19)}, "19 items, must be at least 20"),
    ],
)
def test_too_little_to_follow(scores, change, told):
    with pytest.raises(InputError, match=told):
        stage_drops(scores.select(**change))


def test_refused_options(scores):
    with pytest.raises(InputError, match="kind = 'rank'"):
        item_correlations(scores, "brier", "rank")
    with pytest.raises(InputError, match="constant_items = 'keep'"):
        item_correlations(scores, "brier", constant_items="keep")
    with pytest.raises(InputError, match="must not repeat"):
        stage_drops(scores, ("brier", "brier"))
