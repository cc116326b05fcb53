"""The law of over-training on the book's own family: extrapolation, and whether its lines are parallel."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from densing.checks import check_columns
from densing.errors import InputError
from densing.fitters.overtraining.estimator import OverTraining
from densing.fitters.overtraining.interaction import MultiplierInteraction, multiplier_interaction
from densing.fitters.overtraining.results import OverTrainingResults
from densing.lab.over_training.error_laws import ERROR_LAWS, error_law

LOSS = "bits_per_byte_val_b"
LARGEST_FITTED = 250_000  # parameters: the four smallest sizes
LARGEST_MULTIPLIER = 80
LEAST_MULTIPLIER = 2  # of the test of parallel lines, as registered
LEAST_SKILL = 0.05  # accuracy above chance that makes a family of choices a task
CHANCE = 0.25
#: Size and tokens of the members that are predicted.
PREDICTED = (
    ("d0.01M", 4_000_000), ("d0.01M", 8_000_000), ("d0.4M", 8_000_000), ("d0.9M", 8_000_000)
)  # fmt: skip


def member_tasks(family: pd.DataFrame) -> list[str]:
    """Choice families whose accuracy at the largest fitted size and budget beats chance by five points.

    Means over seeds decide; the members that are predicted play no part in the choice.

    Parameters
    ----------
    family : rows of the reference family, with ``<task>_score`` and ``<task>_accuracy_byte`` of its choice families.
    """
    fitted = family[fitted_members(family)]
    largest = fitted[fitted["n_parameters"] == fitted["n_parameters"].max()]
    largest = largest[largest["tokens"] == largest["tokens"].max()]
    names = [name.removesuffix("_accuracy_byte") for name in family if name.endswith("_accuracy_byte")]
    return [name for name in names if largest[f"{name}_score"].mean() >= CHANCE + LEAST_SKILL]


def fit_members(
    family: pd.DataFrame,
    tasks: Sequence[str] = (),
    *,
    loss: str = LOSS,
    bootstrap: int = 1_000,
    seed: int = 0,
) -> OverTrainingResults:
    """The laws fitted to the four smallest sizes at up to 80 tokens per parameter.

    Parameters
    ----------
    family : rows of the reference family (`load_reference_runs`).
    tasks : families of choices whose mean error is fitted to the loss as well.
    loss : column, bits per byte.
    bootstrap : resamples of whole runs, at least 50. seed : of them.
    """
    runs = _with_errors(family, tasks, loss)
    error = "error" if tasks else None
    law = OverTraining(runs, error=error, params="n_parameters", fit_rows=fitted_members(runs), groups="run")
    return law.fit(bootstrap=bootstrap, seed=seed)


def forecast_members(
    family: pd.DataFrame,
    fit: OverTrainingResults,
    tasks: Sequence[str] = (),
    *,
    loss: str = LOSS,
    level: float = 0.95,
) -> pd.DataFrame:
    """Predict members that are larger or over-trained.

    Parameters
    ----------
    family, tasks, loss : as for `fit_members`. fit : what it found.
    level : of the prediction intervals.

    Returns
    -------
    One row a predicted member: size, tokens, multiplier, seeds (how many runs its mean is over), loss, loss_hat,
    loss_lower, loss_upper (prediction interval of a run), loss_pct (relative error) and loss_inside; with tasks the
    same of their mean error.

    Raises
    ------
    InputError : a missing column, or a family without one of the predicted members (named).
    """
    runs = _with_errors(family, tasks, loss)
    measures = ("loss", "error") if tasks else ("loss",)
    means = runs.groupby(["size", "tokens"]).agg(
        n_parameters=("n_parameters", "first"),
        seeds=("seed", "nunique"),
        **{m: (m, "mean") for m in measures},
    )
    absent = [
        f"{size} at {tokens / 1e6:g}M tokens"
        for size, tokens in PREDICTED
        if (size, tokens) not in means.index
    ]
    if absent:
        raise InputError(f"family: has no {', '.join(absent)}")
    targets = means.loc[list(PREDICTED)].reset_index()
    targets["multiplier"] = targets["tokens"] / targets["n_parameters"]
    found = fit.predict(targets["n_parameters"], targets["tokens"], level)
    for name in measures:
        lower, upper = found[f"{name}_obs_lower"], found[f"{name}_obs_upper"]
        targets[f"{name}_hat"], targets[f"{name}_lower"], targets[f"{name}_upper"] = found[name], lower, upper
        targets[f"{name}_pct"] = 100 * (found[name] / targets[name] - 1).abs()
        targets[f"{name}_inside"] = targets[name].between(lower, upper)
    return targets


def members_summary(members: pd.DataFrame) -> dict[str, float]:
    """Quantities of the claim that the law extrapolates on the book's own family.

    Parameters
    ----------
    members : from `forecast_members`.
    """
    return {
        "largest_error_pct": float(members["loss_pct"].max()),
        "cells_in_prediction_interval": int(members["loss_inside"].sum()),
    }


def member_error_laws(
    family: pd.DataFrame, members: pd.DataFrame, tasks: Sequence[str], *, loss: str = LOSS
) -> pd.DataFrame:
    """How well laws of the tasks' mean error against the loss, fitted to the same runs, predict the members.

    Parameters
    ----------
    family, tasks, loss : as for `fit_members`. members : from `forecast_members`.

    Returns
    -------
    One row a law of `ERROR_LAWS` and a column a member, in the order of `members`: relative errors in per cent at the
    predicted losses, signed; nan where a law says nothing.
    """
    runs = _with_errors(family, tasks, loss)
    fitted = runs[fitted_members(runs)]
    names = [f"{m.size}, {m.tokens / 1e6:g}M" for m in members.itertuples()]
    rows = [
        100 * (error_law(name, fitted)(members["loss_hat"]) / members["error"] - 1) for name in ERROR_LAWS
    ]
    return pd.DataFrame(np.array(rows), index=pd.Index(ERROR_LAWS, name="law"), columns=names)


def _with_errors(family: pd.DataFrame, tasks: Sequence[str], loss: str) -> pd.DataFrame:
    """The family's rows with its runs, its loss under one name, and the mean error over tasks."""
    scores = [f"{task}_score" for task in tasks]
    check_columns("family", family.columns, ["size", "seed", "n_parameters", "tokens", loss, *scores])
    return pd.DataFrame(
        {
            **{name: family[name] for name in ("size", "seed", "n_parameters", "tokens")},
            "run": family["size"] + "-" + family["seed"].astype(str),
            "loss": family[loss],
            **({"error": 1 - family[scores].mean(axis=1)} if scores else {}),
        }
    )


