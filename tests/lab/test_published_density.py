"""Capacity density from published scores; the fake-catchers of the chapter stand here."""

import numpy as np
import pandas as pd
import pytest

from densing.data import load_published
from densing.errors import InputError
from densing.fitters import fit_trend
from densing.lab import CHANCE, CORE5, REFERENCES, published_density, specification_curve, table_versions
from densing.laws import loss_to_score

RATE = np.log(2) / 100
RISE = dict(zip(CORE5, (0.5, 0.7, 0.6, 0.4, 0.45), strict=True))


@pytest.fixture(scope="module")
def models() -> pd.DataFrame:
    return load_published("densing_models")


def planted(n_families: int = 12, rate: float = RATE, noise: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """A reference of four sizes at day 0 and later families whose effective size grows by `rate` a day."""
    rng = np.random.default_rng(seed)
    rows = []
    for family in range(n_families + 1):
        day = 0 if family == 0 else 60 * family
        sizes = [1e9, 3e9, 9e9, 27e9] if family == 0 else 10 ** rng.uniform(9, 10.5, 3)
        for k, size in enumerate(sizes):
            ln_effective = np.log(size) + rate * day + noise * rng.normal() * (family > 0)
            scores = {
                b: loss_to_score(
                    -RISE[b] * (ln_effective - np.log(3e11)),
                    1 - CHANCE.get(b, 0),
                    -1.0,
                    0.0,
                    CHANCE.get(b, 0),
                )
                for b in CORE5
            }
            rows.append(
                {"model": f"f{family}-{k}", "family": f"f{family}", "params_total": size, "params_active": size, "is_moe": 0,
                 "release_date": pd.Timestamp("2023-02-24") + pd.Timedelta(days=day)} | scores
            )  # fmt: skip
    return pd.DataFrame(rows)


def doubling(frame: pd.DataFrame, **kwargs) -> float:
    return fit_trend(frame["day"], frame["ln_density"], draws=0, permutations=0, **kwargs).doubling_months


# the figures known beforehand


@pytest.mark.parametrize(
    "reference, low, high", [("LLaMA", 3.3, 3.7), ("Qwen1.5", 3.3, 3.7), ("Qwen2.5", 2.7, 3.1)]
)
def test_the_frontiers_doubling_time(models, reference, low, high):
    frame = published_density(models, reference)
    trend = fit_trend(frame["day"], frame["ln_density"], groups=frame["family"], permutations=0)
    assert trend.n == 84 and low <= trend.doubling_months <= high
    assert reference == "Qwen2.5" or 2.0 <= trend.lower < trend.upper <= 5.0


@pytest.mark.parametrize("reference", ["LLaMA", "Qwen1.5"])
def test_the_median_trend_of_all_models(models, reference):
    frame = published_density(models, reference)
    assert 3.7 <= doubling(frame, method="quantile", q=0.5) <= 4.4


def test_the_trial_is_reproduced_when_a_day_is_taken_in_the_tables_order(models):
    """3.52 and 3.48 months, R² 0.84 and 0.86, 17 and 11 records: models of a day one after the other, by name."""
    for reference, months, records, r_squared in (("LLaMA", 3.52, 17, 0.84), ("Qwen1.5", 3.48, 11, 0.86)):
        frame = published_density(models, reference)
        best, rows = -np.inf, []
        for row in frame.sort_values(["day", "model"], kind="stable").itertuples():
            if row.ln_density > best:
                best = row.ln_density
                rows.append((row.day, row.ln_density))
        day, value = np.array(rows).T
        slope, _ = np.polyfit(day, value, 1)
        assert len(rows) == records and np.log(2) / slope / 30.44 == pytest.approx(months, abs=0.005)
        assert np.corrcoef(day, value)[0, 1] ** 2 == pytest.approx(r_squared, abs=0.005)


def test_the_joint_regression_exchanges_time_and_size_at_two_to_six_months(models):
    growth = published_density(models, "joint").attrs["curves"].growth_per_day
    months = {name: np.log(2) / rate / 30.44 for name, rate in growth.items()}
    assert months["math"] == pytest.approx(2.1, abs=0.05) and months["bbh"] == pytest.approx(6.0, abs=0.05)
    assert min(months, key=months.get) == "math" and max(months, key=months.get) == "bbh"


# the method


def test_a_planted_doubling_is_found():
    frame = published_density(planted(), "f0")
    for method in ("frontier", "ols", "quantile", "isotonic"):
        assert doubling(frame, method=method) * 30.44 == pytest.approx(100, abs=1e-6)
    assert doubling(published_density(planted(), "joint"), method="ols") * 30.44 == pytest.approx(
        100, abs=1e-6
    )
    by_score = published_density(planted(), "f0", aggregate="score")
    assert doubling(by_score, method="ols") * 30.44 == pytest.approx(100, rel=0.1)


def test_members_of_the_reference_have_density_one(models):
    frame = published_density(planted(), "f0")
    np.testing.assert_allclose(frame.loc[frame["family"] == "f0", "density"], 1, atol=1e-9)
    for reference in REFERENCES[:3]:
        frame = published_density(models, reference)
        dense = frame[(frame["family"] == reference) & ~frame["model"].str.contains("moe")]
        assert dense["ln_density"].mean() == pytest.approx(0, abs=0.05)


def test_scale_law(models):
    base = published_density(models)
    seven = models.assign(params_total=models["params_total"] * 7, params_active=models["params_active"] * 7)
    np.testing.assert_allclose(published_density(seven)["ln_density"], base["ln_density"], atol=1e-9)
    variant = models.copy()
    row = variant["model"] == "mistral-7b-v0.1"
    variant.loc[row, ["params_total", "params_active"]] *= 2
    halved = published_density(variant).set_index("model")["density"] / base.set_index("model")["density"]
    assert halved["mistral-7b-v0.1"] == pytest.approx(0.5, rel=1e-12)
    assert halved.drop("mistral-7b-v0.1").to_numpy() == pytest.approx(1, rel=1e-12)


def test_row_order_does_not_matter(models):
    shuffled = models.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(published_density(shuffled), published_density(models), check_exact=False)


def test_active_parameters_raise_mixtures_of_experts_only(models):
    total, active = (published_density(models, parameters=p).set_index("model") for p in ("total", "active"))
    ratio = active["ln_density"] - total["ln_density"]
    moe = models.set_index("model").loc[ratio.index, "is_moe"] == 1
    assert (ratio[moe] > 0).all() and (ratio[~moe] == 0).all() and moe.sum() >= 10


def test_a_reference_from_another_table(models):
    family = models[models["family"] == "Gemma 2"].assign(family="mine")
    there = published_density(family, "LLaMA", reference_models=models)
    here = published_density(models, "LLaMA").set_index("model")["ln_density"]
    np.testing.assert_allclose(there["ln_density"], here[there["model"]], atol=1e-12)
    assert set(there["family"]) == {"mine"}
    # a reader's rows under the reference's name do not move the ruler
    alias = published_density(family.assign(family="LLaMA"), "LLaMA", reference_models=models)
    np.testing.assert_allclose(alias["ln_density"], there["ln_density"], atol=1e-12)


def test_low_scores_are_clipped_and_counted_left_out_or_refused(models):
    frame = published_density(models).set_index("model")
    assert frame.loc["qwen1.5-0.5b", "n_clipped"] == 1 and frame["n_clipped"].sum() == 3
    with pytest.warns(UserWarning, match="3 scores|4 scores|5 scores"):
        frame = published_density(models, clip=None).set_index("model")
    assert frame.loc["qwen1.5-0.5b", "n_benchmarks"] == 4
    with pytest.raises(InputError, match="above chance"):
        published_density(models, strict=True)


def test_dates_can_be_limited_without_moving_the_ruler(models):
    late = published_density(models, date_from="2024-06-01", date_to="2024-10-01").set_index("model")
    whole = published_density(models).set_index("model")
    assert late["release_date"].between("2024-06-01", "2024-09-30").all()
    np.testing.assert_array_equal(late["ln_density"], whole.loc[late.index, "ln_density"])


def test_leaving_out_a_benchmark(models):
    frame = published_density(models).set_index("model")
    assert (frame["density_low"] <= frame["density"]).all() and (
        frame["density"] <= frame["density_high"]
    ).all()
    row = frame.loc["mistral-7b-v0.1"]
    single = row.filter(like="ln_effective_").to_numpy(float)
    left_out = [np.exp(np.delete(single, k).mean() - np.log(row["parameters"])) for k in range(5)]
    assert (row["density_low"], row["density_high"]) == (
        pytest.approx(min(left_out)),
        pytest.approx(max(left_out)),
    )


def test_versions_of_the_table(models):
    versions = table_versions(models)
    pd.testing.assert_frame_equal(versions["as published"], published_density(models))
    recalled = set(models.loc[models["date_recalled"] + models["size_recalled"] > 0, "model"])
    assert not recalled & set(versions["no recalled date or size"]["model"])
    # the reference's own BBH scores are among the doubtful ones
    assert (
        "ln_effective_bbh" not in versions["no doubtful score"]
        and "ln_effective_mbpp" in versions["no doubtful score"]
    )
    assert [name for name in versions if name.startswith("without")] == [f"without {name}" for name in CORE5]
    for name, frame in versions.items():
        assert 2.3 < doubling(frame) < 4.0, name


# fakes


def test_a_constant_or_score_over_size_fails_the_planted_law():
    frame = published_density(planted(), "f0")
    for fake in (
        np.zeros(len(frame)),
        np.log(planted().set_index("model").loc[frame["model"], "mmlu"].to_numpy() / frame["parameters"]),
    ):
        with pytest.raises((AssertionError, InputError)):
            assert doubling(frame.assign(ln_density=fake), method="ols") * 30.44 == pytest.approx(
                100, rel=0.05
            )


def test_scores_shuffled_across_models_show_no_trend(models):
    rng = np.random.default_rng(0)
    kept = models[models["n_benchmarks_core5"] >= 4]
    reference = models[models["family"] == "LLaMA"]
    surprising = 0
    for seed in range(100):
        scores = kept[list(CORE5)].iloc[rng.permutation(len(kept))].to_numpy()
        frame = published_density(
            kept.assign(**dict(zip(CORE5, scores.T, strict=True))), reference_models=reference
        )
        trend = fit_trend(
            frame["day"],
            frame["ln_density"],
            "ols",
            groups=frame["family"],
            draws=0,
            permutations=199,
            seed=seed,
        )
        surprising += trend.permutation_p <= 0.05
    assert surprising <= 10


def test_the_real_trend_is_not_that_of_size_alone(models):
    """Density with the true scores rises faster than density whose scores come from the size alone."""
    frame = published_density(models)
    size_only = frame.assign(ln_density=-np.log(frame["parameters"]) * 0.0)
    assert doubling(frame, method="ols") < 6 and doubling(size_only, method="ols") == np.inf


# settings


def test_the_specification_curve_covers_the_grid(models):
    curve = specification_curve(
        models, ["LLaMA", "joint"], estimators=["frontier", "ols"], min_benchmarks=[4, 5], draws=50
    )
    assert len(curve) == 2 * 2 * 2 * 2 and curve["doubling_months"].is_monotonic_increasing
    assert (curve["lower"] <= curve["doubling_months"]).all() and (
        curve["doubling_months"] <= curve["upper"]
    ).all()
    row = curve.query(
        "reference == 'LLaMA' and parameters == 'total' and estimator == 'frontier' and min_benchmarks == 4"
    )
    assert row["doubling_months"].item() == pytest.approx(doubling(published_density(models)))


@pytest.mark.parametrize(
    "change, named",
    [
        ({"reference": "GPT-4"}, "reference = 'GPT-4'.*'LLaMA'"),
        ({"reference": "Mistral"}, "Mistral.*1 dense sizes.*mmlu"),
        ({"benchmarks": ("mmlu", "chess")}, "chess.*'gsm8k'"),
        ({"benchmarks": "mmlu"}, "benchmarks"),
        ({"parameters": "embedding"}, "parameters"),
        ({"min_benchmarks": 6}, "min_benchmarks = 6"),
        ({"min_benchmarks": 0}, "min_benchmarks = 0"),
        ({"aggregate": "median"}, "aggregate"),
        ({"date_from": "2024-06-01", "date_to": "2024-06-01"}, "date_from = '2024-06-01'"),
        ({"date_from": "June"}, "date_from = 'June'"),
        ({"date_from": "2026-01-01"}, "no model is left"),
    ],
)
def test_bad_settings(models, change, named):
    with pytest.raises(InputError, match=named):
        published_density(models, **change)


def test_bad_tables(models):
    with pytest.raises(InputError, match="mmlu = 46.9.*divide by 100"):
        published_density(models.assign(mmlu=models["mmlu"] * 100))
    with pytest.raises(InputError, match="must be positive"):
        published_density(models.assign(params_total=-1))
    upside_down = planted()
    upside_down.loc[upside_down["family"] == "f0", "math"] = [0.4, 0.3, 0.2, 0.1]
    with pytest.raises(InputError, match="'f0': math does not improve with size"):
        published_density(upside_down, "f0")
