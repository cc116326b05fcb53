"""How well each stage, averaged over items, tells sizes apart: the standard error of ln(density) that it gives."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from densing.checks import check_choices, check_range
from densing.errors import InputError
from densing.evaluation.predictability.stages import STAGES
from densing.fitters.bootstrap import Estimate, cluster_weights
from densing.lab.elusive.charts import STAGE_NAMES
from densing.lab.elusive.items import TaskScores

LEAST_SIZES = 5


def stage_resolution(
    task: TaskScores,
    tokens: float,
    stages: Sequence[str] = STAGES,
    *,
    draws: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Root mean square of ln(density) of single models that had no part in the curve, stage by stage.

    A model of the family has density 1. Each run at the budget is left out in turn; a parabola in ln N through the
    means of the sizes is fitted to the rest, and the run's score is turned into a size by the curve's slope at its own.
    Runs of the two end sizes are not counted.

    Parameters
    ----------
    task : of a ladder with at least five sizes at the budget.
    tokens : the budget.
    stages : which.
    draws, level, seed : of the bootstrap over items (by cluster), the same items for the run and the curve.

    Returns
    -------
    stage to the error; inf where the curve of a draw is level or turns at some size.
    """
    check_choices("stages", stages, STAGES)
    check_range("draws", draws, 1, integer=True)
    at = task.take((task.models["tokens"] == tokens).to_numpy())
    weights = np.concatenate(
        [np.ones((1, at.scores.shape[1])), cluster_weights(at.clusters.astype(str), draws, seed)]
    )
    weights = weights / weights.sum(axis=1, keepdims=True)
    n = at.models["n_parameters"].to_numpy(float)
    found = {}
    for stage in stages:
        errors = left_out_errors(weights @ at.scores.stage(stage).T, n, falls=stage == "brier")
        found[stage] = Estimate.from_draws(errors[0], errors[1:], level)
    return found


def left_out_errors(values: ArrayLike, n_parameters: ArrayLike, *, falls: bool = False) -> NDArray:
    """(draws,) root mean square of ln(density) of each run, by the curve through the others.

    Parameters
    ----------
    values : (draws, runs) scores or losses at one budget.
    n_parameters : (runs,).
    falls : whether values fall with size.

    Raises
    ------
    InputError : fewer than five sizes.
    """
    values, n = np.atleast_2d(np.asarray(values, float)), np.asarray(n_parameters, float)
    sizes = np.unique(n)
    if len(sizes) < LEAST_SIZES:
        raise InputError(f"n_parameters: {len(sizes)} sizes, must be at least {LEAST_SIZES}")
    z = np.log(n) - np.log(n).mean()
    at_size = np.unique(z)
    squares = []
    for run in np.flatnonzero((n > sizes[0]) & (n < sizes[-1])):
        others = np.arange(len(n)) != run
        kept = [size for size in at_size if (others & (z == size)).any()]
        means = np.stack([values[:, others & (z == size)].mean(axis=1) for size in kept])
        c2, c1, c0 = np.polyfit(kept, means, 2)
        slope = (c1 + 2 * c2 * z[run]) * (-1 if falls else 1)
        gap = (values[:, run] - (c0 + c1 * z[run] + c2 * z[run] ** 2)) * (-1 if falls else 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            squares.append(np.where(slope > 0, (gap / slope) ** 2, np.inf))
    return np.sqrt(np.mean(squares, axis=0))


def stage_resolution_table(
    tasks: Mapping[str, TaskScores],
    tokens: float,
    losses: pd.DataFrame | None = None,
    metric: str = "bits_per_byte_val_b",
) -> pd.DataFrame:
    """Errors of ln(density) as text, one row a task, one column a stage; a first row for the loss on text.

    Parameters
    ----------
    tasks : by name.
    tokens : the budget.
    losses : rows of the family with n_parameters, tokens and the metric; None: no such row.
    metric : column of the loss.
    """
    rows = []
    if losses is not None:
        at = losses[losses["tokens"] == tokens]
        error = left_out_errors(at[metric], at["n_parameters"], falls=True)[0]
        rows.append({"inverted": "loss on text", STAGES[0]: _shown(error)})
    for name, task in tasks.items():
        found = stage_resolution(task, tokens, draws=1)  # the table has no intervals
        rows.append({"inverted": name, **{stage: _shown(one.value) for stage, one in found.items()}})
    table = pd.DataFrame(rows, columns=["inverted", *STAGES]).fillna("")
    return table.rename(columns=STAGE_NAMES)


def _shown(error: float) -> str:
    return f"{error:.2f}" if np.isfinite(error) else "not rising"
