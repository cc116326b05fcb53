"""Finished tables of over-training: formatted numbers under names that a reader knows."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from densing.fitters.bootstrap import Estimate
from densing.fitters.overtraining.results import OverTrainingResults
from densing.lab.over_training.error_laws import error_law_fits
from densing.lab.over_training.rivals import planted_subset_errors, robust_fit


def target_forecast_table(forecasts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Observed and predicted loss and error of the large runs.

    Parameters
    ----------
    forecasts : name of a training set to what `forecast_targets` found.
    """
    rows = []
    for title, found in forecasts.items():
        for row in found.itertuples():
            cells = [f"{title}, {row.params / 1e9:.1f}B, M = {row.planned_multiplier:g}"]
            for y in ("loss", "error"):
                ends = ("", "_hat", "_obs_lower", "_obs_upper", "_pct")
                seen, value, low, high, off = (getattr(row, y + end) for end in ends)
                cells += [f"{seen:.3f}", f"{value:.3f} ({low:.2f} to {high:.2f})", f"{off:.2f} %"]
            rows.append(cells)
    names = [f"{y}, {kind}" for y in ("loss", "error") for kind in ("observed", "predicted", "off by")]
    return pd.DataFrame(rows, columns=["large run", *names])


def error_law_table(runs: Mapping[str, pd.DataFrame], forecasts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Relative errors in per cent of laws of the error: on the large runs (the larger of two) and on other small runs.

    Parameters
    ----------
    runs : name of a training set to its runs.
    forecasts : the same name to what `forecast_targets` found.
    """
    fits = {
        title: error_law_fits(part, forecasts[title]["loss_hat"]).set_index("law")
        for title, part in runs.items()
    }
    columns = {}
    for title, fit in fits.items():
        columns[f"{title}, large"] = fit[["over_trained", "large"]].abs().max(axis=1, skipna=False)
    columns |= {f"{title}, small": fit["inside"] for title, fit in fits.items()}
    return pd.DataFrame(columns).map(lambda v: "" if np.isnan(v) else f"{v:.1f}").reset_index()


def loss_fit_table(
    fits: Mapping[str, pd.DataFrame], fits_without_embeddings: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Signed relative errors in per cent, over-trained / large run, of every way to fit the loss.

    Parameters
    ----------
    fits, fits_without_embeddings : name of a training set to what `other_loss_fits` found.
    """
    shown = {}
    for title, fit in fits.items():
        without = fits_without_embeddings[title]
        both = pd.concat([fit, without.assign(law=without["law"] + ", no embeddings")])
        shown |= {name.replace("_", " "): both[name].to_numpy() for name in ("law", "fitted_to", "objective")}
        errors = both[["over_trained", "large"]].map("{:+.1f}".format)
        shown[title] = errors.agg(" / ".join, axis=1).to_numpy()
    return pd.DataFrame(shown)


def residual_table(runs: pd.DataFrame) -> pd.DataFrame:
    """How far the loss of each small run of one training set lies above the robust fit, in per cent."""
    small, residuals, _ = robust_fit(runs)
    small = small.assign(
        residual=100 * np.expm1(residuals), size=(small["params"] / 1e6).map("{:.0f}M".format)
    )
    grid = small.pivot(index=["params", "size"], columns="planned_multiplier", values="residual").droplevel(0)
    grid.columns = [f"M = {m:g}" for m in grid.columns]
    return grid.map(lambda v: "" if np.isnan(v) else f"{v:+.1f}").rename_axis("parameters").reset_index()


def planted_subsets_table(runs: Mapping[str, pd.DataFrame], subsets: int, seed: int = 0) -> pd.DataFrame:
    """Median errors of subsets of five beside those of made-up runs that obey the law, with and without M below 20."""
    rows = []
    for title, part in runs.items():
        for least, label in ((0, "5 to 640"), (20, "20 to 640")):
            found = planted_subset_errors(part, least_multiplier=least, subsets=subsets, seed=seed)
            rows.append(
                [title, label, *(f"{found[name]:.1f}" for name in ("scatter", "observed", "planted"))]
            )
    return pd.DataFrame(
        rows, columns=["training set", "M", "scatter (%)", "median error (%)", "if the law were true (%)"]
    )


def overtraining_prediction_table(fit: OverTrainingResults, params: float, tokens: float) -> pd.DataFrame:
    """The best multiplier, and loss and error of one model that was not trained, with 95 % intervals."""
    best = fit.optimal_multiplier()
    rows = [["best multiplier", f"{best.value:.1f}", f"{best.lower:.1f} to {best.upper:.1f}", ""]]
    found = fit.predict(params, tokens).iloc[0]
    for name in ("loss", "error") if fit.error is not None else ("loss",):
        curve, run = ([found[f"{name}_{kind}_{end}"] for end in ("lower", "upper")] for kind in ("ci", "obs"))
        ends = ["{:.3f} to {:.3f}".format(*pair) for pair in (curve, run)]
        rows.append([f"{name} at {params:.3g} parameters, {tokens:.3g} tokens", f"{found[name]:.3f}", *ends])
    return pd.DataFrame(rows, columns=["quantity", "estimate", "95 % interval", "95 % for a new run"])


def overtraining_price_table(prices: pd.DataFrame) -> pd.DataFrame:
    """What `OverTrainingResults.overtraining_cost` found, with resamples."""
    ends = prices[["break_even_tokens", "break_even_tokens_lower", "break_even_tokens_upper"]].to_numpy()
    return pd.DataFrame(
        {
            "parameters": prices["params"].map("{:.3g}".format),
            "tokens for equal loss": prices["tokens"].map("{:.3g}".format),
            "extra training FLOPs": prices["extra_flops"].map("{:.3g}".format),
            "paid back after tokens": [f"{v:.2g} ({low:.2g} to {high:.2g})" for v, low, high in ends],
        }
    )


def members_table(members: pd.DataFrame, laws: pd.DataFrame) -> pd.DataFrame:
    """Observed and predicted losses of the book's own members, with the relative errors of every law of the error.

    Parameters
    ----------
    members : from `forecast_members`. laws : from `member_error_laws`.
    """
    table = {
        "member": laws.columns,
        "M": members["multiplier"].map("{:.0f}".format).to_numpy(),
        "loss": members["loss"].map("{:.3f}".format).to_numpy(),
        "predicted": [
            f"{m.loss_hat:.3f} ({m.loss_lower:.3f} to {m.loss_upper:.3f})" for m in members.itertuples()
        ],
        "off by, %": members["loss_pct"].map("{:.2f}".format).to_numpy(),
    }
    for law, errors in laws.iterrows():
        table[f"error, {law}"] = ["" if np.isnan(value) else f"{value:+.1f}" for value in errors]
    return pd.DataFrame(table)


def interaction_text(t: Estimate) -> str:
    """What the test of parallel lines found on the published runs, M = 20 to 640, as sentences.

    Parameters
    ----------
    t : change of the slope for each e-fold of M.
    """
    most = max(-t.lower, t.upper) * np.log(640 / 20)
    return (
        f"The slope changes by {t.value:+.4f} for each e-fold of M (95 % interval {t.lower:+.4f} to {t.upper:+.4f}): "
        f"from M = 20 to 640, three and a half e-folds, by at most {most:.3f} of about 0.12. On these runs the lines "
        "are parallel. The slope itself is much less certain than the *difference* of slopes, since it depends on E."
    )
