"""What the paper did not do: other runs, other laws, other objectives, with the same two large runs to predict."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from densing.checks import check_range
from densing.fitters.overtraining.published import published_loss_fit
from densing.fitters.overtraining.subsets import fit_subsets, identifying_subsets
from densing.fitters.scaling.estimator import ScalingLaw
from densing.fitters.scaling.results import ScalingLawResults
from densing.lab.over_training.error_laws import error_law_fits
from densing.lab.over_training.runs import small_runs, target_errors, targets_of
from densing.laws.loss.overtraining import overtraining

_PARTS = ("errors", "free_errors", "all_sizes")
_SQUARES = {"loss": "squared", "scale": "identity", "bootstrap": 0}
_BY_FLOPS = {"compute": "flops", "multiplier": "multiplier", "y": "loss"}
_IN_FLOPS = {"x": "flops", "y": "loss"}
_BY_SIZE = {"N": "params", "D": "tokens", "y": "loss"}


def other_loss_fits(runs: pd.DataFrame, only: str | None = None) -> pd.DataFrame:
    """Relative errors of the predicted loss of the two targets, for several laws and ways to fit them.

    Parameters
    ----------
    runs : of one training set, from `over_trained_runs`.
    only : title of a law, such as "over-training", to leave out the others.

    Returns
    -------
    One row a fit: law, fitted_to, objective, rows, and the relative errors in per cent of the over-trained and of the
    large target (over_trained, large), signed: positive where the prediction is too high.
    """
    targets = targets_of(runs)
    small = small_runs(runs)
    five, at_20 = runs[runs["role"] == "five"], small[small["planned_multiplier"] == 20]
    robust = {"bootstrap": 0}  # the fitter's default: Huber loss on logarithms
    ours, free, squares, huber = "over-training", "Chinchilla, free exponents", "squares", "Huber, logarithms"
    plans = [
        (ours, "the published five", squares, "overtraining", five, _BY_FLOPS, _SQUARES),
        ("power law in C", "the four at M = 20", squares, "power_constant", at_20, _IN_FLOPS, _SQUARES),
        (ours, "all small runs", squares, "overtraining", small, _BY_FLOPS, _SQUARES),
        (ours, "all small runs", huber, "overtraining", small, _BY_FLOPS, robust),
        (free, "all small runs", squares, "chinchilla", small, _BY_SIZE, _SQUARES),
        (free, "all small runs", huber, "chinchilla", small, _BY_SIZE, robust),
    ]
    plans = [plan for plan in plans if only in (None, plan[0])]
    rows = []
    for title, fitted_to, objective, law, rows_of, columns, options in plans:
        fit = ScalingLaw(law, rows_of.drop(columns="run"), columns=columns).fit(**options)
        percent = 100 * (fit.predict(targets) / targets["loss"].to_numpy() - 1)
        rows.append([title, fitted_to, objective, len(rows_of), *percent])
    return pd.DataFrame(rows, columns=["law", "fitted_to", "objective", "rows", "over_trained", "large"])


def neighbouring_designs(runs: pd.DataFrame) -> pd.DataFrame:
    """The published design at every other multiplier: all four small sizes at one M, and the smallest at another.

    Returns
    -------
    One row a pair of multipliers for which the table has all five runs: main, extra, and error, the larger of the
    relative errors in per cent of the two targets' losses.
    """
    small = small_runs(runs)
    smallest, sizes = small["params"].min(), small["params"].nunique()
    at = small.groupby("planned_multiplier").groups
    fifth = {level: rows[small["params"].loc[rows] == smallest] for level, rows in at.items()}
    designs = {
        (main, extra): [*rows, *fifth[extra]]
        for main, rows in at.items()
        for extra in at
        if extra != main and len(rows) == sizes and len(fifth[extra])
    }
    fits = fit_subsets(small["params"], small["tokens"], small["loss"], np.array(list(designs.values())))
    frame = pd.DataFrame(list(designs), columns=["main", "extra"])
    return frame.assign(error=target_errors(runs, fits).max(axis=1))


@dataclass(frozen=True, eq=False)
class SubsetStudy:
    """The loss law fitted to the subsets of five small runs of one training set; from `subset_study`.

    Attributes
    ----------
    count : subsets that identify the law, fitted or not.
    errors : (m,) larger relative error of the two targets' losses in per cent, amplitudes at or above zero.
    free_errors : (m,) the same without bounds.
    all_sizes : (m,) whether the subset holds every size.
    """

    count: int
    errors: np.ndarray
    free_errors: np.ndarray
    all_sizes: np.ndarray


def subset_study(runs: pd.DataFrame, share: float = 1.0, seed: int = 0) -> SubsetStudy:
    """Fit the loss law to every subset of five small runs that identifies it, and predict the two targets.

    Parameters
    ----------
    runs : of one training set, from `over_trained_runs`.
    share : random share of the subsets that is fitted, in (0, 1].
    seed : of that choice.
    """
    check_range("share", share, 0, 1, open_low=True)
    small = small_runs(runs)
    columns = [small[name].to_numpy() for name in ("params", "tokens", "loss")]
    subsets = identifying_subsets(*columns[:2])
    count = len(subsets)
    if share < 1:
        drawn = np.random.default_rng([seed, 10]).permutation(count)[: max(1, int(share * count))]
        subsets = subsets[drawn]
    free = fit_subsets(*columns, subsets, bounded=False)
    bounded = fit_subsets(*columns, subsets, free=free)
    kind = np.unique(columns[0], return_inverse=True)[1]
    present = [(kind[subsets] == k).any(axis=1) for k in range(kind.max() + 1)]
    errors = [target_errors(runs, fits).max(axis=1) for fits in (bounded, free)]
    return SubsetStudy(count, *errors, np.all(present, axis=0))


def forecast_summary(runs: pd.DataFrame, forecast: pd.DataFrame) -> dict[str, dict[str, float]]:
    """The errors of a forecast of the two targets, and what they are to be held against.

    Parameters
    ----------
    runs : of one training set, from `over_trained_runs`.
    forecast : what `forecast_targets` found.

    Returns
    -------
    Under "loss" and "error": the relative errors in per cent and the compute ratios of the over-trained and of the
    large target, and how many of the two lie in their prediction interval; with the loss the same errors by the
    published optimiser, with the error the least larger error of the alternatives that say anything beyond the six.
    """
    found = {}
    for name in ("loss", "error"):
        found[name] = {"targets_in_prediction_interval": int(forecast[f"{name}_inside"].sum())}
        for target, row in zip(("overtrained", "large"), forecast.to_dict("records"), strict=True):
            found[name][f"{target}_error_pct"] = row[f"{name}_pct"]
            found[name][f"{target}_compute_ratio"] = row[f"{name}_reach"]
    five = runs[runs["role"] == "five"]
    theirs = published_loss_fit(five["params"], five["tokens"], five["loss"])
    ratio = overtraining(forecast["flops"], forecast["multiplier"], **theirs) / forecast["loss"].to_numpy()
    for target, value in zip(("overtrained", "large"), 100 * np.abs(ratio - 1), strict=True):
        found["loss"][f"{target}_error_pct_published_optimizer"] = value
    laws = (
        error_law_fits(runs, forecast["loss_hat"])
        .set_index("law")
        .drop(index=["exponential decay", "isotonic"])
    )
    found["error"]["best_alternative_error_pct"] = laws[["over_trained", "large"]].abs().max(axis=1).min()
    return found


def subset_summary(studies: Mapping[str, SubsetStudy]) -> dict[str, float]:
    """Medians and shares of the forecast errors of `subset_study`, for each training set and for all subsets together.

    Returns
    -------
    median_error_pct and share_within_5 (the share of errors of at most 5 %) of all and, followed by ``_<name>``, of
    each set; subsets, the number fitted; median_error_pct_four_sizes and median_error_pct_unbounded.
    """
    every = {part: np.concatenate([getattr(s, part) for s in studies.values()]) for part in _PARTS}
    found = {
        "subsets": len(every["errors"]),
        "median_error_pct_four_sizes": np.median(every["errors"][every["all_sizes"]]),
        "median_error_pct_unbounded": np.median(every["free_errors"]),
    }
    groups = {"": every["errors"]} | {f"_{name}": study.errors for name, study in studies.items()}
    for ending, errors in groups.items():
        found[f"median_error_pct{ending}"] = np.median(errors)
        found[f"share_within_5{ending}"] = np.mean(errors <= 5)
    return found


def robust_summary(
    studies: Mapping[str, SubsetStudy],
    forecasts: Mapping[str, pd.DataFrame],
    fits: Mapping[str, pd.DataFrame],
    names: Mapping[str, str],
) -> dict[str, float]:
    """What the claim that the forecast is robust needs.

    Parameters
    ----------
    studies, forecasts, fits : title of a training set to its `subset_study`, `forecast_targets`, `other_loss_fits`.
    names : name of a training set to its title.
    """
    found = subset_summary({name: studies[title] for name, title in names.items()})
    for name, title in names.items():
        if title != "RedPajama":  # whose published five are claims of their own
            found[f"published_five_error_pct_{name}"] = forecasts[title]["loss_pct"].max()
        free = fits[title].query("law == 'Chinchilla, free exponents' and objective == 'squares'")
        found[f"chinchilla_error_pct_{name}"] = free[["over_trained", "large"]].abs().to_numpy().max()
    return found


def robust_fit(
    runs: pd.DataFrame, least_multiplier: float = 0
) -> tuple[pd.DataFrame, np.ndarray, ScalingLawResults]:
    """The small runs, their residuals ln L, and the law fitted to them by Huber's loss on logarithms."""
    small = small_runs(runs)
    small = small[small["planned_multiplier"] >= least_multiplier].reset_index(drop=True)
    fit = ScalingLaw("overtraining", small.drop(columns="run"), columns=_BY_FLOPS).fit(bootstrap=0)
    return small, np.log(small["loss"].to_numpy() / fit.predict(small)), fit


