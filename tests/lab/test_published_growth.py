"""Settings, quantities, forecasts and corollaries of the chapter on published models."""

import numpy as np
import pandas as pd
import pytest

from densing.errors import InputError
from densing.fitters import breakpoint_test, record_test, rolling_forecast
from densing.lab import (
    ORIGIN,
    check_growth_settings,
    corollary_table,
    fit_lines,
    growth_quantities,
    record_forecasts,
)


def growing_frame(months=4.0, noise=0.2, seed=0, n=60):
    rng = np.random.default_rng(seed)
    day = np.sort(rng.integers(0, 800, n))
    value = np.log(2) / (months * 30.44) * day + noise * rng.normal(size=n)
    dates = ORIGIN + pd.to_timedelta(day, unit="D")
    return pd.DataFrame(
        {"day": day, "ln_density": value, "family": [f"f{k % 20}" for k in range(n)], "release_date": dates}
    )


@pytest.fixture(scope="module")
def frame():
    return growing_frame()


def test_settings_are_checked_by_name():
    check_growth_settings("LLaMA", "frontier", 0.9, 0)
    check_growth_settings("joint", "ols", 0.5, 100)
    for bad, word in (
        (("GPT", "ols", 0.9, 0), "reference"),
        (("LLaMA", "mean", 0.9, 0), "estimator"),
        (("LLaMA", "ols", 1.0, 0), "quantile"),
        (("LLaMA", "ols", 0.9, 50), "draws"),
    ):
        with pytest.raises(InputError, match=word):
            check_growth_settings(*bad)


def test_quantities_are_those_of_the_lines(frame):
    lines = {
        name: fit_lines(frame, permutations=200 if name == "LLaMA" else 0, draws=100)
        for name in ("LLaMA", "Qwen1.5", "Qwen2.5")
    }
    counted = record_test(frame["day"], frame["ln_density"], frame["family"], permutations=200)
    doubling, real = growth_quantities(lines, "LLaMA", counted)
    records, best, ols, median, high, _ = lines["LLaMA"].values()
    assert doubling["doubling_months"] == records.doubling and doubling["n_models"] == 60
    assert doubling["doubling_months_best_of_day"] == best.doubling
    assert real["p_ols"] == ols.permutation_p < 0.01 and real["doubling_months_ols"].value == pytest.approx(
        4, rel=0.1
    )
    assert real["p_q50"] == median.permutation_p and real["p_q90"] == high.permutation_p
    assert real["p_frontier"] == records.permutation_p and real["p_records"] == counted.permutation_p
    with pytest.raises(InputError, match="Qwen2.5"):
        growth_quantities({"LLaMA": lines["LLaMA"], "Qwen1.5": lines["Qwen1.5"]}, "LLaMA", counted)


def test_forecasts_agree_with_the_rolling_forecast_they_are_made_of(frame):
    found = record_forecasts(frame, draws=100)
    assert found.early == pd.Timestamp("2024-05-31")
    day = (found.early - ORIGIN).days
    one = rolling_forecast(
        frame["day"],
        frame["ln_density"],
        [day],
        (183, frame["day"].max() - day),
        frame["family"],
        draws=100,
        seed=0,
    )
    assert found.overshoot == pytest.approx(tuple(np.exp(one["error"])))
    assert found.early_months == one["doubling_months"][0]
    assert 0 <= found.covered <= found.outcomes and found.fan["horizon"].max() == 365
    assert found.bend.lower < 0 < found.bend.upper, "planted without a bend"


def test_on_a_law_without_noise_the_line_forecasts_and_no_growth_does_not():
    found = record_forecasts(growing_frame(noise=0.0), draws=100)
    assert found.error == pytest.approx(1, abs=0.1) and found.carried_error > 2


def test_corollaries_stand_beside_the_published_values(frame):
    bent = breakpoint_test(
        frame["day"], frame["ln_density"], -100.0, frame["family"], strict=False, draws=100
    )
    table = corollary_table(2.481, 88.9, 0.5, bent, "2022-11-15")
    assert list(table["here"][:3]) == ["2.48 months", "88.9 days", "1.50"]
    assert table["here"][3] == "untested: 0 models before"
    tested = breakpoint_test(
        frame["day"], frame["ln_density"], 400.0, frame["family"], strict=False, draws=100
    )
    assert "p = " in corollary_table(2.481, 88.9, 0.5, tested, "2024-03-30")["here"][3]
