"""The published runs as the chapter reads them."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

from densing import lab
from densing.data import load_published
from densing.errors import ExternalDataMissing, InputError
from densing.fitters import OverTraining, multiplier_interaction
from densing.lab import (
    ERROR_LAWS,
    TASKS_17,
    error_law,
    error_law_fits,
    forecast_summary,
    forecast_targets,
    neighbouring_designs,
    other_loss_fits,
    over_trained_runs,
    planted_over_training,
    planted_subset_errors,
    subset_study,
    subset_summary,
)
from densing.laws import overtraining

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def table():
    try:
        return load_published("gadre_runs")
    except ExternalDataMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def runs(table):
    return over_trained_runs(table)


def test_roles(runs):
    counts = runs.groupby(["training_set", "role"]).size().unstack()
    assert (counts[["five", "sixth", "target"]] == [5, 1, 2]).all(axis=None)
    assert counts["other"].to_dict() == {"c4": 26, "redpajama": 27, "refinedweb": 27}
    targets = runs[runs["role"] == "target"]
    assert sorted(targets["planned_multiplier"]) == [20, 20, 20, 80, 320, 640]
    np.testing.assert_allclose(runs["flops"], 6 * runs["params"] * runs["tokens"])


def test_published_digits_through_the_reader(runs):
    one = runs[runs["training_set"] == "redpajama"]
    fit = OverTraining(
        one, error="error", fit_rows="role == 'five'", error_rows="role in ['five', 'sixth']"
    ).fit(bootstrap=0)
    targets = one[one["role"] == "target"].sort_values("params")
    found = fit.predict(targets["params"], targets["tokens"])[["loss", "error"]].to_numpy()
    percent = 100 * np.abs(found / targets[["loss", "error"]].to_numpy() - 1)
    np.testing.assert_allclose(percent, [[0.7103, 3.6365], [0.7321, 0.0464]], atol=5e-5)
    assert other_loss_fits(one).iloc[0][["over_trained", "large"]].to_numpy(float) == pytest.approx(
        [0.7103, 0.7321], abs=1e-4
    )
    designs = neighbouring_designs(one).set_index(["main", "extra"])["error"]
    assert designs[20, 320] == pytest.approx(0.7321, abs=1e-3) and len(designs) == 56
    laws = error_law_fits(one, pd.Series(found[:, 0], index=targets.index)).set_index("law")
    assert list(laws.index) == list(ERROR_LAWS)
    assert laws.loc["exponential decay", ["over_trained", "large"]].to_numpy(float) == pytest.approx(
        [3.6365, 0.0464], abs=1e-3
    )
    assert laws.loc["constant", "inside"] > 5 * laws.loc["exponential decay", "inside"]


def test_sizes_without_embeddings(table, runs):
    without = over_trained_runs(table, exclude_embeddings=True)
    assert (without["params"] < runs["params"]).all() and (without["role"] == runs["role"]).all()
    assert (without["multiplier"] > without["planned_multiplier"]).all()


def test_refusals(table):
    with pytest.raises(InputError, match="close: hellaswag"):
        over_trained_runs(table, tasks=["hellaswagg"])
    with pytest.raises(InputError, match="at least one task"):
        over_trained_runs(table, tasks=[])
    with pytest.raises(InputError, match="loss = 'loss_c5'.*loss_c4_val_nats"):
        over_trained_runs(table, loss="loss_c5")
    with pytest.raises(InputError, match="two targets"):
        other_loss_fits(over_trained_runs(table))
    assert len(TASKS_17) == 17


@pytest.mark.parametrize("name", ERROR_LAWS)
def test_error_laws_recover_their_own_kind(name):
    loss = np.linspace(2.5, 5.5, 6)
    shapes = {
        "exponential decay": 0.86 - 2.2 * np.exp(-0.7 * loss),
        "logistic": 0.9 / (1 + np.exp(-1.2 * (loss - 2.4))),
        "straight line": 0.2 + 0.1 * loss,
        "isotonic": np.sort(np.tanh(loss)),
        "constant": np.full(6, 0.5),
    }
    frame = pd.DataFrame({"loss": loss, "error": shapes[name]})
    np.testing.assert_allclose(error_law(name, frame)(loss), shapes[name], rtol=1e-5)
    with pytest.raises(InputError, match="one of"):
        error_law("spline", frame)


def test_forecast_and_its_summary(runs):
    one = runs[runs["training_set"] == "redpajama"].reset_index(drop=True)
    both = OverTraining(one, error="error", fit_rows="role == 'five'", error_rows="role in ['five', 'sixth']")
    found = forecast_targets(one, both.fit(bootstrap=200))
    assert list(found["planned_multiplier"]) == [640, 20] and found["loss_inside"].all()
    summary = forecast_summary(one, found)
    assert summary["loss"]["overtrained_compute_ratio"] == pytest.approx(330, abs=0.5)
    assert summary["loss"]["large_compute_ratio"] == pytest.approx(236, abs=0.5)
    assert summary["error"]["large_compute_ratio"] == pytest.approx(20.9, abs=0.1)
    for target in ("overtrained", "large"):
        ours, theirs = (summary["loss"][f"{target}_error_pct{end}"] for end in ("", "_published_optimizer"))
        assert ours == pytest.approx(theirs, abs=1e-4)
    assert summary["error"]["best_alternative_error_pct"] > summary["error"]["overtrained_error_pct"]


def test_subset_study_counts_and_samples(runs):
    one = runs[runs["training_set"] == "c4"]
    study = subset_study(one, share=0.01, seed=3)
    assert study.count == 169_722  # 31 choose 5 without 3 x (8 choose 5) + (7 choose 5) of one size
    assert len(study.errors) == 1_697 == len(study.all_sizes) and 0.2 < study.all_sizes.mean() < 0.4
    assert np.array_equal(study.errors, subset_study(one, share=0.01, seed=3).errors)
    summary = subset_summary({"one": study, "two": study})
    assert summary["subsets"] == 2 * 1_697 and summary["median_error_pct"] == summary["median_error_pct_two"]
    with pytest.raises(InputError, match="share"):
        subset_study(one, share=0)


def test_subsets_of_a_true_law_predict_as_well_as_its_scatter_allows(table):
    # runs that obey the law exactly leave nothing to scatter, so neither real nor made-up subsets miss
    exact = over_trained_runs(table)
    exact = exact[exact["training_set"] == "redpajama"].reset_index(drop=True)
    truth = planted_over_training(sizes=[1e8], multipliers=[20]).attrs["loss"]
    exact["loss"] = overtraining(exact["flops"], exact["multiplier"], **truth)
    found = planted_subset_errors(exact, subsets=300, repeats=1)
    assert found["scatter"] < 1e-4 and found["observed"] < 0.01 and found["planted"] < 0.01
    noisy = exact.assign(
        loss=exact["loss"] * (1 + 0.01 * np.random.default_rng(0).standard_normal(len(exact)))
    )
    found = planted_subset_errors(noisy, subsets=1_000)
    assert 0.5 < found["scatter"] < 1.6 and 0.4 < found["observed"] / found["planted"] < 2.5


def test_planted_runs_carry_their_law():
    runs = planted_over_training(noise=0.0)
    assert len(runs) == 16 and set(runs.columns) == {"params", "tokens", "loss", "error"}
    fit = OverTraining(runs, error="error").fit(bootstrap=0)
    for name, value in (runs.attrs["loss"] | runs.attrs["error"]).items():
        found = fit.loss.params if name in fit.loss.params else fit.error.params
        assert found[name] == pytest.approx(value, rel=1e-4)


def test_charts_and_tables_hold_what_they_are_given(runs, table):
    import matplotlib.pyplot as plt

    one = runs[runs["training_set"] == "redpajama"].reset_index(drop=True)
    both = OverTraining(one, error="error", fit_rows="role == 'five'", error_rows="role in ['five', 'sixth']")
    fit = both.fit(bootstrap=60)
    found = forecast_targets(one, fit)
    shown = lab.target_forecast_table({"RedPajama": found})
    assert shown.iloc[0, 0] == "RedPajama, 1.4B, M = 640" and shown.iloc[0]["loss, off by"] == "0.71 %"
    assert lab.error_law_table({"R": one}, {"R": found}).shape == (5, 3)
    assert lab.residual_table(one).shape == (4, 9)
    rivals = other_loss_fits(one)
    assert len(lab.loss_fit_table({"R": rivals}, {"R": other_loss_fits(one, "over-training")})) == 9
    assert len(lab.overtraining_prediction_table(fit, 1e9, 1e11)) == 3
    assert len(lab.overtraining_price_table(fit.overtraining_cost([1e9, 2e9], 4e9))) == 2
    small = one[one["role"].isin(["five", "other"]) & (one["planned_multiplier"] >= 20)]
    test = multiplier_interaction(small, tables="training_set", levels="planned_multiplier", bootstrap=50)
    charts = [
        lab.parallel_lines_chart(one, fit),
        lab.loss_error_chart(one, fit, found),
        lab.multiplier_slopes_chart(test, one, {"redpajama": "RedPajama"}),
        lab.subset_errors_chart({"R": subset_study(one, share=0.001)}, {"R": 0.7}),
        lab.neighbouring_designs_chart({"R": neighbouring_designs(one)}),
        lab.overtraining_cost_chart(fit, np.array([2e9]), 6.9e9),
        lab.overtraining_efficiency_chart(fit),
    ]
    for chart in charts:
        chart.canvas.draw()
        assert all(ax.get_xlabel() or ax.get_ylabel() for ax in chart.axes)
        plt.close(chart)
