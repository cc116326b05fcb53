"""Stages from likelihoods to accuracy: by hand, by identities, and against what refuses to be scored."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import spearmanr

from densing.errors import InputError
from densing.evaluation import STAGES, ChoiceScores, choice_covariation, item_correlations, margin_variance

COMPUTE = np.geomspace(1e10, 1e14, 9)


def random_scores(seed=0, models=9, items=25, choices=4, **optional):
    rng = np.random.default_rng(seed)
    log_p = -rng.gamma(3, 3, (models, items, choices))
    return ChoiceScores(
        log_p, rng.integers(choices, size=items), np.geomspace(1e10, 1e14, models), **optional
    )


def test_two_choices_by_hand():
    scores = ChoiceScores([[[-1.0, -2.0], [-3.0, -0.5]]], [0, 0], [1e10])
    expected = {
        "log_p_vocab": [-1, -3],
        "p_vocab": [0.36788, 0.04979],
        "p_choices": [0.73106, 0.07586],
        "brier": [0.14466, 1.70807],
        "accuracy": [1, 0],
    }
    for stage in STAGES:
        assert np.allclose(scores.stage(stage), expected[stage], atol=5e-6), stage
    assert np.allclose(scores.log_odds(), [[1.0, -2.5]])


def test_normalisations_by_hand():
    scores = ChoiceScores(
        [[[-6.0, -4.0]]], [0], [1.0], n_bytes=[[12, 4]], n_tokens=[[2, 2]], neutral=[[[-9.0, -5.0]]]
    )
    assert scores.stage("log_p_vocab", "byte") == -0.5
    assert [scores.stage("accuracy", n).item() for n in ("raw", "byte", "token", "neutral")] == [0, 1, 0, 1]
    assert np.isclose(scores.stage("p_choices", "neutral"), 1 / (1 + np.exp(1 - 3)))
    assert np.isclose(scores.stage("p_choices", "token"), 1 / (1 + np.exp(1)))


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(float, (5, 3), elements=st.floats(-50, -25)),
    hnp.arrays(float, 5, elements=st.floats(-25, 25)),
)
def test_a_constant_per_item_leaves_everything_after_p_vocab(log_p, constant):
    right = np.array([0, 1, 2, 0, 1])
    one = ChoiceScores(log_p[None], right, [1.0])
    other = ChoiceScores(log_p[None] + constant[:, None], right, [1.0])
    for stage in ("p_choices", "brier"):
        assert np.allclose(one.stage(stage), other.stage(stage), atol=1e-12)
    assert np.allclose(other.stage("p_vocab") / one.stage("p_vocab"), np.exp(constant))


def test_far_below_what_a_float_holds():
    scores = ChoiceScores([[[-2000.0, -2001.0]], [[-1990.0, -2001.0]]], [0], [1.0, 2.0])
    assert np.allclose(scores.stage("p_choices")[:, 0], 1 / (1 + np.exp([-1.0, -11.0])))
    assert np.allclose(scores.stage("brier")[0], 2 * (1 - 0.7310585786) ** 2)
    assert (scores.stage("p_vocab") == 0).all()


def test_rank_correlations_of_p_and_log_p_are_the_same_even_where_p_underflows():
    rng = np.random.default_rng(1)
    log_p = -rng.uniform(900, 2000, (9, 25, 4))
    scores = ChoiceScores(log_p, rng.integers(4, size=25), COMPUTE)
    for kind in ("spearman", "kendall"):
        same = [item_correlations(scores, stage, kind) for stage in ("log_p_vocab", "p_vocab")]
        assert np.array_equal(*same)
    plain = [spearmanr(COMPUTE, scores.stage("log_p_vocab")[:, i]).statistic for i in range(25)]
    assert np.allclose(item_correlations(scores, "p_vocab"), plain, atol=1e-12)
    assert not np.allclose(item_correlations(scores, "p_vocab", "pearson"), plain, atol=1e-3)


@pytest.mark.parametrize("normalize", ["raw", "neutral"])
def test_frozen_incorrect_choices_give_the_rank_correlation_of_p_vocab(normalize):
    neutral = random_scores(5).log_p
    scores = random_scores(4, neutral=neutral)
    frozen = scores.freeze_incorrect()
    assert np.array_equal(frozen.stage("p_vocab"), scores.stage("p_vocab"))
    wrong = scores.wrong
    assert np.allclose(frozen.log_p[:, wrong], scores.log_p.mean(axis=0)[wrong])
    for kind in ("spearman", "kendall"):
        before, after = (
            item_correlations(s, stage, kind, normalize=normalize)
            for s, stage in ((scores, "p_vocab"), (frozen, "p_choices"))
        )
        assert np.abs(before - after).max() < 1e-12
        free = item_correlations(scores, "p_choices", kind, normalize=normalize)
        assert np.abs(free - before).mean() > 0.1


def test_trend_and_scatter_add_up_to_all_movement():
    scores = random_scores(2)
    wrong = scores.wrong
    z = np.log(scores.compute) - np.log(scores.compute).mean()
    without_trend, without_scatter = (
        scores.freeze_incorrect(m).log_p[:, wrong] for m in ("trend", "scatter")
    )
    mean = scores.log_p.mean(axis=0)[wrong]
    # where neither meets the bound of 0
    free = (without_trend < 0).all(axis=0) & (without_scatter < 0).all(axis=0)
    assert free.mean() > 0.5
    both = without_trend + without_scatter - mean
    assert np.allclose(both[:, free], scores.log_p[:, wrong][:, free])
    assert np.allclose(z @ without_trend[:, free], 0, atol=1e-9)


def test_ties_count_first_or_share():
    scores = ChoiceScores([[[-1.0, -1.0, -3.0], [-2.0, -1.0, -1.0]]], [1, 2], [1.0])
    assert scores.stage("accuracy").tolist() == [[0, 0]]
    assert scores.stage("accuracy", ties="share").tolist() == [[0.5, 0.5]]


def test_masked_choices_count_for_nothing():
    log_p = np.array([[[-1.0, -2.0, np.nan], [-1.0, -2.0, -0.1]]])
    scores = ChoiceScores(log_p, [0, 0], [1.0], mask=[[1, 1, 0], [1, 1, 1]])
    assert np.allclose(scores.stage("p_choices")[0], [0.7310586, np.exp(-1) / np.exp([-1, -2, -0.1]).sum()])
    assert scores.stage("accuracy").tolist() == [[1, 0]]
    assert np.isclose(scores.stage("brier")[0, 0], 0.1446590)
    parts = margin_variance(scores, pairwise=True)
    assert np.isnan(parts.margin).tolist() == [[True, False, True], [True, False, False]]


def test_variance_parts_add_up_and_name_who_moves():
    scores = random_scores(3)
    for pairwise in (False, True):
        parts = margin_variance(scores, pairwise=pairwise)
        total = parts.correct + parts.incorrect - 2 * parts.covariance
        assert np.allclose(parts.margin, total, equal_nan=True)
    assert np.allclose(margin_variance(scores).margin, scores.log_odds().var(axis=0))
    assert np.allclose(margin_variance(scores.freeze_incorrect()).incorrect_share, 0)
    only_wrong = np.where(scores.wrong, scores.log_p, -5.0)
    moved = dataclasses.replace(scores, log_p=only_wrong)
    assert np.allclose(margin_variance(moved).incorrect_share, 1)


def test_covariation_by_hand():
    x = np.linspace(-9, -1, 9)
    log_p = np.stack([x, 0.5 * x - 1, -0.25 * x - 5], axis=1)[:, None]
    correlation, slope = choice_covariation(ChoiceScores(log_p, [0], COMPUTE))
    assert np.allclose([correlation[0], slope[0]], [0.0, 0.125])


def test_distractors_are_a_part_of_the_incorrect_choices():
    scores = random_scores(6, choices=12)
    some = scores.resample_distractors(5, seed=3)
    assert some.shape == (9, 25, 6)
    for item in range(25):
        kept = set(some.log_p[0, item])
        assert kept < set(scores.log_p[0, item]) and scores.stage("log_p_vocab")[0, item] in kept
    assert np.array_equal(some.stage("p_vocab"), scores.stage("p_vocab"))
    everything = scores.resample_distractors(11)
    assert np.allclose(everything.stage("p_choices"), scores.stage("p_choices"))
    assert np.array_equal(everything.stage("accuracy"), scores.stage("accuracy"))
    with pytest.raises(InputError, match="k = 12"):
        scores.resample_distractors(12)


def test_selection_keeps_everything_together():
    scores = random_scores(
        7, n_bytes=np.full((25, 4), 3), n_tokens=np.full((25, 4), 2), neutral=random_scores(8).log_p
    )
    some = scores.select(models=[3, 3, 1], items=np.arange(25) > 20, compute=[1.0, 1.0, 2.0])
    assert some.shape == (3, 4, 4) and some.scales == 2
    for normalize in ("raw", "byte", "token", "neutral"):
        expected = scores.stage("brier", normalize)[[3, 3, 1], 21:]
        assert np.array_equal(some.stage("brier", normalize), expected)


GOOD = {"log_p": -np.ones((2, 3, 4)), "correct": [0, 1, 2], "compute": [1.0, 2.0]}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"log_p": -np.ones((2, 3))}, "log_p: shape"),
        ({"correct": [0, 1, 4]}, "correct: item 2 has 4"),
        ({"correct": [0, -1, 2]}, "correct: item 1"),
        ({"correct": [0, 0.5, 2]}, "correct: item 1"),
        ({"correct": [0, 1]}, "correct: shape"),
        ({"compute": [1.0, 0.0]}, "compute: model 1"),
        ({"compute": [1.0, np.nan]}, "compute: model 1"),
        ({"log_p": np.full((2, 3, 4), 0.1)}, "item 0, choice 0 has 0.1"),
        ({"log_p": np.full((2, 3, 4), np.nan)}, "need a mask"),
        ({"log_p": np.full((2, 3, 4), -np.inf)}, "must be a finite"),
        ({"mask": np.zeros((3, 4), bool)}, "correct: item 0"),
        ({"mask": np.eye(3, 4, dtype=bool)}, "mask: item 0 has a single choice"),
        ({"n_bytes": np.zeros((3, 4))}, "n_bytes: item 0, choice 0"),
        ({"neutral": np.ones((2, 3, 4))}, "neutral: item 0"),
    ],
)
def test_refused_scores(changes, told):
    with pytest.raises(InputError, match=told):
        ChoiceScores(**GOOD | changes)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda s: s.stage("loss"), "stage = 'loss'"),
        (lambda s: s.stage("accuracy", "byte"), "needs n_bytes"),
        (lambda s: s.stage("accuracy", "word"), "normalize = 'word'"),
        (lambda s: s.stage("accuracy", ties="last"), "ties = 'last'"),
        (lambda s: s.freeze_incorrect("some"), "movement = 'some'"),
    ],
)
def test_refused_options(call, told):
    with pytest.raises(InputError, match=told):
        call(ChoiceScores(**GOOD))
