"""The laboratory chapter's functions, on made-up families whose truth is known and on hand-made frames."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import densing.lab as lab
from densing.errors import InputError
from densing.lab.family.planted import DECAY_GAIN, PLANNED_GAIN
from densing.lab.reference import recipe
from densing.lab.runs import runs_path

METRIC = "bits_per_byte_val_b"


@pytest.fixture(scope="module")
def study():
    return lab.planted_study(seed=2)


@pytest.fixture(scope="module")
def rates(study):
    return lab.resolved_rates(study.items, 4_000_000, draws=100)


# --- rates ---------------------------------------------------------------------------------------------------------


def planted_trials(at_100k=4e-3, exponent=0.3, tried=(1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)):
    rows = []
    for k, (size, count) in enumerate((("a", 5e4), ("b", 2e5), ("c", 9e5))):
        best = math.log(at_100k * (count / 1e5) ** -exponent)
        rows += [(size, count, rate, 3 - 0.1 * k + 0.05 * (math.log(rate) - best) ** 2) for rate in tried]
    return pd.DataFrame(rows, columns=["size", "n_parameters", "rate", "bits_per_byte_val_a"])


@settings(deadline=None, max_examples=30)
@given(st.floats(2e-3, 8e-3), st.floats(0.1, 0.5))
def test_a_planted_rate_law_is_found_exactly(at_100k, exponent):
    found = lab.fit_peak_rate(planted_trials(at_100k, exponent, tuple(2e-4 * 2**k for k in range(10))))
    assert found.at_100k == pytest.approx(at_100k, rel=1e-8)
    assert found.exponent == pytest.approx(exponent, abs=1e-8)
    assert found.rate(1e5) == found.at_100k


def test_the_recipe_holds_the_rounded_law_of_the_recorded_trials():
    trials = lab.rate_trials(lab.load_runs("reference_tuning"))
    assert set(trials["size"]) == {"d0.05M", "d0.2M", "d0.9M"}
    law = lab.fit_peak_rate(trials)
    assert float(f"{law.at_100k:.2e}") == recipe._RATE_AT_100K
    assert round(law.exponent, 2) == recipe._RATE_EXPONENT
    for size, shape in lab.SIZES.items():
        assert recipe.peak_rate(shape.n_parameters) == pytest.approx(
            law.rate(shape.n_parameters), rel=5e-3
        ), size


def test_a_best_rate_at_an_edge_is_refused():
    with pytest.raises(InputError, match=r"best rate of c.*edge"):
        lab.fit_peak_rate(planted_trials(exponent=0.9))
    with pytest.raises(InputError, match="one row a size and rate"):
        lab.fit_peak_rate(pd.concat([planted_trials()] * 2))


def test_tables_of_the_trials_hold_what_was_recorded():
    runs = lab.load_runs("reference_tuning")
    spread = lab.spread_table(runs).set_index(["size", "rate"])
    wide = runs[(runs["size"] == "d0.2M") & (runs["rate"] == 4e-3) & (runs["embedding_std"] == 0.05)]
    wide = wide[(wide["heads"] == 2) & (wide["batch_tokens"] == 1024) & (wide["lowest_weight"] == 1)]
    assert spread.loc[("d0.2M", 4e-3), "spread 0.05"] == f"{wide['bits_per_byte_val_a'].item():.3f}"
    batches = lab.batches_table(runs)
    assert (
        batches.groupby("size")["bits per byte"].first() == batches.groupby("size")["bits per byte"].min()
    ).all()


# --- floor ---------------------------------------------------------------------------------------------------------


def scores(**values):
    rows = [
        (family, grade, "choice" if family.startswith("c_") else "generation", score, blind)
        for family, cells in values.items()
        for grade, (score, blind) in cells.items()
    ]
    return pd.DataFrame(rows, columns=["family", "grade", "kind", "score", "blind"])


def test_the_floor_rule_asks_for_both_conditions_at_one_grade():
    small = scores(
        grows={1: (0.02, 0.01)},
        near_blind={1: (0.02, 0.01)},
        as_good={1: (0.2, 0.01)},
        two_grades={1: (0.2, 0.01), 2: (0.001, 0.001)},
        c_clear={0: (0.27, 0.25)},
        c_near={0: (0.25, 0.25)},
        c_both={0: (0.6, 0.25)},
    )
    large = scores(
        grows={1: (0.5, 0.01)},
        near_blind={1: (0.029, 0.01)},  # under three times the blind rate, though the excess doubles
        as_good={1: (0.3, 0.01)},  # far above blind, not twice the smaller model's excess
        two_grades={1: (0.3, 0.01), 2: (0.004, 0.001)},
        c_clear={0: (0.31, 0.25)},
        c_near={0: (0.29, 0.25)},
        c_both={0: (0.65, 0.25)},
    )
    rule = lab.floor_rule(small, large).set_index("family")
    assert set(rule.index[rule["leaves"]]) == {"grows", "two_grades", "c_clear"}
    assert rule.loc["two_grades", "grade"] == 2
    assert rule.loc["as_good", "above"] and rule.loc["c_both", "above"]
    assert not rule.loc["near_blind", "above"] and not rule.loc["c_near", "above"]


def test_the_floor_rule_ignores_pooled_rows_and_refuses_two_models():
    small, large = scores(a={1: (0.01, 0.01)}), scores(a={1: (0.011, 0.01), -1: (0.9, 0.01)})
    assert not lab.floor_rule(small, large)["leaves"].any()
    with pytest.raises(InputError, match="twice"):
        lab.floor_rule(small, pd.concat([large, large]))
    with pytest.raises(InputError, match="in common"):
        lab.floor_rule(small, scores(b={1: (0.5, 0.1)}))


def test_a_family_whose_score_is_its_blind_score_never_leaves(study):
    for rule in lab.trial_floor(study.trial, study.trial_items).values():
        at_floor = set(rule.loc[~rule["leaves"], "family"])
        assert {"steps", "fact_hop"} <= at_floor
        assert {"add", "copy", "reverse"} <= set(rule.loc[rule["leaves"], "family"])


def test_the_trial_needs_both_sizes(study):
    items = study.trial_items
    with pytest.raises(InputError, match=r"lacks d0\.9M"):
        lab.trial_floor(study.trial, items[items["size"] == "d0.05M"])


def test_choice_families_of_one_grade_are_judged_on_all_their_items(study):
    trial = study.trial.copy()
    large = trial["size"] == "d0.9M"
    trial.loc[large, "fact_hop_score"], trial.loc[large, "fact_hop_blind"] = 0.9, 0.25
    rule = list(lab.trial_floor(trial, study.trial_items).values())[0].set_index("family")
    assert rule.loc["fact_hop", "leaves"] and rule.loc["fact_hop", "large"] == 0.9


# --- grades --------------------------------------------------------------------------------------------------------


def test_grade_scores_are_means_of_items():
    about = {"size": "a", "n_parameters": 10, "seed": 0, "tokens": 100}
    generated = [
        about
        | {
            "family": "add",
            "grade": 1,
            "kind": "generation",
            "log_p": math.log(p),
            "blind_log_p": math.log(b),
        }
        for p, b in ((0.5, 0.1), (0.25, 0.3))
    ]
    asked = [
        about | {"family": "doc_next", "grade": 0, "kind": "choice", "correct": right}
        | {f"log_p_{k}": -abs(k - chosen) - 1.0 for k in range(4)}
        | {f"log_p_neutral_{k}": -float(k) for k in range(4)}
        for right, chosen in ((2, 2), (1, 3), (0, 0))
    ]  # fmt: skip
    written = [about | {"family": "steps_cot", "grade": 0, "kind": "written", "log_p": -1.0}]
    found = lab.grade_scores(pd.DataFrame(generated + asked + written)).set_index("family")
    assert set(found.index) == {"add", "doc_next"}
    assert found.loc["add", ["score", "blind"]].tolist() == pytest.approx([0.375, 0.2])
    # the neutral text always prefers choice 0, which is right once in three
    assert found.loc["doc_next", ["score", "blind"]].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert found.loc["doc_next", "n"] == 3


def test_rates_without_skill_are_not_resolved(rates):
    no_skill = rates[rates["family"] == "steps"]
    assert no_skill["resolved"].mean() <= 0.2
    large = rates[(rates["size"] == "d2M") & (rates["family"] == "add")]
    assert large["resolved"].all() and (large["rate"] > 1.2 * large["blind"]).all()
    assert not rates["family"].isin(["steps_cot", "doc_next"]).any()


def test_seeds_are_averaged_before_the_rate_is_judged(study, rates):
    own = study.items.query("size == 'd0.2M' and family == 'copy' and grade == 2 and tokens == 4_000_000")
    assert own["seed"].nunique() == 3
    one = rates.query("size == 'd0.2M' and family == 'copy' and grade == 2").iloc[0]
    assert one["rate"] == pytest.approx(np.exp(own["log_p"]).mean())
    with pytest.raises(InputError, match="tokens = 3"):
        lab.resolved_rates(study.items, 3)


def test_decades_count_resolved_cells_of_the_families_that_count():
    rates = pd.DataFrame(
        {
            "family": ["a", "a", "a", "b", "c"],
            "rate": [1.0, 0.1, 2e-5, 0.05, 0.05],
            "resolved": [True, True, True, True, False],
        }
    )
    found = lab.filled_decades(rates, ["a", "c"])
    assert found["cells"].tolist() == [1, 0, 0, 0, 2]
    assert found["families"].tolist()[-1] == "a"
    assert lab.decades_table(found)["pass rate"].tolist()[0] == "1e-5 to 1e-4"


def test_rate_growth_takes_the_grade_that_differs_most_and_is_resolved():
    rows = [
        ("small", "a", 1, 0.1, True), ("large", "a", 1, 0.5, True),
        ("small", "a", 2, 1e-4, False), ("large", "a", 2, 1e-2, True),
        ("small", "a", 3, 1e-9, False), ("large", "a", 3, 1e-3, False),
        ("small", "b", 1, 0.1, False), ("large", "b", 1, 0.2, False),
    ]  # fmt: skip
    rates = pd.DataFrame(rows, columns=["size", "family", "grade", "rate", "resolved"])
    found = lab.rate_growth(rates, "small", "large").set_index("family")
    assert found.loc["a", "grade"] == 2 and found.loc["a", "factor"] == pytest.approx(100)
    assert math.isnan(found.loc["b", "factor"])
    with pytest.raises(InputError, match="medium"):
        lab.rate_growth(rates, "small", "medium")


# --- branches and planned runs -------------------------------------------------------------------------------------


def test_the_planned_comparison_is_the_pooled_t_interval():
    rng = np.random.default_rng(0)
    keys = pd.MultiIndex.from_product([["a", "b"], [1e6, 4e6], range(3)], names=["size", "tokens", "seed"])
    runs = keys.to_frame(index=False).assign(rate=1e-3)
    runs["n_parameters"] = runs["size"].map({"a": 10, "b": 20})
    runs[METRIC] = 2 + rng.normal(0, 0.1, 12)
    difference = rng.normal(0.003, 0.004, 12)
    planned = runs.assign(**{METRIC: runs[METRIC] - difference})
    found = lab.compare_planned(runs.sample(frac=1, random_state=1), planned)
    cells = difference.reshape(4, 3)
    spread = math.sqrt(((cells - cells.mean(1, keepdims=True)) ** 2).sum() / 8)
    half = stats.t.ppf(0.975, 8) * spread / math.sqrt(12)
    assert found.freedom == 8 and found.spread == pytest.approx(spread)
    assert found.difference.value == pytest.approx(difference.mean())
    assert found.difference.upper - found.difference.value == pytest.approx(half)
    assert found.largest_cell == pytest.approx(np.abs(cells.mean(1)).max())


def test_planned_runs_find_their_branch_or_are_named(study):
    found = lab.compare_planned(study.runs, study.planned)
    assert len(found.pairs) == 12 and found.freedom == 8
    expected = PLANNED_GAIN * found.pairs["branch"].mean()
    assert found.difference.lower - 0.003 < expected < found.difference.upper + 0.003
    assert lab.compare_planned(study.planned, study.planned).difference.value == 0
    with pytest.raises(InputError, match=r"d0\.05M, 1e\+06 tokens, seed 0, rate 0\.01 has no branch"):
        lab.compare_planned(study.runs, study.planned.assign(rate=0.01))
    one = study.planned[study.planned["seed"] == 0]
    with pytest.raises(InputError, match="two seeds"):
        lab.compare_planned(study.runs, one)


# --- ladder --------------------------------------------------------------------------------------------------------


def test_decays_gain_what_was_planted(study):
    gains = lab.decay_gains(study.runs, study.trajectory)
    assert len(gains) == 7 * 4, "a trunk ends before its largest budget"
    assert gains["gain"].mean() == pytest.approx(DECAY_GAIN, abs=1e-3)
    several = gains[gains["seeds"] >= 3]
    assert (several["gain"] - DECAY_GAIN).abs().max() < 0.005
    seeds = gains.set_index(["size", "tokens"])["seeds"]
    assert seeds["d2M", 4_000_000] == 1 and seeds["d2M", 2_000_000] == 3


def test_a_hook_leaves_its_trunk_and_ends_at_the_branch(study):
    curves = lab.ladder_curves(study.runs, study.trajectory, seed=1)
    decays = curves[curves["kind"] == "decay"]
    assert len(decays) == 2 * (study.runs["seed"] == 1).sum()
    own = decays[(decays["size"] == "d0.4M") & (decays["budget"] == 4e6)]
    assert own["tokens"].tolist() == [3.6e6, 4e6]
    end = study.runs.query("size == 'd0.4M' and seed == 1 and tokens == 4_000_000")[METRIC].iloc[0]
    trunk = study.trajectory.query("size == 'd0.4M' and seed == 1")
    around = trunk[(trunk["tokens"] > 2.5e6) & (trunk["tokens"] < 4.2e6)][METRIC]
    assert own["loss"].iloc[1] == pytest.approx(end)
    assert around.min() <= own["loss"].iloc[0] <= around.max()
    last = decays[(decays["size"] == "d0.4M") & (decays["budget"] == 8e6)]
    assert trunk["tokens"].max() < 7.2e6 and last["tokens"].iloc[0] == 7.2e6
    assert last["loss"].iloc[1] < last["loss"].iloc[0] < trunk[METRIC].min() * 1.002


def test_residuals_are_those_of_the_held_out_test(study):
    residuals = lab.law_residuals(study.runs)
    cells = lab.held_out_cells(study.runs)
    held = residuals[residuals["held_out"]].merge(cells, on=["size", "tokens"])
    assert len(held) == len(cells) == 11
    np.testing.assert_allclose(held["law_x"], held["law_y"], rtol=1e-9)
    assert residuals.loc[~residuals["held_out"], "residual"].abs().max() < 0.01
    summary = lab.law_summary(lab.held_out_errors(cells))
    assert summary["error"] == pytest.approx(
        held["residual"].mul(held["law_x"] / held["observed_x"]).abs().mean()
    )
    assert summary["error"] < summary["error_carried"]


# --- summaries -----------------------------------------------------------------------------------------------------


def test_summaries_have_the_names_of_the_registered_quantities(study):
    from densing.book import load_claims

    registered = {claim.id.split("/")[1]: set(claim.quantities) for claim in load_claims() if
                  claim.chapter == "reference_family"}  # fmt: skip
    held = pd.DataFrame({"covers": [True, False], "half_width": [0.1, 0.3]})
    widths = pd.DataFrame({"unpaired": [0.1, 0.2], "paired": [0.05, 0.15]})
    found = {
        "law-fits": lab.law_summary(lab.held_out_errors(lab.held_out_cells(study.runs))),
        "wsd-branch": lab.planned_summary(lab.compare_planned(study.runs, study.planned)),
        "density-is-calibrated": lab.calibration_summary(held, held),
        "resolution": lab.resolution_summary(widths),
    }
    assert {name: set(values) for name, values in found.items()} == registered
    assert found["density-is-calibrated"] == {
        "covered": 2,
        "half_width": pytest.approx(0.2),
        "covered_sizes": 1,
        "covered_runs": 1,
    }
    assert found["resolution"] == {"largest": 0.2, "smallest": 0.1, "largest_same_orders": 0.15}


def test_controls_take_longer_training_out(study):
    reference = lab.fit_reference(study.runs, draws=100)
    table = lab.controls_table(reference, "d0.2M")
    number = lambda text: float(text.split()[0])  # noqa: E731
    density, same = table["density"].map(number), table["at equal tokens"].map(number)
    assert density.is_monotonic_increasing and density.iloc[-1] > 1.2 and density.iloc[0] < 0.6
    assert same.between(0.85, 1.15).all()
    with pytest.raises(InputError, match=r"d0\.2M"):
        lab.controls_table(reference, "d3M")
    trunk = lab.trunk_density(reference, lab.decay_gains(study.runs, study.trajectory), "d0.2M")
    slope = lab.resolution(reference, n_seeds=1).set_index("size").loc["d0.2M", "slope"]
    loss = float(reference.loss(201_280))
    # to first order a loss that is higher by dL costs dL / slope of ln(density)
    assert math.log(trunk.rho) == pytest.approx(-loss * DECAY_GAIN / slope, rel=0.2)
    assert "Standard deviations" in lab.scatter_text(reference)


def test_a_readers_ladder_is_measured():
    ladder = lab.planted_ladder(1)
    assert set(lab.LADDER_COLUMNS) <= set(ladder.columns)
    assert lab.common_budget(ladder) == 8e7
    short = ladder[~((ladder["size"] == "100M") & (ladder["tokens"] == 8e7))]
    assert lab.common_budget(short) == 4e7


# --- reading and charts --------------------------------------------------------------------------------------------


def test_items_are_described_by_a_known_table(study):
    runs = pd.DataFrame({"digest": ["x", "y"], "row": [0, 0], "size": ["a", "b"], "n_parameters": [1, 2],
                         "seed": 0, "tokens": 10, "unused": 1})  # fmt: skip
    items = pd.DataFrame(
        {"digest": ["x", "y", "y"], "row": 0, "item": ["i", "i", "val_b:0"], "log_p": [-1.0, -2.0, -3.0]}
    )
    known = pd.DataFrame(
        {"item": ["i", "i"], "family": "add", "grade": 1, "kind": "generation", "size": ["a", "b"]}
    )
    found = lab.describe_items(items, runs, known)
    assert found[["size", "item", "family", "log_p"]].values.tolist() == [
        ["a", "i", "add", -1.0],
        ["b", "i", "add", -2.0],
    ]
    assert "digest" not in found and "unused" not in found


def as_recorded(frame, keys):
    """A made-up table in the shape of a recorded sweep: its runs, and its items by digest and row."""
    runs = frame[keys].drop_duplicates(ignore_index=True)
    runs["digest"], runs["row"] = [f"{k:016x}" for k in range(len(runs))], 0
    items = frame.merge(runs, on=keys)[["digest", "row", *[name for name in frame if name not in keys]]]
    return runs, items.drop(
        columns=["family", "grade", "kind", "group", "correct", "answer_tokens"], errors="ignore"
    )


@pytest.mark.parametrize("fresh", [False, True])
def test_recorded_tables_become_the_same_study(study, monkeypatch, fresh):
    from densing.lab.family import study as module

    keys = ["size", "n_parameters", "seed", "tokens"]
    mixture = ["skills_share", "lowest_weight"]
    trial, trial_items = as_recorded(study.trial_items, [*keys, *mixture])
    trial = trial.merge(study.trial, on=[*keys, *mixture])
    runs, items = as_recorded(study.items, keys)
    tables = {"reference_trajectory": study.trajectory, "reference_cosine": study.planned}
    monkeypatch.setattr(module, "load_reference_runs", lambda: study.runs)
    monkeypatch.setattr(module, "load_reference_items", lambda: study.items)
    monkeypatch.setattr(
        module,
        "load_runs",
        lambda sweep, items=False: (
            (trial_items if items else trial) if sweep == "reference_trial" else tables[sweep]
        ),
    )
    monkeypatch.setattr(module, "run_sweep", lambda specs, fresh, items, found=items: (runs, found))
    found = module.recorded_study(["a plan"] if fresh else None, fresh=fresh)
    rules = lab.trial_floor(study.trial, study.trial_items), lab.trial_floor(found.trial, found.trial_items)
    for mixture, rule in rules[0].items():
        pd.testing.assert_frame_equal(rule, rules[1][mixture])
    order = [*keys, "family", "grade"]
    grades = [
        lab.grade_scores(frame).sort_values(order, ignore_index=True) for frame in (study.items, found.items)
    ]
    pd.testing.assert_frame_equal(*grades)


@pytest.mark.skipif(not runs_path("reference_trajectory").is_file(), reason="the trunks are not recorded yet")
def test_the_recorded_study_is_whole():
    study = lab.recorded_study()
    assert len(study.runs) == 101 and len(study.planned) == 12
    assert len(lab.trial_floor(study.trial, study.trial_items)) == 3
    gains = lab.decay_gains(study.runs, study.trajectory)
    assert (gains["gain"] > 0).all() and set(gains["size"]) == set(lab.SIZES)


def test_charts_show_every_member(study, rates):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    ladder = lab.reference_ladder_chart(lab.ladder_curves(study.runs, study.trajectory)).axes[0]
    labels = {text.get_text() for text in ladder.texts}
    assert set(lab.SIZES) <= labels
    rule = list(lab.trial_floor(study.trial, study.trial_items).values())[-1]
    generation, choice, floor = lab.generation_first(rule)
    panels = lab.pass_rate_chart(study.runs, generation, floor).axes
    assert sum(ax.get_visible() for ax in panels) == len(generation) == 10
    assert any("(floor)" in text.get_text() for ax in panels for text in ax.texts)
    assert len(lab.accuracy_chart(study.runs, choice, floor).axes) == 6
    assert len(lab.decades_chart(rates, generation).axes[0].get_yticklabels()) == 10
    assert len(lab.schedule_chart().axes[0].lines) == 1 + 5 + 1
    residuals = lab.law_residual_chart(lab.law_residuals(study.runs)).axes[0]
    assert set(lab.SIZES) <= {text.get_text() for text in residuals.texts}
    planned = lab.planned_chart(lab.compare_planned(study.runs, study.planned)).axes[0]
    assert [t.get_text() for t in planned.get_yticklabels()][-1] == "mean"
    held = pd.DataFrame({"held_out": ["a", "b"], "rho": [1.0, 2.0], "rho_lower": [0.9, 1.5],
                         "rho_upper": [1.1, np.inf], "covers": [True, False]})  # fmt: skip
    calibration = lab.calibration_chart(held, held).axes[0]
    assert [t.get_text() for t in calibration.get_yticklabels()] == ["a", "b", "a", "b"]
    resolution = pd.DataFrame({"size": ["d1M", "d2M"], "n_parameters": [1e6, 2e6], "unpaired": [0.1, 0.2],
                               "paired": [0.1, np.nan]})  # fmt: skip
    assert lab.resolution_chart(resolution).axes[0].get_ylim()[1] > 0.23
    trials = lab.rate_trials(lab.load_runs("reference_tuning"))
    rates_chart = lab.peak_rate_chart(trials, lab.fit_peak_rate(trials)).axes[0]
    assert {text.get_text().split(":")[0] for text in rates_chart.texts} == {"d0.05M", "d0.2M", "d0.9M"}
    plt.close("all")


def test_tables_of_the_laboratory():
    assert lab.corpus_table()["split"].tolist() == ["train", "val_a", "val_b", "val_c"]
    sizes = lab.sizes_table().set_index("size")
    assert sizes.loc["d0.9M", "N"] == "915,376"
    skills = lab.skills_table()
    shares = skills["of all tokens"].str.removesuffix(" %").astype(float)
    assert 38.5 < shares.sum() < 40 and skills["an instance"].str.contains("→").all()
