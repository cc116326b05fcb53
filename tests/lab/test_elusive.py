"""Items of a ladder as scores, studies of stages and forecasts, and a reader's own files."""

import json

import numpy as np
import pandas as pd
import pytest

import densing.lab as lab
from densing.errors import InputError
from densing.fitters import logistic_forecast, loss_two_term_forecast
from densing.lab.elusive.accuracy_forecasts import RIVALS, choice_forecast_quantities

SIZES = {"s1": 1e4, "s2": 5e4, "s3": 1e5, "s4": 2e5, "s5": 4e5, "s6": 9e5, "s7": 2e6}
BUDGETS = [1e6, 2e6, 4e6, 8e6]


FAMILIES = {
    "facts": {"right_slope": 0.75, "wrong_slope": 0.4, "slope_sd": 0.15, "noise": 0.4},
    "titles": {"right_slope": 0.6, "wrong_slope": 0.4, "slope_sd": 0.1, "noise": 0.3},
    "sums": {"right_slope": 0.5, "wrong_slope": 0.42, "slope_sd": 0.1, "noise": 0.35},
    "guesses": {"right_slope": 0.4, "wrong_slope": 0.4, "slope_sd": 0.1, "noise": 0.4},
}


def planted_rows(budgets=BUDGETS, families=FAMILIES, items=80, seed=1):
    """Made-up rows as the family's are recorded; the largest budget of the largest size has one seed."""
    models = pd.DataFrame(
        [
            {"size": size, "n_parameters": n, "seed": run, "tokens": d}
            for size, n in SIZES.items()
            for d in budgets
            for run in ((0,) if (size, d) == ("s7", 8e6) else (0, 1, 2))
        ]
    )
    rng, parts = np.random.default_rng(seed), []
    for number, (family, options) in enumerate(families.items()):
        compute = (6 * models["n_parameters"] * models["tokens"]).to_numpy()
        scores = lab.planted_scores(compute, items=items, **options, seed=1_000 * seed + number)
        part = models.loc[models.index.repeat(items)].reset_index(drop=True)
        part["item"] = np.tile([f"{family}-1-{i:04d}" for i in range(items)], len(models))
        part = part.assign(
            family=family, kind="choice", group="", correct=np.tile(scores.correct, len(models))
        )
        tokens, neutral = rng.integers(2, 9, (items, 4)), -rng.gamma(80, 0.2, (items, 4))
        for k in range(4):
            part[f"log_p_{k}"] = scores.log_p[:, :, k].ravel()
            # without the question every choice is about as likely, right or not
            part[f"log_p_neutral_{k}"] = np.tile(neutral[:, k], len(models))
            part[f"tokens_{k}"] = np.tile(tokens[:, k], len(models))
            part[f"bytes_{k}"] = 3 * part[f"tokens_{k}"] + k
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def frame():
    return planted_rows()


@pytest.fixture(scope="module")
def tasks(frame):
    return lab.task_scores(frame)


def test_rows_become_scores_whatever_their_order(frame, tasks):
    shuffled = lab.task_scores(frame.sample(frac=1, random_state=0), ["facts"])["facts"]
    task = tasks["facts"]
    assert list(tasks) == list(FAMILIES) and task.scores.shape == (82, 80, 4)
    assert shuffled.models.equals(task.models)
    place = {item: i for i, item in enumerate(shuffled.items)}
    order = [place[item] for item in task.items]
    for stage in ("p_choices", "accuracy"):
        for normalize in ("raw", "byte", "token", "neutral"):
            expected = task.scores.stage(stage, normalize)
            assert np.array_equal(shuffled.scores.stage(stage, normalize)[:, order], expected)
    assert np.allclose(task.scores.compute, 6 * task.models["n_parameters"] * task.models["tokens"])
    row = frame[(frame["item"] == "facts-1-0007") & (frame["size"] == "s6") & (frame["tokens"] == 2e6)]
    at = (task.models["size"] == "s6") & (task.models["tokens"] == 2e6)
    assert np.allclose(
        task.scores.log_p[at.to_numpy(), 7], row.sort_values("seed")[[f"log_p_{k}" for k in range(4)]]
    )


def test_items_that_a_model_lacks_are_left_out(frame):
    part = frame[
        (frame["family"] == "facts") & ~((frame["item"] == "facts-1-0003") & (frame["size"] == "s2"))
    ]
    task = lab.task_scores(part)["facts"]
    assert task.scores.shape[1] == 79 and "facts-1-0003" not in task.items


