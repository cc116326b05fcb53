"""Scores of the largest sizes predicted from the smaller ones: two steps against three simpler rules."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from densing.checks import check_choice, check_columns, check_range
from densing.errors import InputError
from densing.lab.yardstick.rows import METRIC, REFERENCE_TOKENS
from densing.lab.yardstick.score_curve import fit_scores
from densing.lab.yardstick.two_step import TwoStepReference
from densing.laws.capability.sigmoid import loss_to_score

#: Rules that `forecast_scores` compares, by column.
RULES = ("two_step", "one_step", "validation_loss", "carried_forward")


def forecast_two_step(
    train: pd.DataFrame,
    sizes: ArrayLike,
    *,
    score: str,
    loss: str,
    chance: float,
    tokens: float = REFERENCE_TOKENS,
    constant: bool = False,
) -> np.ndarray:
    """Scores at `sizes` after `tokens` tokens by the two steps, fitted to all budgets of `train`.

    Parameters
    ----------
    train : one row a size, seed and budget, with n_parameters, tokens, seed. sizes : parameters (m,).
    score, loss : columns. chance : floor of the score. constant : whether the first step has a floor.
    """
    fit = TwoStepReference(draws=100).fit(train, loss=loss, score=score, chance=chance, constant=constant)
    return fit.predict(np.asarray(sizes, float), tokens)


def forecast_validation_loss(
    train: pd.DataFrame,
    sizes: ArrayLike,
    *,
    score: str,
    chance: float,
    tokens: float = REFERENCE_TOKENS,
    loss: str = METRIC,
) -> np.ndarray:
    """Scores by way of the loss on text instead of the answers': a law with a floor, then the same S-curve."""
    return forecast_two_step(
        train, sizes, score=score, loss=loss, chance=chance, tokens=tokens, constant=True
    )


def forecast_one_step(
    train: pd.DataFrame, sizes: ArrayLike, *, score: str, chance: float, tokens: float = REFERENCE_TOKENS
) -> np.ndarray:
    """Scores by the same S-curve fitted directly to ln N, on the runs of one budget."""
    at = train[train["tokens"] == tokens]
    log_size = np.log(at["n_parameters"].to_numpy(float))
    cell = np.unique(log_size, return_inverse=True)[1]
    curve = fit_scores(-log_size, at[score].to_numpy(float), chance, cell, at["n_parameters"].to_numpy())
    return loss_to_score(-np.log(np.asarray(sizes, float)), **curve.levels)


def carry_score_forward(
    train: pd.DataFrame, sizes: ArrayLike, *, score: str, tokens: float = REFERENCE_TOKENS
) -> np.ndarray:
    """The mean score of the largest size of `train`, whatever the size."""
    at = train[train["tokens"] == tokens]
    largest = at["n_parameters"] == at["n_parameters"].max()
    return np.full(np.shape(sizes), at.loc[largest, score].mean())


def forecast_scores(
    frame: pd.DataFrame,
    tasks: Mapping[str, float],
    *,
    held_out: int = 2,
    tokens: float = REFERENCE_TOKENS,
    score: str = "{task}_score",
    loss: str = "{task}_conditional_loss",
    validation_loss: str = METRIC,
    constant: bool = False,
) -> pd.DataFrame:
    """Predict the scores of the largest sizes from all smaller ones, for several tasks and by four rules.

    Parameters
    ----------
    frame : the family, one row a size, seed and budget (columns n_parameters, tokens, seed and the measures).
    tasks : chance or blind rate by task.
    held_out : number of largest sizes that are predicted. tokens : the budget at which they are.
    score, loss : names of a task's columns, with {task} for its name. validation_loss : column of the third rule.
    constant : whether the first of the two steps has a floor.

    Returns
    -------
    One row a task and held-out size: task, n_parameters, observed (mean over seeds) and a column for each of `RULES`.

    Raises
    ------
    InputError : no task, a missing column, a budget that is not there, or fewer than four sizes left.
    """
    if not tasks:
        raise InputError("tasks: must name at least one task with its chance")
    check_columns("frame", frame.columns, ["n_parameters", "tokens", validation_loss])
    check_choice("tokens", tokens, frame["tokens"].unique().tolist())
    sizes = np.unique(frame["n_parameters"])
    check_range("held_out", held_out, 1, len(sizes) - 4, integer=True)
    new = sizes[-held_out:]
    train = frame[~frame["n_parameters"].isin(new)]
    test = frame[frame["n_parameters"].isin(new) & (frame["tokens"] == tokens)]
    found = []
    for task, chance in tasks.items():
        columns = {"score": score.format(task=task), "chance": chance, "tokens": tokens}
        answer = loss.format(task=task)
        check_columns("frame", frame.columns, [columns["score"], answer])
        predicted = {
            "two_step": forecast_two_step(train, new, loss=answer, constant=constant, **columns),
            "one_step": forecast_one_step(train, new, **columns),
            "validation_loss": forecast_validation_loss(train, new, loss=validation_loss, **columns),
            "carried_forward": carry_score_forward(train, new, score=columns["score"], tokens=tokens),
        }
        observed = test.groupby("n_parameters")[columns["score"]].mean().reindex(new)
        found.append(
            pd.DataFrame({"task": task, "n_parameters": new, "observed": observed.to_numpy(), **predicted})
        )
    return pd.concat(found, ignore_index=True)


def forecast_errors(forecasts: pd.DataFrame) -> pd.DataFrame:
    """Mean absolute error of each rule by task, and over tasks in the last row, ``"all"``.

    Parameters
    ----------
    forecasts : from `forecast_scores`.
    """
    errors = forecasts[list(RULES)].sub(forecasts["observed"], axis=0).abs()
    table = errors.groupby(forecasts["task"], sort=False).mean()
    table.loc["all"] = table.mean()
    return table
