"""What the paper did not do: other runs, other laws, other objectives, with the same two large runs to predict."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from densing.checks import check_choice, check_range
from densing.fitters.overtraining.subsets import fit_subsets, identifying_subsets
from densing.fitters.scaling.estimator import ScalingLaw
from densing.lab.over_training.runs import small_runs, target_errors, targets_of

ERROR_LAWS = ("exponential decay", "logistic", "straight line", "isotonic", "constant")

_SQUARES = {"loss": "squared", "scale": "identity", "bootstrap": 0}
_BY_FLOPS = {"compute": "flops", "multiplier": "multiplier", "y": "loss"}
_IN_FLOPS = {"x": "flops", "y": "loss"}
_BY_SIZE = {"N": "params", "D": "tokens", "y": "loss"}


def other_loss_fits(runs: pd.DataFrame) -> pd.DataFrame:
    """Relative errors of the predicted loss of the two targets, for several laws and ways to fit them.

    Parameters
    ----------
    runs : of one training set, from `over_trained_runs`.

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
    rows = []
    for title, fitted_to, objective, law, rows_of, columns, options in plans:
        fit = ScalingLaw(law, rows_of.drop(columns="run"), columns=columns).fit(**options)
        percent = 100 * (fit.predict(targets) / targets["loss"].to_numpy() - 1)
        rows.append([title, fitted_to, objective, len(rows_of), *percent])
    return pd.DataFrame(rows, columns=["law", "fitted_to", "objective", "rows", "over_trained", "large"])


def error_law_fits(runs: pd.DataFrame, predicted_loss: Mapping[int, float] | pd.Series) -> pd.DataFrame:
    """How well laws of the error against the loss predict runs that they were not fitted to.

    All are fitted by least squares to the paper's six runs. "isotonic" is any rising step function, which says nothing
    about losses below the six; "constant" is their mean.

    Parameters
    ----------
    runs : of one training set, from `over_trained_runs`.
    predicted_loss : loss of the two targets (index as in `runs`), as the loss law predicts it.

    Returns
    -------
    One row a law of `ERROR_LAWS`: relative errors in per cent of the two targets at their predicted losses
    (over_trained, large; signed, nan where a law says nothing), and the mean absolute relative error in per cent
    (inside) over the other small runs whose loss lies within that of the six, at their observed losses, with their
    number (runs_inside).
    """
    targets, six = targets_of(runs), runs[runs["role"].isin(["five", "sixth"])]
    other = runs[(runs["role"] == "other") & runs["loss"].between(six["loss"].min(), six["loss"].max())]
    at = np.array([predicted_loss[i] for i in targets.index], dtype=float)
    rows = []
    for name in ERROR_LAWS:
        predict = error_law(name, six)
        big = 100 * (predict(at) / targets["error"].to_numpy() - 1)
        inside = 100 * np.abs(predict(other["loss"].to_numpy()) / other["error"].to_numpy() - 1).mean()
        rows.append([name, *big, inside, len(other)])
    return pd.DataFrame(rows, columns=["law", "over_trained", "large", "inside", "runs_inside"])


def error_law(name: str, runs: pd.DataFrame):
    """A law of `ERROR_LAWS` fitted to the columns loss and error of `runs`, as a function of losses (m,)."""
    check_choice("name", name, ERROR_LAWS)
    loss, error = runs["loss"].to_numpy(), runs["error"].to_numpy()
    if name == "constant":
        return lambda x: np.full(np.shape(x), error.mean())
    if name == "straight line":
        slope, level = np.polyfit(loss, error, 1)
        return lambda x: level + slope * np.asarray(x)
    if name == "isotonic":
        from sklearn.isotonic import IsotonicRegression

        return IsotonicRegression(out_of_bounds="nan").fit(loss, error).predict
    data = pd.DataFrame({"loss": loss, "error": error})
    if name == "logistic":
        # rises from 0 to a fitted level: three parameters, as the exponential decay has
        fit = ScalingLaw("sigmoid", data, columns={"x": "loss", "y": "error"}).fit(
            **_SQUARES, fixed={"lo": 0.0}
        )
        return lambda x: fit.predict({"x": x})
    fit = ScalingLaw("exponential_decay", data, columns={"L": "loss", "y": "error"}).fit(**_SQUARES)
    return lambda x: fit.predict({"L": x})


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
        subsets = np.random.default_rng([seed, 10]).permutation(subsets)[: max(1, int(share * count))]
    free = fit_subsets(*columns, subsets, bounded=False)
    bounded = fit_subsets(*columns, subsets, free=free)
    kind = np.unique(columns[0], return_inverse=True)[1]
    present = [(kind[subsets] == k).any(axis=1) for k in range(kind.max() + 1)]
    errors = [target_errors(runs, fits).max(axis=1) for fits in (bounded, free)]
    return SubsetStudy(count, *errors, np.all(present, axis=0))