def test_items_of_a_document_are_drawn_together(frame):
    part = frame[frame["family"] == "facts"]
    named = part.assign(family="doc_next", group=[name[-1] for name in part["item"]])
    assert len(set(lab.task_scores(named)["doc_next"].clusters)) == 10
    assert len(set(lab.task_scores(named.assign(group=""))["doc_next"].clusters)) == 80
    assert len(set(lab.task_scores(named.assign(family="facts"))["facts"].clusters)) == 80


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: f.drop(columns="correct"), "missing column 'correct'"),
        (lambda f: pd.concat([f, f.iloc[:1]]), "stands twice"),
        (lambda f: f.assign(correct=np.arange(len(f)) % 3), "changes its right choice"),
    ],
)
def test_refused_rows(frame, change, told):
    with pytest.raises(InputError, match=told):
        lab.task_scores(change(frame[frame["family"] == "facts"]))


def test_unknown_families_are_refused(frame):
    with pytest.raises(InputError, match="families: 'history' is not among 'facts'"):
        lab.task_scores(frame, ["history"])


def test_tasks_count_where_the_question_helps():
    task = lab.task_scores(planted_rows([4e6], {"facts": FAMILIES["facts"]}, items=400, seed=2))["facts"]
    assert lab.counted_tasks({"x": task}, "s5", 4e6, draws=300)["x"].lower > 0
    # shuffling which choice is right brings the task to its blind accuracy
    scores = task.scores
    correct = np.random.default_rng(0).integers(4, size=400)
    shuffled = type(scores)(scores.log_p, correct, scores.compute, neutral=scores.neutral)
    other = lab.TaskScores("x", shuffled, task.models, task.clusters, task.items)
    found = lab.counted_tasks({"x": other}, "s5", 4e6, draws=300)["x"]
    assert found.lower < 0 < found.upper
    with pytest.raises(InputError, match="no such model"):
        lab.counted_tasks({"x": task}, "s9", 4e6)
    bare = lab.TaskScores(
        "x", lab.planted_scores(scores.compute, items=20), task.models, other.clusters, task.items
    )
    with pytest.raises(InputError, match="no neutral"):
        lab.counted_tasks({"x": bare}, "s5", 4e6)


def test_studies_find_what_was_planted(tasks):
    studies = [lab.study_stages(tasks[name], draws=60) for name in ("facts", "sums")]
    summary = lab.degradation_summary(studies)
    assert summary["share_spearman"] == 1 and summary["n_families"] == 2
    assert summary["spearman_log_p_vocab"] > summary["spearman_p_choices"] > summary["spearman_accuracy"] > 0
    movement = lab.covariation_summary(studies)
    assert movement["share_positive"] == 1
    assert 0.4 < movement["median_slope"] < 0.95  # planted slopes 0.4 / 0.75 and 0.42 / 0.5
    mechanism = lab.mechanism_summary(studies)
    assert mechanism["variance_left"] < 0.6 and mechanism["n_families"] == 2
    share = lab.recovered_share([s.without_trend for s in studies])
    assert share.value == mechanism["recovered_trend"].value
    assert not lab.degradation_summary([])["share_degrading"] >= 0


def test_incorrect_choices_that_stand_still_take_nothing(tasks):
    fixed = planted_rows(families={"x": {"incorrect": "fixed"}}, items=60, seed=3)
    study = lab.study_stages(lab.task_scores(fixed)["x"], draws=40)
    assert not study.degrades(("spearman",))
    assert study.drops["spearman"].drops["p_choices"].value == pytest.approx(0, abs=1e-12)
    assert study.variance_left == pytest.approx(1)


def test_held_out_models_are_not_seen(tasks):
    task = tasks["facts"]
    held_out = lab.largest_held_out(task)
    assert set(task.models["size"][held_out]) == {"s6", "s7"}
    study = lab.forecast_accuracy(task, held_out, simulations=60, draws=40)
    scores = task.scores
    rng = np.random.default_rng(0)
    log_p = scores.log_p.copy()
    log_p[held_out] = -rng.uniform(1, 20, log_p[held_out].shape)
    spoilt = lab.TaskScores(
        "x",
        type(scores)(log_p, scores.correct, scores.compute, n_tokens=scores.n_tokens),
        task.models,
        task.clusters,
        task.items,
    )
    other = lab.forecast_accuracy(spoilt, held_out, simulations=60, draws=40)
    assert set(study.forecasts) == {"joint", *RIVALS}
    for name, forecast in study.forecasts.items():
        assert np.array_equal(forecast, other.forecasts[name]), name
    assert not np.array_equal(study.observed, other.observed)


