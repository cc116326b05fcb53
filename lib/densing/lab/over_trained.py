"""The 104 published runs of Gadre et al., read as their paper reads them, and fits to compare its laws with."""

import difflib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from densing.checks import check_choice, check_columns, check_flag
from densing.errors import InputError
from densing.fitters.overtraining.subsets import SubsetFits, fit_subsets
from densing.fitters.scaling.estimator import ScalingLaw

#: The tasks whose mean error the paper predicts: those that some model beats chance on by ten points.
TASKS_17 = (
    "arc_easy", "bigbench_cs_algorithms", "bigbench_dyck_languages", "bigbench_novel_concepts", "bigbench_operators",
    "bigbench_qa_wikidata", "boolq", "commonsense_qa", "copa", "coqa", "hellaswag", "hellaswag_zeroshot",
    "lambada_openai", "piqa", "pubmed_qa_labeled", "squad", "winograd",
)  # fmt: skip
#: What the paper uses a run for.
ROLES = ("five", "sixth", "target", "other")
ERROR_LAWS = ("exponential decay", "logistic", "straight line", "isotonic", "constant")

_SMALL = 1e9  # parameters
_SQUARES = {"loss": "squared", "scale": "identity", "bootstrap": 0}
_BY_FLOPS = {"compute": "flops", "multiplier": "multiplier", "y": "loss"}
_BY_SIZE = {"N": "params", "D": "tokens", "y": "loss"}


def over_trained_runs(
    table: pd.DataFrame,
    *,
    loss: str = "loss_c4_val_nats",
    tasks: Sequence[str] = TASKS_17,
    exclude_embeddings: bool = False,
) -> pd.DataFrame:
    """The runs of the published table with what the laws need.

    Parameters
    ----------
    table : the published table ``gadre_runs``.
    loss : one of its columns of losses, nats per token.
    tasks : its tasks (columns without ``acc_``) whose mean error is taken.
    exclude_embeddings : count sizes without embeddings; compute and multiplier follow.

    Returns
    -------
    One row a run, sorted by training set, size and tokens: run, training_set, params, tokens, multiplier,
    planned_multiplier (as the paper counts it), flops, loss, error, and role: "five" (fitted by the loss law), "sixth"
    (fitted by the error law only), "target" (the two large runs that the paper predicts), "other".

    Raises
    ------
    InputError : a missing column, or an unknown task (close names are given).
    """
    check_flag("exclude_embeddings", exclude_embeddings)
    known = [c.removeprefix("acc_") for c in table.columns if c.startswith("acc_")]
    for task in tasks:
        if task not in known:
            near = difflib.get_close_matches(str(task), known, n=3) or known
            raise InputError(
                f"tasks: {task!r} must be one of the {len(known)} tasks; close: {', '.join(near)}"
            )
    if not tasks:
        raise InputError("tasks: must name at least one task")
    size = "params_non_embedding" if exclude_embeddings else "params"
    check_columns(
        "table", table.columns, ["run", "train_dataset", "params", size, "tokens", "token_multiplier", loss]
    )
    runs = pd.DataFrame(
        {
            "run": table["run"],
            "training_set": table["train_dataset"],
            "params": table[size].astype(float),
            "tokens": table["tokens"].astype(float),
            "multiplier": table["tokens"] / table[size],
            "planned_multiplier": table["token_multiplier"],
            "flops": 6.0 * table[size] * table["tokens"],
            "loss": table[loss],
            "error": 1 - table[[f"acc_{task}" for task in tasks]].mean(axis=1),
            "role": _roles(table),
        }
    )
    return runs.sort_values(["training_set", "params", "tokens"], ignore_index=True)


def _roles(table: pd.DataFrame) -> np.ndarray:
    small, at_20 = table["params"] < _SMALL, table["token_multiplier"] == 20
    smallest = table["params"] == table["params"].min()
    five = (small & at_20) | (smallest & (table["token_multiplier"] == 320))
    sixth = ~small & at_20 & (table["params"] < table["params"].max())
    return np.select([five, sixth, ~small], ["five", "sixth", "target"], "other")


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
    targets = _targets(runs)
    small = runs[runs["role"].isin(["five", "other"])]
    five, at_20 = runs[runs["role"] == "five"], small[small["planned_multiplier"] == 20]
    robust = {"bootstrap": 0}  # the fitter's default: Huber loss on logarithms
    plans = [
        ("over-training", "the published five", "squares", "overtraining", five, _BY_FLOPS, _SQUARES),
        (
            "power law in C",
            "the four at M = 20",
            "squares",
            "power_constant",
            at_20,
            {"x": "flops", "y": "loss"},
            _SQUARES,
        ),
        ("over-training", "all small runs", "squares", "overtraining", small, _BY_FLOPS, _SQUARES),
        ("over-training", "all small runs", "Huber, logarithms", "overtraining", small, _BY_FLOPS, robust),
        ("Chinchilla, free exponents", "all small runs", "squares", "chinchilla", small, _BY_SIZE, _SQUARES),
        (
            "Chinchilla, free exponents",
            "all small runs",
            "Huber, logarithms",
            "chinchilla",
            small,
            _BY_SIZE,
            robust,
        ),
    ]
    rows = []
    for title, fitted_to, objective, law, rows_of, columns, options in plans:
        fit = ScalingLaw(law, rows_of.drop(columns="run"), columns=columns).fit(**options)
        percent = 100 * (fit.predict(targets) / targets["loss"].to_numpy() - 1)
        rows.append([title, fitted_to, objective, len(rows_of), *percent])
    return pd.DataFrame(rows, columns=["law", "fitted_to", "objective", "rows", "over_trained", "large"])


def _targets(runs: pd.DataFrame) -> pd.DataFrame:
    """The over-trained target, then the large one."""
    found = runs[runs["role"] == "target"].sort_values("params")
    if len(found) != 2:
        raise InputError(f"runs: must be of one training set with two targets, has {len(found)}")
    return found


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
    targets, six = _targets(runs), runs[runs["role"].isin(["five", "sixth"])]
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
    small = runs[runs["role"].isin(["five", "other"])].reset_index(drop=True)
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


def target_errors(runs: pd.DataFrame, fits: SubsetFits) -> np.ndarray:
    """Relative errors (m, 2) in per cent of the losses of the over-trained and of the large target, by many fits."""
    targets = _targets(runs)
    return 100 * np.abs(fits.predict(targets["params"], targets["tokens"]) / targets["loss"].to_numpy() - 1)
