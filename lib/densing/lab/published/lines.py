"""All lines through one table of densities, and how much they owe to its doubtful parts."""

from collections.abc import Mapping, Sequence

import pandas as pd

from densing.checks import check_choices
from densing.fitters.bootstrap import Estimate
from densing.fitters.trends.fit import TrendResults, fit_trend
from densing.fitters.trends.records import record_frontier
from densing.lab.published.curves import CORE5
from densing.lab.published.noise import reporting_noise, uncertain_density
from densing.lab.published.specifications import ESTIMATORS, table_versions

_LABELS = {
    "frontier": "records",
    "ols": "all, least squares",
    "median": "all, median",
    "quantile 0.9": "all, 0.9 quantile",
}


def fit_lines(
    frame: pd.DataFrame,
    quantile: float = 0.9,
    *,
    permutations: int = 10_000,
    draws: int = 2000,
    seed: int = 0,
) -> dict[str, TrendResults]:
    """The trend of ln density by every estimator.

    Parameters
    ----------
    frame : as `published_density` returns it.
    quantile : of the upper line through all models.

    Returns
    -------
    "records", "records, best of a day", "all, least squares", "all, median", "all, <quantile> quantile" and "isotonic
    frontier" (the last without permutations), each a `TrendResults`.
    """
    lines = {
        "records": {"method": "frontier"},
        "records, best of a day": {"method": "frontier", "same_day": "best"},
        "all, least squares": {"method": "ols"},
        "all, median": {"method": "quantile", "q": 0.5},
        f"all, {quantile:g} quantile": {"method": "quantile", "q": quantile},
        "isotonic frontier": {"method": "isotonic"},
    }
    data = {
        "date": frame["day"],
        "value": frame["ln_density"],
        "groups": frame["family"],
        "draws": draws,
        "seed": seed,
    }
    return {
        line: fit_trend(**data, permutations=0 if line.startswith("isotonic") else permutations, **arguments)
        for line, arguments in lines.items()
    }


def exchange_table(densities: Mapping[str, pd.DataFrame], growth: Mapping[str, Estimate]) -> pd.DataFrame:
    """Exchange rates by benchmark and reference, and the pace of each benchmark, formatted for a page.

    Parameters
    ----------
    densities : reference to what `published_density` returned for it.
    growth : what `joint_growth` returned.
    """
    rates = pd.DataFrame({name: frame.attrs["curves"].slope for name, frame in densities.items()})
    months = pd.Series(
        {name: f"{estimate:.1f}" for name, estimate in growth.items()}, name="months for half the size"
    )
    return rates.map("{:.2f}".format).join(months).rename_axis("benchmark").reset_index()


def doubling_table(trends: Mapping[str, Mapping[str, TrendResults]]) -> pd.DataFrame:
    """Doubling times with intervals, one row a line and one column a reference, formatted for a page.

    Parameters
    ----------
    trends : reference to what `fit_lines` returned for it.
    """
    lines = list(next(iter(trends.values())))
    columns = {name: [f"{fitted[line].doubling:.1f}" for line in lines] for name, fitted in trends.items()}
    return pd.DataFrame({"line through": lines} | columns)


def record_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Models that were the densest so far (the best of their day), formatted for a page.

    Parameters
    ----------
    frame : as `published_density` returns it.
    """
    best = frame[record_frontier(frame["day"], frame["ln_density"])]
    columns = {
        "model": best["model"],
        "released": best["release_date"].dt.strftime("%Y-%m-%d"),
        "N (10⁹)": (best["parameters"] / 1e9).map("{:.3g}".format),
        "density": best["density"].map("{:.3g}".format),
    }
    if "density_low" in best:
        ends = best[["density_low", "density_high"]].to_numpy()
        columns["without one benchmark"] = [f"{low:.3g} to {high:.3g}" for low, high in ends]
    return pd.DataFrame(columns)


def doubling_by_version(
    models: pd.DataFrame,
    reports: pd.DataFrame,
    reference: str = "LLaMA",
    estimators: Sequence[str] = ("frontier", "ols"),
    *,
    draws: int = 2000,
    seed: int = 0,
    **setting: object,
) -> dict[str, dict[str, Estimate]]:
    """Doubling times as published, with noise of scores and dates, and from every version of `table_versions`.

    Parameters
    ----------
    models : the table ``densing_models``.
    reports : the table ``densing_scores_long``: one row a report of a score.
    estimators : names in `ESTIMATORS`.
    setting : as `published_density`.

    Returns
    -------
    Version to {line: doubling time in months}.
    """
    check_choices("estimators", estimators, ESTIMATORS)
    versions = table_versions(models, reference, **setting)
    noise = reporting_noise(reports, setting.get("benchmarks", CORE5), chance=setting.get("chance"))
    noisy, dates, values = uncertain_density(
        models, reference=reference, noise=noise, draws=draws, seed=seed, **setting
    )

    def doubling(frame: pd.DataFrame, **drawn: object) -> Mapping[str, Estimate]:
        data = {
            "date": frame["day"],
            "value": frame["ln_density"],
            "groups": frame["family"],
            "draws": draws,
            "seed": seed,
        }
        return {
            _LABELS[name]: fit_trend(**data, **ESTIMATORS[name], **drawn, permutations=0).doubling
            for name in estimators
        }

    first = {"as published": doubling(versions.pop("as published"))}
    noisy_row = {"noisy scores and dates": doubling(noisy, date_draws=dates, value_draws=values)}
    return first | noisy_row | {name: doubling(frame) for name, frame in versions.items()}
