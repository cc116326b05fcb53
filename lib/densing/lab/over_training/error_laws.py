"""Laws of the error against the loss, and how far each carries beyond the runs it was fitted to."""

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd

from densing.checks import check_choice
from densing.fitters.scaling.estimator import ScalingLaw
from densing.lab.over_training.runs import targets_of

ERROR_LAWS = ("exponential decay", "logistic", "straight line", "isotonic", "constant")

_SQUARES = {"loss": "squared", "scale": "identity", "bootstrap": 0}


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
        law = ScalingLaw("sigmoid", data, columns={"x": "loss", "y": "error"})
        with warnings.catch_warnings():
            # over a narrow range of losses most starts end on a straight line
            warnings.filterwarnings("ignore", message="sigmoid: only .* starts")
            fit = law.fit(**_SQUARES, fixed={"lo": 0.0})
        return lambda x: fit.predict({"x": x})
    fit = ScalingLaw("exponential_decay", data, columns={"L": "loss", "y": "error"}).fit(**_SQUARES)
    return lambda x: fit.predict({"L": x})