def test_the_joint_forecast_wins_where_its_law_is_true(tasks):
    names = ("facts", "sums")
    by_size = {n: lab.forecast_accuracy(tasks[n], lab.largest_held_out(tasks[n]), draws=80) for n in names}
    gains = lab.forecast_gains(list(by_size.values()))
    assert gains["correct_only"].lower > 0.02 and gains["carry_forward"].lower > 0
    errors = lab.mean_errors(list(by_size.values()))
    assert errors["joint"].lower <= errors["joint"].value <= errors["joint"].upper < 0.04
    for name in RIVALS:
        assert np.isclose(gains[name].value, errors[name].value - errors["joint"].value)
    quantities = choice_forecast_quantities(by_size, by_size)
    assert quantities["n_families"] == 2 and quantities["n_beaten"] >= 3 and quantities["coverage"] > 0.7
    assert quantities.keys() == choice_forecast_quantities({}, {}).keys()


def test_the_two_step_rival_agrees_with_the_yardsticks(tasks):
    """Both steps of the batched default form against `TwoStepReference`, on the same rows."""
    task = tasks["facts"]
    held_out = lab.largest_held_out(task)
    scores = task.scores
    rows = task.models.assign(
        conditional_loss=-scores.stage("log_p_vocab", "token").mean(axis=1),
        accuracy=scores.stage("accuracy").mean(axis=1),
    )
    reference = lab.TwoStepReference(draws=100).fit(rows[~held_out])
    assert not reference.scores.free_levels
    n, d = (rows[column].to_numpy() for column in ("n_parameters", "tokens"))
    seen, loss = ~held_out, rows["conditional_loss"].to_numpy()
    expected = reference.predict_loss(n[held_out], d[held_out])
    found = loss_two_term_forecast(n[seen], d[seen], loss[seen], n[held_out], d[held_out])
    assert np.allclose(found, expected, rtol=0.02)
    accuracy = rows["accuracy"].to_numpy()[seen]
    second = logistic_forecast(-loss[seen], accuracy, -expected, 0.25)
    assert np.abs(second - reference.predict(n[held_out], d[held_out])).max() < 0.02


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"count": 0}, "count = 0"),
        ({"count": 7}, "some must be left"),
        ({"column": "depth"}, "column = 'depth'"),
    ],
)
def test_refused_hold_outs(tasks, options, told):
    with pytest.raises(InputError, match=told):
        lab.largest_held_out(tasks["facts"], **options)


def test_left_out_models_have_the_density_that_noise_gives_them():
    n = np.repeat([1e4, 3e4, 1e5, 3e5, 1e6, 3e6], 3)
    assert lab.left_out_errors(2 + 0.3 * np.log(n), n)[0] < 1e-9
    rng = np.random.default_rng(0)
    noisy = 2 + 0.3 * np.log(n) + rng.normal(0, 0.03, (400, 18))
    # noise over slope is 0.1; the curve through the others adds a little
    assert 0.1 < np.median(lab.left_out_errors(noisy, n)) < 0.14
    assert np.allclose(lab.left_out_errors(-noisy, n, falls=True), lab.left_out_errors(noisy, n))
    assert np.isinf(lab.left_out_errors(np.zeros(18), n)[0])
    with pytest.raises(InputError, match="4 sizes"):
        lab.left_out_errors(np.arange(12.0), n[:12])


def test_later_stages_resolve_less(tasks):
    found = lab.stage_resolution(tasks["facts"], 2e6, draws=40)
    assert found["log_p_vocab"].value < found["accuracy"].value
    table = lab.stage_resolution_table(tasks, 2e6)
    assert list(table["inverted"]) == list(tasks) and table.shape[1] == 6


