import numpy as np
import pandas as pd
import pytest

import densing.lab as lab
from densing.data import SKILLS, load_published, train_bpe
from densing.errors import ExternalDataMissing, InputError
from densing.fitters import Estimate, TaskScalingLaw
from densing.models import Decoder, DecoderConfig

FITTED, AHEAD = list(lab.SIZES)[:5], list(lab.SIZES)[5:]


#: Made-up tasks: mean level of F at the middle size, mean exponent, and bend.
PLANTED_TASKS = {
    "copy-4": (1.2, 0.30, 0.0),
    "sort-3": (1.6, 0.22, 0.0),
    "steps-2": (2.0, 0.15, 0.0),
    "add-2": (1.0, 0.2, -0.08),
}


def planted_items(
    *,
    instances: int = 60,
    seeds: int = 3,
    model_sd: float = 0.08,
    scatter: float = 0.15,
    passes: int = 10,
    max_samples: int = 5_000,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows and items as the sweep records them, of tasks that obey the law instance by instance (one bends).

    Parameters
    ----------
    instances, seeds : of every task; of every size.
    model_sd : scatter of F between members of a size. scatter : of an instance's F under one member.
    passes, max_samples : as the sweep's.
    seed : of everything random.
    """
    rng = np.random.default_rng(seed)
    log_size = np.log([shape.n_parameters for shape in lab.SIZES.values()])
    x = log_size - log_size.mean()
    rows, items = [], []
    lines = {
        task: (rng.normal(level, 0.5, instances), rng.normal(alpha, 0.04, instances), bend)
        for task, (level, alpha, bend) in PLANTED_TASKS.items()
    }
    for j, (size, shape) in enumerate(lab.SIZES.items()):
        for member in range(seeds):
            for i, (task, (level, alpha, bend)) in enumerate(lines.items()):
                F = level - alpha * x[j] + bend * x[j] ** 2 + rng.normal(0, model_sd)
                log_p = -np.exp(F + rng.normal(0, scatter, instances))
                blind = log_p - 2 - rng.exponential(0.5, instances)
                s, k, cut = lab.stopped_counts(np.exp(log_p), passes, max_samples, int(rng.integers(2**32)))
                family, _, grade = task.rpartition("-")
                about = {"digest": f"{size}-{member}", "row": i}
                rows.append(
                    about
                    | {"size": size, "n_parameters": shape.n_parameters, "seed": member, "tokens": 4_000_000}
                    | {"family": family, "grade": int(grade), "n": instances}
                    | {"greedy_passes": int((log_p > np.log(0.5)).sum()), "greedy_n": instances}
                )
                items += [
                    about
                    | {
                        "item": f"{task}-{n}",
                        "passes": int(s[n]),
                        "samples": int(k[n]),
                        "censored": bool(cut[n]),
                    }
                    | {"log_p": log_p[n], "blind_log_p": blind[n]}
                    for n in range(instances)
                ]
    return pd.DataFrame(rows), pd.DataFrame(items)


@pytest.fixture(scope="module")
def planted():
    return planted_items()


@pytest.fixture(scope="module")
def items(planted):
    return lab.pass_items(*planted)


@pytest.fixture(scope="module")
def tasks(items):
    counted = lab.counted_pass_tasks(items, floor=(), draws=300)
    return counted["task"][counted["counted"]].tolist()


# The plan


def test_the_tasks_are_the_grades_that_are_held_out():
    tasks = lab.pass_tasks()
    assert len(tasks) == len(set(tasks)) == 44
    for task in tasks:
        family, _, grade = task.rpartition("-")
        assert SKILLS[family].kind == "generation"
        assert not SKILLS[family].memory(int(grade)) or task == "steps-1"
    assert {"copy-24", "add-6", "steps_cot-3"} <= set(tasks) and "copy-1" not in tasks


def test_the_plan_holds_every_member_and_what_is_committed():
    book = [(spec.config["size"], spec.config["seed"]) for spec in lab.pass_plan()]
    assert sorted(book) == sorted((size, seed) for size in lab.SIZES for seed in range(3))
    committed = {(spec.config["size"], spec.config["seed"]) for spec in lab.pass_plan("committed")}
    assert set(book) - committed == {("d2M", 1), ("d2M", 2)}
    # a fresh run of the committed members repeats recorded ones
    digests = {spec.digest for spec in lab.pass_plan()}
    assert {spec.digest for spec in lab.pass_plan("committed")} <= digests


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": "d9M"},
        {"tasks": ["copy-3"]},
        {"tasks": ["facts-1"]},
        {"instances": 2},
        {"greedy_instances": 100},
        {"passes": 1},
        {"passes": 60, "max_samples": 50},
        {"temperature": 0},
        {"top_p": 0.0},
    ],
)
def test_a_run_that_cannot_be_is_refused(wrong):
    options = {"size": "d0.01M"} | wrong
    name = "max_samples" if "max_samples" in wrong else next(iter(wrong))
    with pytest.raises(InputError, match=name):
        lab.pass_spec(options.pop("size"), **options)


@pytest.fixture
def tiny_member(monkeypatch):
    """A small decoder in the place of the family's checkpoint, with a tokenizer of its own."""
    import densing.lab.pass_rates.plan as plan
    import densing.lab.reference.store as store

    tokenizer = train_bpe(["a b c = 0 1 2 3 4 5 6 7 8 9"], 294)
    model = Decoder(DecoderConfig(tokenizer.get_vocab_size(), 16, 1, 2, context=128), seed=0).eval()
    monkeypatch.setattr(store, "load_reference", lambda *member: model)
    monkeypatch.setattr(plan, "load_tokenizer", lambda name: tokenizer)


def test_a_run_gives_counts_and_exact_rates_of_the_same_instances(tiny_member):
    spec = lab.pass_spec(
        "d0.01M", tasks=("count-6", "steps_cot-2"), instances=8, greedy_instances=12, max_samples=50
    )
    exact, written = spec.execute()
    assert (exact["family"], exact["grade"], exact["n"], exact["greedy_n"]) == ("count", 6, 8, 12)
    frame = pd.DataFrame(exact["items"])
    assert list(frame) == ["item", "passes", "samples", "censored", "log_p", "blind_log_p"]
    assert exact["passes"] == frame["passes"].sum() and exact["samples"] == frame["samples"].sum()
    assert (frame["log_p"] < 0).all() and (frame["log_p"] != frame["blind_log_p"]).any()
    assert "log_p" not in written["items"][0] and "exact_rate" not in written
    again = spec.execute()[0]
    assert again == exact


def test_other_temperatures_have_no_exact_rates_beside_them(tiny_member):
    spec = lab.pass_spec("d0.01M", tasks=("count-6",), instances=5, max_samples=20, temperature=0.8)
    assert "exact_rate" not in spec.execute()[0]


# Items and tasks


def test_word_problems_stay_on_the_floor_and_the_other_generated_answers_leave_it():
    floor = lab.floor_families()
    assert "steps" in floor and not set(lab.PASS_FAMILIES) - {"steps"} & set(floor)


def test_only_resolved_unsaturated_held_out_tasks_count(items):
    blind = items.assign(
        blind_log_p=np.where(items["task"] == "sort-3", items["log_p"], items["blind_log_p"])
    )
    known = blind.assign(log_p=np.where(items["task"] == "add-2", -1e-3, items["log_p"]))
    found = lab.counted_pass_tasks(known, floor=("steps",), draws=200).set_index("task")
    assert found["counted"].to_dict() == {"copy-4": True, "sort-3": False, "steps-2": False, "add-2": False}
    assert found["resolved"].to_dict() == {"copy-4": True, "sort-3": False, "steps-2": True, "add-2": True}
    assert found.loc["sort-3", "log_ratio"] == 0
    # one step is not held out: copied letters under its name would be counted if it were
    renamed = items[items["task"] == "copy-4"].assign(task="steps-1", family="steps", grade=1)
    found = lab.counted_pass_tasks(renamed, floor=(), draws=200)
    assert found["resolved"].all() and not found["counted"].any()
    with pytest.raises(InputError, match="size"):
        lab.counted_pass_tasks(items, "d9M", floor=())


def test_shown_tasks_come_from_every_family_first():
    table = pd.DataFrame({"task": ["a-1", "a-2", "b-1"], "rate": [0.5, 0.4, 0.1]})
    assert lab.spread_tasks(table, 2) == ["a-1", "b-1"]
    assert lab.spread_tasks(table, 9) == ["a-1", "b-1", "a-2"]
    cells = pd.DataFrame(
        {
            "task": ["a-1", "a-1", "a-2", "a-2", "b-1"],
            "greedy_passes": [0, 1, 0, 0, 0],
            "lower": [0.1, 0.1, 0.1, 0.1, 0.0],
        }
    )
    assert lab.hidden_tasks(cells, 2) == ["a-2", "b-1"]


# Measurements


def test_cells_without_a_greedy_success_are_measured(planted, items, tasks):
    cells = lab.greedy_cells(planted[0], items, tasks)
    assert len(cells) == len(tasks) * 7
    assert ((cells["lower"] <= cells["exact"]) & (cells["exact"] <= cells["upper"])).mean() > 0.85
    found = lab.resolution_quantities(cells, tasks)
    assert found["n_cells"] == (cells["greedy_passes"] == 0).sum() > 10
    assert found["share_above_zero"] == found["share_rising"] == found["share_above_blind"] == 1
    nothing = cells.assign(lower=0.0, exact=cells["exact"].max() - cells["exact"], above_blind=False)
    found = lab.resolution_quantities(nothing, tasks)
    assert found["share_above_zero"] == found["share_rising"] == found["share_above_blind"] == 0
    assert np.isnan(found["smallest_rate"])
    empty = lab.resolution_quantities(lab.greedy_cells(planted[0], items, []), [])
    assert empty["n_cells"] == empty["n_tasks"] == 0


def test_the_planted_bend_is_found_and_the_straight_tasks_are_called_straight(planted, items, tasks):
    every = lab.law_study(items, tasks, draws=200)
    blind = items["blind_log_p"].where(~((items["task"] == "copy-4") & (items["size"] == "d0.01M")), 0.0)
    cells = lab.greedy_cells(planted[0], items.assign(blind_log_p=blind), tasks)
    sizes = lab.resolved_sizes(cells)
    assert sizes["copy-4"] == list(lab.SIZES)[1:] and sizes["add-2"] == list(lab.SIZES)
    resolved = lab.law_study(items, tasks, sizes, draws=200)
    assert resolved.set_index("task").loc["copy-4", "sizes"] == 6
    found = lab.bend_quantities(every, resolved, tasks)
    assert found["n_concave"] == found["n_concave_resolved"] == 1 and found["n_convex"] == 0
    assert every.set_index("task")["curvature"].idxmin() == "add-2"
    five = lab.law_study(items, tasks, FITTED, draws=200)
    laws = lab.law_quantities(five, every, tasks)
    assert laws["n_tasks"] == 4 and 0 < laws["share_linear"] <= laws["share_straight"]
    assert set(every["task"][every["straight"]]) == set(tasks) - {"add-2"}


def test_sizes_shuffled_leave_no_linear_task(items, tasks):
    names = list(lab.SIZES)
    shuffled = dict(zip(names, np.random.default_rng(3).permutation(names), strict=True))
    mixed = items.assign(size=items["size"].map(shuffled))
    mixed["n_parameters"] = mixed["size"].map({size: shape.n_parameters for size, shape in lab.SIZES.items()})
    assert not lab.law_study(mixed, tasks, draws=100)["linear"].any()


def test_forecasts_beat_carrying_forward_where_the_law_holds(items):
    straight = ["copy-4", "sort-3", "steps-2"]
    forecasts = lab.rate_forecasts(items, straight, FITTED, AHEAD)
    assert len(forecasts) == 3 * 2 * 7
    found = lab.forecast_quantities(forecasts, straight)
    assert found["deviation"] < 0.6 * found["carry_forward"] and found["coverage"] >= 5 / 6
    assert found["log_deviation"] < 0.35 and found["n_tasks"] == 3
    assert np.isnan(lab.forecast_quantities(forecasts.iloc[:0], [])["deviation"])


def test_a_task_of_which_nothing_passed_is_forecast_as_zero_and_not_covered(items):
    silent = items[items["task"] == "copy-4"].assign(passes=0, samples=5_000, censored=True)
    forecasts = lab.rate_forecasts(silent, ["copy-4"], FITTED, AHEAD).set_index("way")
    assert (forecasts.loc["instance", "rate"] == 0).all() and not forecasts.loc["instance", "covered"].any()
    assert (forecasts.loc["instance", "points"] == 100 * forecasts.loc["instance", "observed"]).all()
    assert (forecasts.loc["exact", "rate"] > 0).all()


def test_steps_in_a_row_are_a_log_sum_exp():
    error, least = lab.steps_identity(200)
    assert error < 1e-10 and least >= 0


def test_the_trend_of_bends_along_grades_is_their_difference(items):
    renamed = items[items["task"].isin(["copy-4", "add-2"])]
    grades = {"copy-4": "steps-2", "add-2": "steps-3"}
    steps = renamed.assign(task=renamed["task"].map(grades))
    trend = lab.curvature_trend(steps, ["steps-2", "steps-3"], draws=200)
    both = [
        TaskScalingLaw().fit(lab.law_counts(items, task, exact=True)).curvature_test(draws=0).curvature.value
        for task in grades
    ]
    assert trend.value == pytest.approx(both[1] - both[0], abs=1e-9)
    assert trend.upper < 0
    undefined = lab.curvature_trend(steps, ["steps-2"])
    assert isinstance(undefined, Estimate) and np.isnan(undefined.value)


def test_held_out_members_have_a_density_near_one(items):
    found = lab.pass_density(items, ["copy-4", "sort-3", "steps-2"])
    inside = found[found["size"].isin(list(lab.SIZES)[1:-1])]
    assert len(found) == 3 * 7 and len(inside) == 3 * 5 and inside["density"].between(0.4, 2.5).all()
    table = lab.pass_density_table(found)
    assert table["held out"].tolist() == list(lab.SIZES)
    assert float(table["median"][3]) == pytest.approx(
        found.loc[found["size"] == "d0.2M", "density"].median(), rel=0.05
    )


def test_simulated_bias_is_the_closed_form():
    from densing.fitters import expected_stopped_rate

    rates = np.array([0.01, 0.2])
    for passes in (1, 5):
        mean, error = lab.simulated_bias(rates, passes, runs=20_000)
        assert (np.abs(mean - expected_stopped_rate(rates, passes) / rates) < 4 * error).all()


def test_made_up_counts_obey_the_stopping_rule():
    s, k, cut = lab.stopped_counts(np.repeat([0.5, 0.01, 1e-5], 400), 3, 200, seed=1)
    assert (s[~cut] == 3).all() and (s[cut] < 3).all() and (k[cut] == 200).all()
    assert not cut[:400].any() and cut[-400:].all()
    # of 200 samples at 0.01 fewer than three pass with probability 0.677
    assert cut[400:800].mean() == pytest.approx(0.677, abs=0.08)
    counts = lab.planted_pass_counts()
    assert TaskScalingLaw().fit(counts, "instance").predict(1e10)["rate"].between(0.1, 0.9).all()


# Published accuracies


def test_published_accuracies_bend_by_how_parameters_are_counted():
    try:
        evals = load_published("pythia_checkpoint_evals")
    except ExternalDataMissing:
        pytest.skip("the table is not on this machine")
    found = {
        total: lab.published_bends(lab.pythia_rates(evals, total=total)).set_index("task")
        for total in (False, True)
    }
    assert (found[True]["lower"] > 0).all()
    arc = found[False].loc["ARC easy"]
    assert arc["lower"] < 0 < arc["upper"] and arc["r_squared"] > 0.99
    with pytest.raises(InputError, match="multiple"):
        lab.olmo_rates(load_published("olmo_ladder_runs"), 3.0)


def test_pythias_sizes_are_those_of_its_shapes():
    shapes = {"70m": (6, 512), "160m": (12, 768), "1.4b": (24, 2_048), "12b": (36, 5_120)}
    for size, (layers, width) in shapes.items():
        own = layers * (12 * width**2 + 13 * width) + 2 * width
        assert lab.PYTHIA_PARAMETERS[size][0] == own
        embeddings = lab.PYTHIA_PARAMETERS[size][1] - own
        assert embeddings % (2 * width) == 0 and embeddings // (2 * width) >= 50_254


# Charts and tables


def test_every_chart_draws_and_every_table_is_filled(planted, items, tasks):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    cells = lab.greedy_cells(planted[0], items, tasks)
    every = lab.law_study(items, tasks, draws=100)
    forecasts = lab.rate_forecasts(items, tasks[:2], FITTED, AHEAD)
    rates = np.array([1e-3, 1e-1])
    figures = [
        lab.bias_chart({1: (rates, *lab.simulated_bias(rates, 1, runs=100))}),
        lab.hidden_rates_chart(cells, tasks),
        lab.task_law_chart(items, tasks[:3], FITTED),
        lab.sampled_exact_chart(items),
        lab.rate_forecast_chart(forecasts),
        lab.curvature_chart(every),
    ]
    for figure in figures:
        assert all(ax.get_xlabel() or ax.get_ylabel() or len(figure.axes) > 1 for ax in figure.axes)
        plt.close(figure)
    counted = lab.counted_pass_tasks(items, floor=(), draws=200)
    own, law = lab.own_rate_report(lab.planted_pass_counts().drop(columns="censored"), 1e10, draws=100)
    assert len(own) == 2 and "curvature" in law
    tables = [
        lab.pass_task_table(counted, every),
        lab.forecast_table(forecasts),
        own,
    ]
    for table in tables:
        assert len(table) and not table.isna().any().any()


# Recorded rows


def test_a_committed_checkpoint_gives_the_recorded_rates_and_counts_again():
    spec = next(s for s in lab.pass_plan() if (s.config["size"], s.config["seed"]) == ("d0.4M", 1))
    runs, items = (lab.load_runs("passuntil", items=with_items) for with_items in (False, True))
    runs = runs[(runs["digest"] == spec.digest) & (runs["family"] == "reverse") & (runs["grade"] == 2)]
    recorded = items[(items["digest"] == spec.digest) & items["row"].isin(runs["row"])]
    again = lab.pass_spec("d0.4M", 1, tasks=("reverse-2",)).execute()[0]
    row = runs.iloc[0]
    assert again["exact_rate"] == pytest.approx(row["exact_rate"], rel=1e-3)
    assert again["blind_rate"] == pytest.approx(row["blind_rate"], rel=1e-3)
    assert abs(again["greedy_passes"] - row["greedy_passes"]) <= 1
    both = recorded.merge(pd.DataFrame(again["items"]), on="item", suffixes=("", "_again"), validate="1:1")
    assert len(both) == len(recorded) == row["n"]
    assert np.abs(both["log_p_again"] - both["log_p"]).max() <= 3 / 1_024
    # the same seed draws the same samples; rounding on another machine may move a few
    assert (both["samples_again"] == both["samples"]).mean() > 0.8
