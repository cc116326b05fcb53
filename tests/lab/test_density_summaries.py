"""Tables and charts made of published densities: what they show is what was computed."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

matplotlib.use("Agg")

import densing.lab as lab
from densing.data import load_published
from densing.errors import InputError
from densing.fitters import Estimate, fit_trend, rolling_forecast


@pytest.fixture(scope="module")
def models() -> pd.DataFrame:
    return load_published("densing_models")


@pytest.fixture(scope="module")
def density(models) -> pd.DataFrame:
    return lab.published_density(models)


@pytest.fixture(scope="module")
def lines(density):
    return lab.fit_lines(density, draws=50, permutations=99)


def test_lines_are_the_estimators(density, lines):
    assert list(lines) == [
        "records", "records, best of a day", "all, least squares", "all, median", "all, 0.9 quantile", "isotonic frontier",
    ]  # fmt: skip
    median = fit_trend(density["day"], density["ln_density"], "quantile", 0.5, draws=0, permutations=0)
    assert lines["all, median"].slope_per_day == median.slope_per_day
    assert lines["records, best of a day"].n_records < lines["records"].n_records
    assert np.isnan(lines["isotonic frontier"].permutation_p) and lines["records"].permutation_p > 0.1


def test_tables_hold_the_numbers(models, density, lines):
    table = lab.doubling_table({"LLaMA": lines})
    assert table.loc[table["line through"] == "records", "LLaMA"].item() == f"{lines['records'].doubling:.1f}"
    records = lab.record_table(density)
    assert records["model"].iloc[[0, -1]].tolist() == ["llama-1-13b", "qwen3-4b"] and len(records) == 14
    growth = {"mmlu": Estimate(5, 4, 6)}
    exchange = lab.exchange_table(
        {"LLaMA": lab.published_density(models, benchmarks=["mmlu"], min_benchmarks=1)}, growth
    )
    assert exchange.iloc[0].tolist() == ["mmlu", "0.82", "5.0 [4.0, 6.0]"]


def test_joint_growth_agrees_with_the_joint_reference(models):
    growth = lab.joint_growth(models, draws=200)
    rates = lab.published_density(models, "joint").attrs["curves"].growth_per_day
    for name, months in growth.items():
        assert months.value == pytest.approx(np.log(2) / rates[name] / 30.44)
        assert months.lower < months.value < months.upper
    with pytest.raises(InputError, match="several sizes and dates"):
        lab.joint_growth(models[models["family"] == "LLaMA"])
    with pytest.raises(InputError, match="chess"):
        lab.joint_growth(models, ["chess"])


def test_joint_growth_finds_what_was_planted():
    table = lab.read_models_table(lab.planted_models(4.0, noise=0.0, families=8))
    found = lab.joint_growth(table, ["quiz", "riddles"], draws=100)
    assert [m.value for m in found.values()] == pytest.approx([4.0, 4.0], rel=1e-6)


def test_versions_come_first_as_published_then_with_noise(models):
    reports = pd.DataFrame(
        [
            (f"m{m}", b, 0.5 + 0.01 * ((7 * m + 3 * s) % 11), f"s{s}")
            for m in range(30)
            for s in range(3)
            for b in lab.CORE5
        ],
        columns=["model", "benchmark", "score", "source_id"],
    )
    versions = lab.doubling_by_version(models, reports, draws=50)
    assert list(versions)[:2] == ["as published", "noisy scores and dates"] and len(versions) == 11
    assert versions["as published"]["records"].value == versions["noisy scores and dates"]["records"].value
    assert list(versions["as published"]) == ["records", "all, least squares"]


def texts(figure) -> str:
    return " | ".join(t.get_text() for ax in figure.axes for t in ax.texts)


def test_charts_show_every_point_and_say_their_numbers(models, density, lines):
    chart = lab.density_chart(
        density, {"records": lines["records"], "all": lines["all, least squares"]}, "LLaMA = 1"
    )
    shown = [
        len(c.get_offsets())
        for c in chart.axes[0].collections
        if hasattr(c, "get_offsets") and len(c.get_offsets()) > 1
    ]
    assert shown[0] + shown[1] == 84 and shown[2] == lines["records"].n_records
    assert "records\n3.3 months" in texts(chart)
    null = lab.null_chart({"records": lines["records"]})
    assert f"p = {lines['records'].permutation_p:.2g}" in texts(null)

    curve = lab.specification_curve(
        models, ["LLaMA"], estimators=["frontier", "ols"], min_benchmarks=[4], draws=20
    )
    marks = lab.specification_chart(curve, (3.3,)).axes[1]
    rows = [len(line.get_xdata()) for line in marks.lines]
    assert rows == [4, 2, 2, 2, 2, 4]

    estimate = Estimate(3.3, 2.0, 4.0)
    rows = lab.interval_chart({"one": {"records": estimate}, "two": {"records": estimate}}).axes[0]
    assert [t.get_text() for t in rows.get_yticklabels()] == ["one", "two"]

    data = density["day"], density["ln_density"]
    forecast = rolling_forecast(*data, [310, 492], [60, 120, 180], draws=50)
    fan = lab.forecast_chart(density, forecast, "LLaMA = 1")
    assert "Dec 2023: " in texts(fan) and "Jun 2024: " in texts(fan)
    matplotlib.pyplot.close("all")
