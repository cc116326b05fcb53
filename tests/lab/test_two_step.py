"""Two-step estimation: round trips, planted parameters, intervals, forecasts and densities by task."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from densing.errors import InputError
from densing.lab import (
    PLANNED_LAW,
    Noise,
    TwoStepReference,
    capacity_density,
    carry_score_forward,
    family_plan,
    forecast_errors,
    forecast_one_step,
    forecast_scores,
    load_reference_runs,
    score_study,
    score_tasks,
    simulate_family,
    task_density,
    two_step_chart,
)
from densing.laws import loss_to_score

SILENT = Noise(0.0, 0.0, 0.0, 0.0)
LAW = {"A": 12.0, "alpha": 0.2, "B": 40.0, "beta": 0.3}
CURVE = {"gamma": -3.0, "l0": 1.5}
D0 = 4e6


def with_task(
    frame, name="task", *, law=LAW, curve=CURVE, chance=0.25, floor=0.0, items=None, run=0.0, seed=0
):
    """Add a task whose answer loss and score follow the two steps, with run noise and binomial scores."""
    rng = np.random.default_rng(seed)
    n, d = frame["n_parameters"].to_numpy(float), frame["tokens"].to_numpy(float)
    loss = floor + law["A"] * n ** -law["alpha"] + law["B"] * d ** -law["beta"]
    loss = loss * np.exp(run * rng.standard_normal(len(loss)))
    score = loss_to_score(loss, 1 - chance, curve["gamma"], curve["l0"], chance)
    if items:
        score = rng.binomial(items, score) / items
    columns = {f"{name}_conditional_loss": loss, f"{name}_score": score, f"{name}_blind": chance}
    return frame.assign(**columns)


def fit(frame, name="task", chance=0.25, draws=100, **how):
    columns = {"loss": f"{name}_conditional_loss", "score": f"{name}_score"}
    return TwoStepReference(draws=draws).fit(frame, chance=chance, **columns, **how)


@pytest.fixture(scope="module")
def family() -> pd.DataFrame:
    return with_task(simulate_family(PLANNED_LAW, SILENT))


@settings(max_examples=15, deadline=None)
@given(
    alpha=st.floats(0.08, 0.5),
    beta=st.floats(0.15, 0.6),
    gamma=st.floats(-6.0, -0.8),
    chance=st.sampled_from([0.0, 0.02, 0.25, 0.5]),
    size=st.floats(2e4, 1.5e6),
)
def test_the_inverse_is_exact(alpha, beta, gamma, chance, size):
    law = {"A": 1.2 * 2e5**alpha, "alpha": alpha, "B": 0.4 * D0**beta, "beta": beta}
    plan = family_plan(seeds=1)
    frame = with_task(
        simulate_family(PLANNED_LAW, SILENT, plan), law=law, curve={"gamma": gamma, "l0": 1.6}, chance=chance
    )
    reference = fit(frame, chance=chance)
    found = reference.effective_parameters(float(reference.predict(size, D0)), D0)
    assert found[0] == pytest.approx(size, rel=1e-8)


def test_planted_parameters_are_recovered(family):
    table = fit(family).summary().set_index("parameter")["estimate"]
    for name, value in (LAW | CURVE | {"c": 0.75, "d": 0.25}).items():
        assert table[name] == pytest.approx(value, rel=1e-5), name
    with_floor = with_task(family, floor=0.4)
    found = fit(with_floor, constant=True).summary().set_index("parameter")["estimate"]
    assert found["E"] == pytest.approx(0.4, rel=1e-3) and found["alpha"] == pytest.approx(0.2, rel=1e-3)
    assert fit(with_floor).curve.params["alpha"] < 0.195, "without E the exponent takes up the floor"


def test_counting_every_model_seven_times_as_large_changes_no_ratio(family):
    seven = family.assign(n_parameters=7 * family["n_parameters"])
    score = 0.6
    one, other = (fit(frame).effective_parameters(score)[0] for frame in (family, seven))
    assert other == pytest.approx(7 * one, rel=1e-7)


def test_levels_are_fitted_only_where_the_cells_span_the_curve(family):
    assert not fit(family).scores.free_levels
    steep = with_task(family, curve={"gamma": -12.0, "l0": 1.4}, chance=0.1)
    reference = fit(steep, chance=0.12)
    assert reference.scores.free_levels
    assert reference.scores.levels["d"] == pytest.approx(0.1, abs=1e-3), "not the chance that was given"


def test_scores_without_an_effective_size_say_why(family):
    reference = fit(family)
    with pytest.warns(UserWarning, match="floor d"):
        assert math.isnan(reference.effective_parameters(0.25)[0])
    with pytest.warns(UserWarning, match="below the floor"):
        assert math.isnan(reference.effective_parameters(0.1)[0])
    with pytest.warns(UserWarning, match="ceiling"):
        assert reference.effective_parameters(1.0)[0] == math.inf
    least = LAW["B"] * D0 ** -LAW["beta"]
    best = float(loss_to_score(least, 0.75, -3.0, 1.5, 0.25))
    with pytest.warns(UserWarning, match="no size reaches"):
        assert reference.effective_parameters(best + 1e-3)[0] == math.inf
    assert reference.effective_parameters(best - 1e-3)[0] < math.inf


@pytest.mark.slow
def test_the_interval_of_an_effective_size_covers():
    hits, size = 0, 3e5
    for k in range(80):
        frame = with_task(
            simulate_family(PLANNED_LAW, SILENT, family_plan(budgets=(1e6, 2e6, 4e6))),
            items=500,
            run=0.01,
            seed=k,
        )
        reference = fit(frame)
        rng = np.random.default_rng([7, k])
        loss = (LAW["A"] * size ** -LAW["alpha"] + LAW["B"] * D0 ** -LAW["beta"]) * np.exp(
            0.01 * rng.standard_normal(3)
        )
        score = rng.binomial(500, loss_to_score(loss, 0.75, -3.0, 1.5, 0.25)).mean() / 500
        _, lower, upper = reference.effective_parameters(float(score), n_seeds=3)
        hits += lower <= size <= upper
    assert 68 <= hits <= 80, "95 % of 80 is 76; below 68 or the interval is wrong"


def test_a_steeper_score_curve_or_more_items_narrow_the_interval(family):
    noisy = with_task(family, items=300, run=0.005)
    width = lambda reference, **how: np.diff(np.log(reference.effective_parameters(0.6, **how)[1:]))[0]  # noqa: E731
    one, three = (width(fit(noisy, draws=400), n_seeds=n) for n in (1, 3))
    assert three < one
    assert width(fit(with_task(family, items=30_000, run=0.005), draws=400)) < 0.7 * one


def test_one_seed_still_has_an_interval(family):
    noisy = with_task(family, items=300, run=0.005)
    one = fit(noisy[noisy["seed"] == 0]).effective_parameters(0.6)
    three = fit(noisy).effective_parameters(0.6)
    assert 0.5 < math.log(one[2] / one[1]) / math.log(three[2] / three[1]) < 2.5


def test_one_budget_gives_a_curve_of_size_alone(family):
    at = family[family["tokens"] == D0]
    reference = fit(at, constant=True)
    assert reference.predict(3e5, D0) == pytest.approx(float(fit(family).predict(3e5, D0)), abs=2e-4)
    with pytest.raises(InputError, match="one budget"):
        reference.predict(3e5, 2e6)
    assert "beta" not in set(reference.summary()["parameter"])


@pytest.mark.parametrize(
    "spoil, how, match",
    [
        (lambda f: f, {"chance": 1.0}, "chance"),
        (lambda f: f.drop(columns="task_score"), {}, "task_score"),
        (lambda f: f.assign(task_score=100 * f["task_score"]), {}, "divide by 100"),
        (lambda f: f.assign(task_conditional_loss=np.nan), {}, "above 0"),
        (lambda f: f[f["n_parameters"] < 2e5], {}, "3 sizes"),
        (lambda f: f[f["tokens"].isin([1e6, 2e6])], {}, "2 budgets"),
        (lambda f: f.assign(task_conditional_loss=f["n_parameters"] ** 0.1), {}, "does not fall"),
    ],
)
def test_bad_input_is_refused_by_name(family, spoil, how, match):
    with pytest.raises(InputError, match=match):
        fit(spoil(family), **how)
    with pytest.raises(InputError, match="fit the reference first"):
        TwoStepReference().predict(1e5, D0)


# forecasts of the largest sizes


def test_two_steps_win_where_two_steps_are_the_truth(family):
    table = forecast_scores(family, {"task": 0.25})
    assert list(table["n_parameters"]) == [915_376, 1_860_640]
    errors = forecast_errors(table)
    assert errors.loc["all", "two_step"] < 1e-6
    assert errors.loc["all", "one_step"] > 0.01 and errors.loc["all", "carried_forward"] > 0.05
    largest = family[(family["n_parameters"] == 443_232) & (family["tokens"] == D0)]["task_score"].mean()
    assert (table["carried_forward"] == largest).all()


def test_one_step_wins_where_one_step_is_the_truth():
    frame = simulate_family(PLANNED_LAW, SILENT)
    log_size = np.log(frame["n_parameters"].to_numpy())
    frame = with_task(frame).assign(task_score=0.25 + 0.75 / (1 + np.exp(-0.6 * (log_size - 12.5))))
    errors = forecast_errors(forecast_scores(frame, {"task": 0.25}))
    assert errors.loc["all", "one_step"] < 1e-6 < errors.loc["all", "two_step"]
    direct = forecast_one_step(frame, [2e6], score="task_score", chance=0.25)
    assert direct[0] == pytest.approx(0.25 + 0.75 / (1 + math.exp(-0.6 * (math.log(2e6) - 12.5))), abs=1e-6)


def test_held_out_sizes_do_not_reach_the_fits(family):
    spoiled = family.copy()
    large = spoiled["n_parameters"] > 9e5
    spoiled.loc[large, ["task_score", "task_conditional_loss"]] = 0.3, 9.0
    rules = ["two_step", "one_step", "validation_loss", "carried_forward"]
    pd.testing.assert_frame_equal(
        forecast_scores(spoiled, {"task": 0.25})[rules], forecast_scores(family, {"task": 0.25})[rules]
    )
    assert carry_score_forward(family, [1, 2, 3], score="task_score").shape == (3,)


def test_forecasts_refuse_what_they_cannot_do(family):
    with pytest.raises(InputError, match="tasks"):
        forecast_scores(family, {})
    with pytest.raises(InputError, match="held_out = 4"):
        forecast_scores(family, {"task": 0.25}, held_out=4)
    with pytest.raises(InputError, match="tokens"):
        forecast_scores(family, {"task": 0.25}, tokens=3e6)


# densities by task


def test_a_model_that_scores_like_twice_its_size_has_density_two(family):
    two = with_task(family, "other", law=LAW | {"A": 9.0}, curve={"gamma": -2.0, "l0": 1.8}, chance=0.02)
    size = 2e5
    scores = {
        task: float(fit(two, task, chance).predict(2 * size, D0))
        for task, chance in (("task", 0.25), ("other", 0.02))
    }
    found = task_density(scores, size, reference=two, draws=100)
    assert found.rho == pytest.approx(2, rel=1e-6) and found.method == "task"
    assert "leaving out one task" in found.notes[0]
    one = capacity_density(scores["task"], size, kind="task", metric="task", reference=two, draws=100)
    assert one.rho == pytest.approx(2, rel=1e-6) and not one.extrapolated
    both = capacity_density(scores, size, kind="task", reference=two, draws=100)
    assert both.rho == found.rho and both.rho_equal_tokens.value == found.rho
    longer = task_density(scores, size, tokens=8e6, reference=two, draws=100)
    assert longer.rho_equal_tokens.value < longer.rho == found.rho
    mean = task_density(scores, size, reference=two, aggregate="score", draws=100)
    assert mean.rho == pytest.approx(2, rel=0.15), "averages first: another, rougher estimate"


def test_a_task_at_its_optimum_is_as_good_as_the_reference_at_equal_compute(family):
    flops = 6 * 3e5 * 3e6
    sizes = np.geomspace(1e4, 1e7, 200_001)
    loss = LAW["A"] * sizes ** -LAW["alpha"] + LAW["B"] * (flops / 6 / sizes) ** -LAW["beta"]
    n = float(sizes[loss.argmin()])
    score = float(loss_to_score(loss.min(), 0.75, -3.0, 1.5, 0.25))
    found = task_density({"task": score}, n, tokens=flops / 6 / n, reference=family, draws=100)
    assert found.rho_equal_compute.value == pytest.approx(1, abs=1e-3)


def test_task_densities_refuse_by_name(family):
    with pytest.raises(InputError, match="metric = 'sums'.*task_score"):
        task_density({"sums": 0.5}, 2e5, reference=family)
    with pytest.raises(InputError, match="neither a chance nor"):
        task_density({"task": 0.5}, 2e5, reference=family.drop(columns="task_blind"))
    with pytest.raises(InputError, match="n_parameters"):
        task_density({"task": 0.5}, 0, reference=family)
    with pytest.raises(InputError, match="name the task"):
        capacity_density(0.5, 2e5, kind="task", reference=family)


# which tasks count, and the study of the two largest sizes


def judged_family():
    frame = with_task(simulate_family(PLANNED_LAW, SILENT), "reading", items=2_000, seed=4)
    steep = {"gamma": -4.0, "l0": 0.9}
    frame = with_task(frame, "copying", curve=steep, chance=0.01, items=2_000, seed=5)
    for task in ("copying", "guessing"):
        frame[f"{task}_log_ratio_lower"] = 0.5 if task == "copying" else 0.3
    frame["guessing_score"], frame["guessing_blind"] = 0.1, 0.09
    unresolved = (frame["size"] == "d0.4M") & (frame["tokens"] == D0) & (frame["seed"] == 2)
    frame.loc[unresolved, "guessing_log_ratio_lower"] = -0.1
    return frame.assign(even_score=0.29)


RULE = pd.DataFrame(
    [("copying", "generation", True), ("guessing", "generation", True), ("other", "generation", False),
     ("reading", "choice", True), ("even", "choice", True)],
    columns=["family", "kind", "leaves"],
)  # fmt: skip


def test_tasks_count_by_the_judged_size_alone():
    frame = judged_family()
    tasks = score_tasks(frame, RULE)
    assert list(tasks) == ["copying", "reading"] and tasks["reading"] == 0.25
    assert tasks["copying"] == pytest.approx(0.01)
    largest = frame["n_parameters"] > 5e5
    changed = frame.assign(copying_blind=frame["copying_blind"].where(~largest, 0.9))
    assert score_tasks(changed, RULE) == tasks, "held-out sizes have no part in it"
    with pytest.raises(InputError, match="d0.4M"):
        score_tasks(frame[frame["size"] != "d0.4M"], RULE)


def test_the_study_predicts_what_the_two_steps_planted():
    frame = judged_family()
    study = score_study(frame, score_tasks(frame, RULE))
    assert study.fitted["n_parameters"].max() < 5e5 and set(study.held_out["tokens"]) == {D0}
    found = study.quantities()
    assert found["n_tasks"] == 2 and found["error_two_step"] < 0.02 < found["error_carry_forward"]
    expected = np.abs(study.forecasts["two_step"] - study.forecasts["observed"]).mean()
    assert found["error_two_step"] == pytest.approx(expected)
    assert found["excess_over_direct"].value == pytest.approx(found["error_two_step"] - found["error_direct"])
    table = study.table().set_index("task")
    assert table.loc["all", "two steps"] == f"{found['error_two_step']:.3f}"
    assert 0 <= study.too_low <= 2
    left, right = two_step_chart(study, "reading").axes
    assert left.get_xlim()[1] > 1.8e6 and "reading" in right.get_xlabel()


def test_scores_shuffled_across_sizes_are_not_predicted():
    """Fake-catcher: the error must grow when the largest sizes' scores are another task's."""
    frame = judged_family()
    tasks = {"copying": 0.01}
    largest = frame["n_parameters"] > 5e5
    wrong = frame.assign(copying_score=frame["copying_score"].where(~largest, 0.02))
    right, spoilt = (score_study(one, tasks).quantities()["error_two_step"] for one in (frame, wrong))
    assert spoilt > 5 * right


def test_the_recorded_family_has_its_ten_tasks():
    tasks = score_tasks(load_reference_runs())
    assert set(tasks) == {
        "add",
        "compare",
        "copy",
        "count",
        "icl_map",
        "mod",
        "reverse",
        "sort",
        "subtract",
        "doc_next",
    }
    assert all(0 < chance < 0.05 for task, chance in tasks.items() if task != "doc_next")
