"""The 104 published runs of Gadre et al., read as their paper reads them."""

import difflib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from densing.checks import check_columns, check_flag
from densing.errors import InputError
from densing.fitters.overtraining.results import OverTrainingResults
from densing.fitters.overtraining.subsets import SubsetFits

#: The tasks whose mean error the paper predicts: those that some model beats chance on by ten points.
TASKS_17 = (
    "arc_easy", "bigbench_cs_algorithms", "bigbench_dyck_languages", "bigbench_novel_concepts", "bigbench_operators",
    "bigbench_qa_wikidata", "boolq", "commonsense_qa", "copa", "coqa", "hellaswag", "hellaswag_zeroshot",
    "lambada_openai", "piqa", "pubmed_qa_labeled", "squad", "winograd",
)  # fmt: skip
#: What the paper uses a run for.
ROLES = ("five", "sixth", "target", "other")
_SMALL = 1e9  # parameters


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


def targets_of(runs: pd.DataFrame) -> pd.DataFrame:
    """The over-trained target, then the large one, of one training set.

    Raises
    ------
    InputError : runs of several training sets, or without their targets.
    """
    found = runs[runs["role"] == "target"].sort_values("params")
    if len(found) != 2:
        raise InputError(f"runs: must be of one training set with two targets, has {len(found)}")
    return found


def small_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that a loss law may be fitted to: all sizes up to 412 million parameters."""
    return runs[runs["role"].isin(["five", "other"])].reset_index(drop=True)


def forecast_targets(runs: pd.DataFrame, fit: OverTrainingResults, level: float = 0.95) -> pd.DataFrame:
    """The two targets beside what a fit predicts for them.

    Parameters
    ----------
    runs : of one training set, from `over_trained_runs`.
    fit : both laws, fitted with resamples.

    Returns
    -------
    The rows of the targets with loss_hat, error_hat, the ends of their intervals as `OverTrainingResults.predict` names
    them, and loss_pct and error_pct, the absolute relative errors in per cent.
    """
    targets = targets_of(runs)
    found = fit.predict(targets["params"], targets["tokens"], level).set_index(targets.index)
    joined = targets.join(found.drop(columns=["params", "tokens", "multiplier", "flops"]), rsuffix="_hat")
    for name in ("loss", "error"):
        joined[f"{name}_pct"] = 100 * np.abs(joined[f"{name}_hat"] / joined[name] - 1)
    return joined


def target_errors(runs: pd.DataFrame, fits: SubsetFits) -> np.ndarray:
    """Relative errors (m, 2) in per cent of the losses of the over-trained and of the large target, by many fits."""
    targets = targets_of(runs)
    return 100 * np.abs(fits.predict(targets["params"], targets["tokens"]) / targets["loss"].to_numpy() - 1)
