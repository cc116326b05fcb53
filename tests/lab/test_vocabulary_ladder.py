import numpy as np
import pandas as pd
import pytest

from densing.fitters import ParametricVocabulary, optimum_slope
from densing.lab import (
    LADDER,
    VOCABULARY_SIZES,
    as_checkpoints,
    compare_vocabularies,
    customary_vocabulary,
    ladder_optima,
    ladder_rows,
    load_runs,
    predicted_vocabulary,
    vocabulary_plan,
    vocabulary_spec,
)


@pytest.fixture(scope="module")
def recorded():
    return load_runs("vocabulary")


def planted(growth=0.3, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for i, (size, rung) in enumerate(LADDER.items()):
        best = 500 * (rung.budget / 1e11) ** growth
        for v in VOCABULARY_SIZES:
            for s in range(3):
                loss = 0.3 * np.log(v / best) ** 2 - i + noise * rng.normal()
                rows.append(
                    (f"{size}-{v}-{s}", 0, size, rung.budget, v, "characters", s, loss, 3 - 0.1 * np.log(v))
                )
    names = "digest row size budget vocab_size context seed unigram_normalized_loss bits_per_character"
    return pd.DataFrame(rows, columns=names.split())


def test_planted_growth_is_predicted():
    rows = planted(0.3)
    expected = 500 * 8**0.3
    assert abs(predicted_vocabulary(rows, multiple=1) - expected) <= 1
    assert predicted_vocabulary(rows) % 32 == 0
    assert customary_vocabulary(rows) == VOCABULARY_SIZES[-1]
    top = list(LADDER)[-1]
    unaware = rows.copy()
    unaware.loc[unaware["size"] == top, "unigram_normalized_loss"] = (
        0.0  # the prediction must not look at the top rung
    )
    assert predicted_vocabulary(unaware, multiple=1) == predicted_vocabulary(rows, multiple=1)


def test_comparison_is_paired_and_signed():
    rows = planted()
    rng = np.random.default_rng(0)
    top = rows[rows["size"] == list(LADDER)[-1]]
    items = []
    for _, run in top.iterrows():
        for document in range(40):
            characters = 500 + 10 * document
            hard = np.random.default_rng(document).normal()  # shared by all runs, cancels in pairs
            bits = 2.5 + 0.5 * hard + (0.1 if run["vocab_size"] == 1_024 else 0.0) + 0.01 * rng.normal()
            items.append((run["digest"], 0, document, bits * characters * np.log(2), characters))
    items = pd.DataFrame(items, columns=["digest", "row", "document", "nats", "characters"])
    found = compare_vocabularies(rows, items, 1_024, 512)
    assert found.value == pytest.approx(0.1, abs=0.01) and 0.08 < found.lower < found.upper < 0.12
    assert compare_vocabularies(rows, items, 512, 1_024).value == pytest.approx(-found.value)
    same = compare_vocabularies(rows, items, 512, 512)
    assert same.value == same.lower == same.upper == 0
    with pytest.raises(ValueError, match="vocabulary 640 was not run"):
        compare_vocabularies(rows, items, 640, 512)


def test_recorded_ladder_is_u_shaped_and_shuffled_labels_are_not(recorded):
    optima = ladder_optima(recorded)
    assert all(optimum.bracketed and optimum.curvature.lower > 0 for optimum in optima.values())
    ladder = ladder_rows(recorded)
    assert len(ladder) == len(LADDER) * len(VOCABULARY_SIZES) * 3
    budgets = [LADDER[size].budget for size in optima]
    rng = np.random.default_rng(0)
    curved, rising, draws = 0, 0, 25
    for _ in range(draws):
        shuffled = ladder.copy()
        for size in LADDER:
            own = (shuffled["size"] == size).to_numpy()
            shuffled.loc[own, "vocab_size"] = rng.permutation(shuffled.loc[own, "vocab_size"])
        found = ladder_optima(shuffled, draws=200)
        curved += sum(o.bracketed and o.curvature.lower > 0 for o in found.values()) >= 3
        slope = optimum_slope(list(found.values()), budgets)
        rising += bool(slope.lower > 0)
    assert curved <= 3 and rising <= 3


def test_recorded_rows_obey_the_identities(recorded):
    assert set(spec.digest for spec in vocabulary_plan()) <= set(recorded["digest"])
    assert np.allclose(recorded["unigram_normalized_loss"], recorded["loss_nats"] - recorded["unigram_nats"])
    flops = 6 * (recorded["n_nv"] + recorded["vocab_size"] * recorded["width"]) * recorded["tokens"]
    assert np.allclose(recorded["flops"], flops)
    assert (abs(recorded["flops"] / recorded["budget"] - 1) < 0.02).all()  # whole batches
    ratio = recorded.groupby("vocab_size")["tokens_per_character"].agg(["min", "max"])
    assert (ratio["min"] == ratio["max"]).all() and ratio["min"].is_monotonic_decreasing


def test_estimators_take_the_recorded_rows(recorded):
    checkpoints = as_checkpoints(recorded)
    fit = ParametricVocabulary(min_flops=0, starts=8, draws=0).fit(checkpoints)
    assert fit.nobs == len(checkpoints) and fit.rms < 0.2


@pytest.mark.parametrize("options", [{"size": "1B"}, {"vocab_size": 200}, {"context": "bytes"}])
def test_specs_refuse(options):
    with pytest.raises(ValueError, match="must be"):
        vocabulary_spec(**({"size": "25k", "vocab_size": 512} | options))
