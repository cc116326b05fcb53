"""The 104 published runs of Gadre et al., read as their paper reads them."""

import difflib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from densing.checks import check_choice, check_columns, check_flag, check_range
from densing.errors import InputError
from densing.fitters.overtraining.results import OverTrainingResults
from densing.fitters.overtraining.subsets import SubsetFits
from densing.laws.capability.decay import exponential_decay
from densing.laws.loss.overtraining import overtraining

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
    InputError : a missing column, an unknown loss, or an unknown task (close names are given).
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
    needed = ["run", "train_dataset", "params", size, "tokens", "token_multiplier"]
    check_columns("table", table.columns, needed)
    check_choice("loss", loss, [column for column in table.columns if column.startswith("loss_")])
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


def planted_over_training(
    *,
    sizes: Sequence[float] = (1e7, 4e7, 1.6e8, 6.4e8),
    multipliers: Sequence[float] = (20, 80, 320, 640),
    noise: float = 0.005,
    seed: int = 0,
) -> pd.DataFrame:
    """Made-up runs that obey both laws, with parameters near the published ones, for trying out a fit.

    Parameters
    ----------
    sizes, multipliers : every pair is a run.
    noise : relative standard deviation of loss and of error.

    Returns
    -------
    Columns params, tokens, loss, error; the true parameters in ``attrs["loss"]`` and ``attrs["error"]``.
    """
    check_range("noise", noise, 0, 1, open_high=True)
    rng = np.random.default_rng([seed, 12])
    size, multiplier = (v.ravel() for v in np.meshgrid(sizes, multipliers, indexing="ij"))
    loss_law, error_law = dict(e=1.84, a=212.0, b=367.0, eta=0.1364), dict(epsilon=0.86, k=2.2, gamma=0.71)
    loss = overtraining(6 * size**2 * multiplier, multiplier, **loss_law)
    noisy = [
        y * (1 + noise * rng.standard_normal(size.size)) for y in (loss, exponential_decay(loss, **error_law))
    ]
    frame = pd.DataFrame({"params": size, "tokens": size * multiplier, "loss": noisy[0], "error": noisy[1]})
    frame.attrs.update(loss=loss_law, error=error_law)
    return frame


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
    them; loss_pct and error_pct, the absolute relative errors in per cent; loss_inside and error_inside, whether the
    target lies in the prediction interval; loss_reach and error_reach, its FLOPs over those of all runs of the fit.
    """
    fitted = {"loss": runs["role"] == "five", "error": runs["role"].isin(["five", "sixth"])}
    targets = targets_of(runs)
    found = fit.predict(targets["params"], targets["tokens"], level).set_index(targets.index)
    joined = targets.join(found.drop(columns=["params", "tokens", "multiplier", "flops"]), rsuffix="_hat")
    for name, rows in fitted.items():
        joined[f"{name}_pct"] = 100 * np.abs(joined[f"{name}_hat"] / joined[name] - 1)
        joined[f"{name}_inside"] = joined[name].between(
            joined[f"{name}_obs_lower"], joined[f"{name}_obs_upper"]
        )
        joined[f"{name}_reach"] = joined["flops"] / runs.loc[rows, "flops"].sum()
    return joined


def target_errors(runs: pd.DataFrame, fits: SubsetFits) -> np.ndarray:
    """Relative errors (m, 2) in per cent of the losses of the over-trained and of the large target, by many fits."""
    targets = targets_of(runs)
    return 100 * np.abs(fits.predict(targets["params"], targets["tokens"]) / targets["loss"].to_numpy() - 1)