def fitted_members(runs: pd.DataFrame) -> np.ndarray:
    """Which rows the laws are fitted to: (n,) truth values.

    Parameters
    ----------
    runs : rows with n_parameters and tokens.
    """
    multiplier = runs["tokens"] / runs["n_parameters"]
    return ((runs["n_parameters"] <= LARGEST_FITTED) & (multiplier <= LARGEST_MULTIPLIER)).to_numpy()


def member_interaction(
    family: pd.DataFrame,
    *,
    least_multiplier: float = LEAST_MULTIPLIER,
    loss: str = LOSS,
    bootstrap: int = 500,
    level: float = 0.95,
    seed: int = 0,
) -> MultiplierInteraction:
    """Whether the exponent of the family's reducible loss against compute depends on the tokens per parameter.

    The family's multipliers are all different, so a quadratic in ln M stands for the constants of the lines.

    Parameters
    ----------
    family : rows of the reference family.
    least_multiplier : tokens per parameter; runs below take no part.
    loss : column, bits per byte.
    bootstrap, level, seed : as `multiplier_interaction`.
    """
    check_columns("family", family.columns, ["n_parameters", "tokens", loss])
    trained = family["tokens"] >= least_multiplier * family["n_parameters"]
    return multiplier_interaction(
        family[trained].reset_index(drop=True),
        loss=loss,
        params="n_parameters",
        constants="quadratic",
        bootstrap=bootstrap,
        level=level,
        seed=seed,
    )
