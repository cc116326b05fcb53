"""Density by scores: the effective size at which the family scores as the model does, averaged over tasks."""

import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from densing.checks import check_choice, check_range
from densing.errors import InputError
from densing.fitters.bootstrap import Estimate
from densing.lab.yardstick.curves import optimal_for_loss, optimal_parameters
from densing.lab.yardstick.results import Density
from densing.lab.yardstick.rows import REFERENCE_TOKENS, metrics_of, recorded_family
from densing.lab.yardstick.two_step import TwoStepReference

AGGREGATES = ("log_effective", "score")
#: Columns of a task in the family's table, by what they hold.
COLUMNS = {"score": "{task}_score", "loss": "{task}_conditional_loss", "blind": "{task}_blind"}


def task_density(
    scores: Mapping[str, float | Sequence[float]],
    n_parameters: float,
    *,
    tokens: float | None = None,
    reference: pd.DataFrame | None = None,
    reference_tokens: float = REFERENCE_TOKENS,
    chance: Mapping[str, float] | None = None,
    constant: bool = False,
    aggregate: str = "log_effective",
    columns: Mapping[str, str] | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Density:
    """Capacity density from scores by the two-step estimate: the mean of ln N_eff over tasks, minus ln N.

    Every task draws the same random effects, as if a run that is lucky in one were lucky in all; this makes the
    interval of the mean rather too wide than too narrow.

    Parameters
    ----------
    scores : the model's score by task, in [0, 1]; a number, or one a seed.
    n_parameters, tokens, reference_tokens, level, draws, seed : as in `capacity_density`.
    reference : table of runs with the columns size, n_parameters, tokens, seed and those of each task; None: the
        recorded family.
    chance : score of guessing by task, 0.25 for one of four choices; for a task that is not named, the mean of its
        blind rates, as generation tasks want it.
    constant : whether the answers' loss has a floor E.
    aggregate : ``"log_effective"``, or ``"score"``: average scores and losses over tasks first, invert once.
    columns : names of a task's columns that differ from ``{task}_score``, ``{task}_conditional_loss`` and
        ``{task}_blind``, under the keys score, loss and blind.

    Returns
    -------
    `Density` with method "task"; ``notes`` tells the range when one task is left out.

    Raises
    ------
    InputError : an unknown task (lists what the reference has), a task without chance or blind rate.
    """
    check_range("n_parameters", n_parameters, 0, open_low=True)
    check_choice("aggregate", aggregate, AGGREGATES)
    frame = recorded_family() if reference is None else reference
    if not isinstance(frame, pd.DataFrame):
        raise InputError("reference: must be a table of runs for densities by task")
    names = COLUMNS | dict(columns or {})
    floors = {task: _floor(frame, task, names, chance or {}) for task in scores}
    means = {task: float(np.mean(value)) for task, value in scores.items()}
    n_seeds = min(np.size(value) for value in scores.values())
    if aggregate == "score":
        frame = frame.assign(**_pooled(frame, list(scores), names))
        floors, means = ({"mean": float(np.mean(list(one.values())))} for one in (floors, means))
    own = float(reference_tokens if tokens is None else tokens)
    found = []
    for task, floor in floors.items():
        measures = {kind: names[kind].format(task=task) for kind in ("loss", "score")}
        fit = TwoStepReference(level=level, draws=draws, seed=seed)
        fit.fit(frame, chance=floor, constant=constant, **measures)
        found.append(
            (
                fit.invert(means[task], reference_tokens, n_seeds=n_seeds),
                fit.invert(means[task], own, n_seeds=n_seeds),
                _equal_compute(fit, means[task], n_seeds, n_parameters, own),
            )
        )
    reasons = [f"{task}: {one[0][2]}" for task, one in zip(floors, found, strict=True) if one[0][2]]
    for reason in reasons:
        warnings.warn(reason, stacklevel=2)
    nominal, same, compute = zip(*found, strict=True)
    log_size = math.log(n_parameters)
    rho, log_draws = _average(nominal, log_size, level)
    effective = rho.value * n_parameters
    outside = not fit.curve.n_parameters.min() / 2 <= effective <= 2 * fit.curve.n_parameters.max()
    return Density(
        rho.value,
        rho.lower,
        rho.upper,
        effective,
        outside,
        _average(same, log_size, level)[0],
        _average(compute, 0.0, level)[0],
        Estimate(math.nan, math.nan, math.nan, level),
        rho,
        float(n_parameters),
        own,
        "task",
        level,
        tuple([*reasons, *_left_out(nominal, log_size)]),
        log_draws,
    )


def _pooled(frame: pd.DataFrame, tasks: list[str], names: Mapping[str, str]) -> dict[str, pd.Series]:
    """Columns of a task called "mean", the average of all."""
    columns = {kind: [names[kind].format(task=task) for task in tasks] for kind in ("score", "loss")}
    return {names[kind].format(task="mean"): frame[one].mean(axis=1) for kind, one in columns.items()}


def _floor(frame: pd.DataFrame, task: str, names: Mapping[str, str], chance: Mapping[str, float]) -> float:
    for kind in ("score", "loss"):
        column = names[kind].format(task=task)
        if column not in frame.columns:
            raise InputError(
                f"metric = {task!r}: no column {column!r}; the reference has {', '.join(metrics_of(frame))}"
            )
    if task in chance:
        return float(chance[task])
    blind = names["blind"].format(task=task)
    if blind not in frame.columns:
        raise InputError(f"chance: {task!r} has neither a chance nor a column {blind!r}")
    return float(frame[blind].mean())


def _equal_compute(fit: TwoStepReference, score: float, n_seeds: int, n_parameters: float, tokens: float):
    """Size of the compute-optimal model of the score's loss over that of the model's compute, and log draws of it."""
    if fit.curve.one_budget:
        return math.nan, np.full(fit.draws, math.nan)
    flops = 6 * n_parameters * tokens
    ratio = lambda theta, loss: optimal_for_loss(theta, loss) / optimal_parameters(theta, flops)  # noqa: E731
    losses = fit.loss_draws(score, n_seeds=n_seeds)
    at_floor = np.isposinf(losses)
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = np.log(np.where(at_floor, 0.0, ratio(fit.theta_draws, np.where(at_floor, 1.0, losses))))
        loss, _ = fit.loss_of(score)
        return (math.nan if math.isnan(loss) else float(ratio(fit.curve.theta, loss))), draws


def _average(found: Sequence, log_unit: float, level: float) -> tuple[Estimate, NDArray]:
    """Mean over tasks of the logarithms, of the value and of the draws."""
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = np.mean([one[1] for one in found], axis=0) - log_unit
        value = math.exp(np.log([one[0] for one in found]).mean() - log_unit)
        return Estimate.from_draws(value, np.exp(draws), level), draws


def _left_out(found: Sequence, log_unit: float):
    """The range of the density when one task is left out."""
    if len(found) > 1:
        logs = np.log([one[0] for one in found]) - log_unit
        without = np.exp((logs.sum() - logs) / (len(logs) - 1))
        yield f"leaving out one task: {without.min():.3g} to {without.max():.3g}"
