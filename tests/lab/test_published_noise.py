import numpy as np
import pandas as pd
import pytest

from densing.data import load_published
from densing.errors import InputError
from densing.fitters import fit_trend
from densing.lab import published_density, reporting_noise, uncertain_density


@pytest.fixture(scope="module")
def models() -> pd.DataFrame:
    return load_published("densing_models")


def reports(protocol: float, residual: float, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    offset = protocol * rng.normal(size=30)
    rows = []
    for model in range(60):
        level = rng.normal()
        for source in rng.choice(30, 5, replace=False):
            odds = level + offset[source] + residual * rng.normal()
            rows.append((f"m{model}", "math", 1 / (1 + np.exp(-odds)), f"s{source}"))
    return pd.DataFrame(rows, columns=["model", "benchmark", "score", "source_id"])


def test_protocol_and_residual_are_told_apart():
    noise = reporting_noise(reports(0.4, 0.1), ["math"])
    assert noise.protocol["math"].std() == pytest.approx(0.4, rel=0.35)
    assert noise.residual["math"].std() == pytest.approx(0.1, rel=0.1)
    alone = reporting_noise(reports(0.0, 0.3), ["math"])
    assert alone.protocol["math"].std() < 0.15 and alone.residual["math"].std() == pytest.approx(0.3, rel=0.1)


def test_noise_widens_the_interval_and_keeps_the_estimate(models):
    names = ("mmlu", "bbh", "math", "humaneval", "mbpp")
    noise = reporting_noise(
        pd.concat([reports(0.3, 0.15, seed=k).assign(benchmark=name, score=lambda f: 0.5 + f["score"] / 2)
                   for k, name in enumerate(names)])
    )  # fmt: skip
    frame, dates, values = uncertain_density(models, noise=noise, draws=400)
    pd.testing.assert_frame_equal(frame, published_density(models))
    assert dates.shape == values.shape == (400, 84) and np.isfinite(values).all()
    data = {"groups": frame["family"], "draws": 400, "permutations": 0}
    plain = fit_trend(frame["day"], frame["ln_density"], "ols", **data)
    noisy = fit_trend(frame["day"], frame["ln_density"], "ols", value_draws=values, **data)
    assert noisy.slope_per_day == plain.slope_per_day
    assert np.std(noisy.slope_draws) > 1.05 * np.std(plain.slope_draws)


def test_only_months_are_jittered_and_stay_in_their_month(models):
    frame, dates, values = uncertain_density(models, draws=300)
    month = (frame["date_precision"] == "month").to_numpy()
    assert (dates[:, ~month] == frame["day"].to_numpy()[~month]).all() and (
        values == frame["ln_density"].to_numpy()
    ).all()
    assert month.sum() >= 1
    moved = pd.Timestamp("2023-02-24") + pd.to_timedelta(dates[:, month].ravel(), unit="D")
    assert set(moved.to_period("M")) == set(frame["release_date"][month].dt.to_period("M"))
    assert len(np.unique(dates[:, month][:, 0])) > 25


def test_bad_input(models):
    with pytest.raises(InputError, match="source_id"):
        reporting_noise(pd.DataFrame({"model": [], "benchmark": [], "score": []}))
    with pytest.raises(InputError, match="math has too few"):
        reporting_noise(reports(0.1, 0.1).head(12), ["math"])
    with pytest.raises(InputError, match="noise: has nothing for mmlu"):
        uncertain_density(models, noise=reporting_noise(reports(0.1, 0.1), ["math"]))