def test_tables_and_charts_take_the_studies(tasks):
    import matplotlib.pyplot as plt

    some = {name: tasks[name] for name in ("facts", "sums", "titles")}
    studies = [lab.study_stages(task, draws=20) for task in some.values()]
    by_size = [
        lab.forecast_accuracy(t, lab.largest_held_out(t), simulations=50, draws=10) for t in some.values()
    ]
    studies = {study.task.name: study for study in studies}
    assert "p" in lab.drops_table(studies, "pearson") and "p" not in lab.drops_table(studies)
    assert len(lab.planted_control_table(some["facts"].scores.compute, 30, draws=10)) == 2
    above = lab.counted_tasks(some, "s5", 4e6, draws=50)
    assert set(lab.counted_table(some, above)["counts"]) <= {"yes", "no"}
    assert len(lab.movement_table(studies)) == 3 and len(lab.accuracy_gains_table(by_size, by_size)) == 7
    medians = lab.normalization_medians(some)
    assert list(medians.index) == ["raw", "byte", "token", "neutral"]
    assert np.allclose(medians["log_p_vocab"], medians["p_vocab"])
    table = lab.medians_table({"length": medians, "scale": lab.scale_axis_medians(some, "s5", 4e6)})
    assert len(table) == 7 and list(table["varied"]).count("") == 5
    assert lab.telling_task(some, 4e6).name == "titles" and lab.telling_task(some, 4e6).scores.shape[0] == 21
    items = lab.telling_items(some["facts"])
    assert len(set(items.values())) == len(items) >= 2
    wide = lab.planted_scores(some["facts"].scores.compute, items=20, choices=6)
    for figure in (
        lab.stages_chart(some["facts"], items),
        lab.survival_chart(some, draws=5),
        lab.frozen_chart(studies),
        lab.arrows_chart(some, items=10),
        lab.forecast_errors_chart(by_size),
        lab.averaging_chart(some, wide, draws=5),
    ):
        assert figure.axes
        plt.close(figure)


# A reader's own file


def own_rows(models=6):
    scores = lab.planted_scores(np.geomspace(1e18, 1e22, models), items=25, choices=3, seed=2)
    return scores, lab.choice_table(scores)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_own_files_are_read_back(tmp_path, ending):
    scores, table = own_rows()
    table = table[~((table["item"] == "item-4") & (table["choice"] == (scores.correct[3] + 1) % 3))]
    table = table.sample(frac=1, random_state=1)
    path = tmp_path / f"mine.{ending}"
    if ending == "csv":
        table.to_csv(path, index=False)
    else:
        table = table.assign(is_correct=table["is_correct"].astype(bool))
        path.write_text("\n".join(json.dumps(row) for row in table.to_dict("records")) + "\n\n")
    task = lab.read_choice_scores(path)
    assert task.scores.shape == (6, 25, 3) and task.scores.mask.sum() == 74
    order = [int(name.split("-")[1]) - 1 for name in task.items]
    others = np.array(order) != 3
    for stage in ("log_p_vocab", "p_choices", "accuracy"):
        found, expected = task.scores.stage(stage), scores.stage(stage)[:, order]
        assert np.allclose(found[:, others], expected[:, others], atol=1e-12)
    assert np.allclose(task.scores.compute, scores.compute)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.assign(log_p=0.5), "line 0: log_p = 0.5 .*must be a log-probability"),
        (lambda t: t.assign(log_p="low"), "log_p = 'low'"),
        (lambda t: t.assign(compute=0), "compute = .*must be a number above 0"),
        (lambda t: t.assign(is_correct=2), "is_correct = .*must be true or false"),
        (lambda t: t.assign(is_correct=0), "has 0 right choices"),
        (lambda t: t.assign(is_correct=(t.index == 0).astype(int)), "right under some models only"),
        (lambda t: pd.concat([t, t.tail(1)]), "twice"),
        (lambda t: t.iloc[1:], "was not scored under all 6 models"),
        (lambda t: t.assign(compute=np.arange(len(t)) + 1), "more than one compute"),
        (lambda t: t[t["model"] < "model-4"], "3 different values of compute"),
        (lambda t: t[t["item"] < "item-2"], "11 items, must be at least 20"),
        (lambda t: t.drop(columns="item"), "missing column 'item'"),
    ],
)
def test_refused_own_rows(change, told):
    with pytest.raises(InputError, match=told):
        lab.choice_scores(change(own_rows()[1]))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[1]\n", "line 1: must be a JSON object"),
        ('\n{"model": "a"}\n', "line 2: lacks the key 'compute'"),
        ("\n", "holds no rows"),
        (None, "cannot be read"),
    ],
)
def test_refused_own_files(tmp_path, content, told):
    path = tmp_path / "mine.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=told):
        lab.read_choice_scores(path)


@pytest.mark.parametrize("models", [4, 7])
def test_own_report_says_what_it_can(models):
    task = lab.choice_scores(own_rows(models)[1])
    report = lab.own_report(task, 1e23, draws=30, simulations=60)
    text = dict(report.itertuples(index=False))
    assert text["accuracy forecast at 1e+23"].count(",") == 1
    assert any("two largest scales" in quantity for quantity in text) == (models == 7)
    with pytest.raises(InputError, match="target_compute = 0"):
        lab.own_report(task, 0)