def planted_subset_errors(
    runs: pd.DataFrame, *, least_multiplier: float = 0, subsets: int = 5_000, repeats: int = 4, seed: int = 0
) -> dict[str, float]:
    """How well subsets of five would predict if the law were exactly true, and the runs scattered around it as they do.

    The law is fitted to all small runs robustly, the scatter taken from the median absolute residual; then runs are
    made up from the fitted law with normal errors of that size, and subsets of them predict what the fitted law says of
    the two targets.

    Parameters
    ----------
    runs : of one training set, from `over_trained_runs`.
    least_multiplier : small runs below are left out of everything.
    subsets : at most so many, chosen at random.
    repeats : made-up tables.

    Returns
    -------
    In per cent: scatter; observed, the median error of the real subsets; planted, that of the made-up ones.
    """
    check_range("subsets", subsets, 1, integer=True)
    check_range("repeats", repeats, 1, integer=True)
    small, residuals, fit = robust_fit(runs, least_multiplier)
    targets, rng = targets_of(runs), np.random.default_rng([seed, 11])
    expected, ahead = fit.predict(small), fit.predict(targets)
    scatter = 1.4826 * np.median(np.abs(residuals - np.median(residuals)))
    columns = [small[name].to_numpy() for name in ("params", "tokens")]
    every = identifying_subsets(*columns)
    chosen = every[rng.permutation(len(every))[:subsets]]
    observed = target_errors(runs, fit_subsets(*columns, small["loss"], chosen)).max(axis=1)
    planted = []
    for _ in range(repeats):
        made_up = expected * np.exp(scatter * rng.standard_normal(len(expected)))
        predicted = fit_subsets(*columns, made_up, chosen).predict(targets["params"], targets["tokens"])
        planted.append(100 * np.abs(predicted / ahead - 1).max(axis=1))
    return {"scatter": 100 * scatter, "observed": np.median(observed), "planted": np.median(planted)}