# Published runs


def test_published_check_by_hand():
    runs = pd.DataFrame({"params": [1, 2, 3, 4, 5] * 2, "tokens": [10**18] * 10})
    rank = runs["params"]
    for task in ("mmlu_stem_val", "mmlu_other_test", "piqa_val"):
        runs[f"bpb_{task}"], runs[f"acc_{task}"] = -rank, rank.where(rank < 4, 3)
    check = lab.check_olmo_ladder(runs)
    assert check.sign_p == pytest.approx(1 / 8) and check.benchmarks.sign_p == pytest.approx(1 / 4)
    assert list(check.benchmarks.table["task"]) == ["MMLU", "PIQA"]
    assert np.allclose(check.table["bits"], 1) and (check.table["difference"] > 0).all()
    with pytest.raises(InputError, match="bpb_"):
        lab.check_olmo_ladder(runs[["params", "tokens"]])


def test_shuffled_accuracies_lose_to_bits_and_shuffled_bits_to_accuracy():
    rng = np.random.default_rng(0)
    runs = pd.DataFrame({"params": np.arange(1.0, 31), "tokens": 1.0})
    for number in range(12):
        runs[f"bpb_t{number}_val"], runs[f"acc_t{number}_val"] = -runs["params"], rng.permutation(30)
    assert lab.check_olmo_ladder(runs).sign_p < 1e-3
    swapped = runs.rename(columns=lambda c: c.replace("bpb_", "x_").replace("acc_", "bpb_"))
    swapped = swapped.rename(columns=lambda c: c.replace("x_", "acc_"))
    assert lab.check_olmo_ladder(swapped).sign_p > 0.99


def test_other_published_tables_by_hand():
    pythia = pd.DataFrame(
        {"size_label": ["70m", "160M", "1.4b"] * 2, "tokens": [1e9] * 3 + [2e9] * 3, "shots": 0}
    )
    pythia["lambada_openai_ppl"], pythia["lambada_openai_acc"] = [6, 4, 2, 5, 3, 1], [1, 2, 3, 4, 5, 6]
    early = pythia.assign(tokens=1e8, lambada_openai_ppl=[1, 2, 3, 4, 5, 6])
    gadre = pd.DataFrame(
        {"train_dataset": "c4", "params": [1e8, 2e8, 3e8], "tokens": 10**12, "loss_c4_val_nats": [3, 2, 1]}
    )
    gadre = gadre.assign(acc_a=[1, 2, 3], acc_b=[2, 1, 3], acc_c=[3, 3, 3], acc_d=[1, 1, 2])
    table = lab.other_published_table(pd.concat([pythia, early]), gadre).set_index("models")
    first, second = table.loc["Pythia, LAMBADA, 0 shots"], table.loc["Gadre, c4"]
    # compute rises 70m, 70m, 160m, 160m, 1.4b, 1.4b; accuracy ranks are then 1, 4, 2, 5, 3, 6
    assert (first["number"], first["tasks"], first["loss"], first["accuracy"]) == (6, 1, "1.000", "0.714")
    assert (second["tasks"], second["loss"], second["accuracy"]) == (3, "1.000", "0.866")
    with pytest.raises(InputError, match="size_label = 'large'"):
        lab.other_published_table(pythia.assign(size_label="large"), gadre)


# The family


def test_committed_checkpoints_say_what_was_recorded():
    """Weights are kept in half precision, likelihoods to a thousandth of a nat."""
    member = ("d0.05M", 4_000_000, 0)
    again = lab.reevaluate_choices([member], families=["fact_recall", "arith_choice"], items=30)
    recorded = lab.load_reference_items()
    both = again.merge(recorded, on=["size", "tokens", "seed", "item"], suffixes=("", "_recorded"))
    assert len(both) == len(again) == 60 and (both["correct"] == both["correct_recorded"]).all()
    for k in range(4):
        for name in (f"log_p_{k}", f"log_p_neutral_{k}"):
            assert np.abs(both[name] - both[f"{name}_recorded"]).max() < 0.05, name
        assert (both[f"bytes_{k}"] == both[f"bytes_{k}_recorded"]).all()
    with pytest.raises(InputError, match="families"):
        lab.reevaluate_choices([member], families=["history"])
