"""Held-out accuracy forecast in seven ways from the same smaller models, with errors paired over resamples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from densing.checks import check_choice, check_range
from densing.errors import InputError
from densing.evaluation.predictability.stages import ChoiceScores
from densing.fitters.bootstrap import Estimate, cluster_weights
from densing.fitters.choice_scaling.baselines import (
    error_power_forecast,
    logistic_forecast,
    loss_power_forecast,
    loss_two_term_forecast,
    nearest_forecast,
)
from densing.fitters.choice_scaling.forecast import ChoiceForecast, JointChoiceForecast
from densing.lab.elusive.items import TaskScores

#: Rivals of the joint forecast, in the order of tables and charts.
RIVALS = (
    "logistic_compute",
    "logistic_loss",
    "power_law",
    "two_step",
    "correct_only",
    "carry_forward",
)


@dataclass(frozen=True, eq=False)
class AccuracyStudy:
    """Forecasts of the held-out models of one task.

    Attributes
    ----------
    task : all its models. held_out : (models,) true for those that were forecast.
    observed : (targets,) accuracy. forecasts : (targets,) by method.
    errors : mean absolute error by method. error_draws : (draws,) by method, paired.
    joint : the joint forecast with its intervals.
    alpha : its exponent.
    """

    task: TaskScores
    held_out: NDArray
    observed: NDArray
    forecasts: dict[str, NDArray]
    errors: dict[str, float]
    error_draws: dict[str, NDArray]
    joint: ChoiceForecast
    alpha: float

    @property
    def covered(self) -> NDArray:
        """(targets,) whether the accuracy lies in the joint forecast's interval."""
        return (self.observed >= self.joint.accuracy_lower) & (self.observed <= self.joint.accuracy_upper)


def largest_held_out(task: TaskScores, column: str = "n_parameters", count: int = 2) -> NDArray:
    """(models,) true for the models with the `count` largest values of `column`.

    Parameters
    ----------
    task : of a ladder. column : "n_parameters", "tokens" or "compute". count : how many values, >= 1.

    Raises
    ------
    InputError : an unknown column, or fewer than four values of compute left to fit.
    """
    check_range("count", count, 1, integer=True)
    known = [name for name in ("n_parameters", "tokens", "compute") if name in task.models]
    check_choice("column", column, known)
    values = task.models[column].to_numpy(float)
    different = np.unique(values)
    if count >= len(different):
        raise InputError(
            f"count = {count}: there are {len(different)} different values of {column}, some must be left"
        )
    held_out = values >= different[-int(count)]
    left = len(np.unique(task.scores.compute[~held_out]))
    if left < 4:
        raise InputError(f"count = {count}: leaves {left} amounts of compute to fit, must be at least 4")
    return held_out


def forecast_accuracy(
    task: TaskScores,
    held_out: NDArray,
    *,
    simulations: int = 500,
    draws: int = 500,
    level: float = 0.95,
    seed: int = 0,
) -> AccuracyStudy:
    """Forecast the accuracy of held-out models by the joint forecast and its rivals.

    Resamples draw items (by cluster) and the seeds of the held-out models. The rivals that fit accuracies and losses
    are fitted again to each resample; the two that forecast items keep their items' forecasts, averaged anew.

    Parameters
    ----------
    task : under models of which at least four scales are fitted.
    held_out : (models,) true where a model is forecast and not fitted.
    simulations : simulated models of the joint forecast.
    draws, level, seed : of the resamples and intervals.

    Returns
    -------
    AccuracyStudy; "two_step" is there where the models have n_parameters and tokens.
    """
    held_out = np.asarray(held_out, bool)
    check_range("draws", draws, 1, integer=True)
    scores = task.scores
    rng = np.random.default_rng([int(seed), 1])
    weights = np.concatenate(
        [np.ones((1, scores.shape[1])), cluster_weights(task.clusters.astype(str), draws, seed)]
    )
    weights = weights / weights.sum(axis=1, keepdims=True)
    accuracy = weights @ scores.stage("accuracy").T
    direct = _direct(task, held_out, accuracy, weights @ _answer_loss(scores).T)
    joint, alpha = _joint(scores, held_out, "law", simulations, level, seed)
    alone, _ = _joint(scores, held_out, "last", simulations, level, seed)
    by_method = {
        "joint": weights @ joint.item_accuracy.T,
        **direct,
        "correct_only": weights @ alone.item_accuracy.T,
    }
    of_seed = np.unique(task.seeds[held_out], return_inverse=True)[1]
    groups = of_seed.max() + 1
    times = rng.multinomial(groups, np.full(groups, 1 / groups), size=int(draws))[:, of_seed]
    times = np.concatenate([np.ones((1, len(of_seed)), int), times])
    with np.errstate(invalid="ignore"):  # a draw without a held-out model has no error
        error = {
            name: (np.abs(found - accuracy[:, held_out]) * times).sum(axis=1) / times.sum(axis=1)
            for name, found in by_method.items()
        }
    return AccuracyStudy(
        task,
        held_out,
        accuracy[0, held_out],
        {name: found[0] for name, found in by_method.items()},
        {name: float(values[0]) for name, values in error.items()},
        {name: values[1:] for name, values in error.items()},
        joint,
        alpha,
    )


def _joint(
    scores: ChoiceScores, held_out: NDArray, incorrect: str, simulations: int, level: float, seed: int
) -> tuple[ChoiceForecast, float]:
    estimator = JointChoiceForecast(incorrect=incorrect, draws=simulations, level=level, seed=seed)
    fitted = scores.select(models=~held_out)
    results = estimator.fit(fitted.log_p, fitted.correct, fitted.compute, fitted.mask)
    return results.predict(scores.compute[held_out]), results.alpha


def _answer_loss(scores: ChoiceScores) -> NDArray:
    """(models, items) nats of the right choice, per token where lengths are known."""
    return -scores.stage("log_p_vocab", "raw" if scores.n_tokens is None else "token")


def _direct(task: TaskScores, held_out: NDArray, accuracy: NDArray, loss: NDArray) -> dict[str, NDArray]:
    """(draws, targets) forecasts of the rivals that need accuracies and losses of the models only."""
    scores, fitted = task.scores, ~held_out
    chance = float((1 / scores.mask.sum(axis=1)).mean())
    compute, target = scores.compute[fitted], scores.compute[held_out]
    seen, losses = accuracy[:, fitted], np.maximum(loss[:, fitted], 1e-9)
    through = lambda new: logistic_forecast(-losses, seen, -new, chance)  # noqa: E731
    found = {
        "logistic_compute": logistic_forecast(np.log(compute), seen, np.log(target), chance),
        "logistic_loss": through(loss_power_forecast(compute, losses, target)),
        "power_law": error_power_forecast(compute, seen, target),
    }
    where = np.log(scores.compute)[:, None]
    if {"n_parameters", "tokens"} <= set(task.models):
        n, d = (task.models[c].to_numpy(float) for c in ("n_parameters", "tokens"))
        found["two_step"] = through(
            loss_two_term_forecast(n[fitted], d[fitted], losses, n[held_out], d[held_out])
        )
        where = np.log(np.stack([n, d], axis=1))
    return found | {"carry_forward": nearest_forecast(where[fitted], seen, where[held_out])}


def forecast_tasks(
    tasks: Mapping[str, TaskScores], column: str = "n_parameters", count: int = 2, **options: int | float
) -> dict[str, AccuracyStudy]:
    """`forecast_accuracy` for every task, with the largest values of a column held out.

    Parameters
    ----------
    tasks : by name.
    column, count : as `largest_held_out`.
    **options : of `forecast_accuracy`.
    """
    return {
        name: forecast_accuracy(task, largest_held_out(task, column, count), **options)
        for name, task in tasks.items()
    }


def mean_errors(studies: Sequence[AccuracyStudy], level: float = 0.95) -> dict[str, Estimate]:
    """Mean absolute error of each method over tasks, with the interval of the resamples.

    Parameters
    ----------
    studies : of tasks forecast with one seed and as many draws each.
    """
    return {
        name: _centered(
            np.mean([s.errors[name] for s in studies]),
            np.mean([s.error_draws[name] for s in studies], axis=0),
            level,
        )
        for name in studies[0].errors
    }


def forecast_gains(studies: Sequence[AccuracyStudy], level: float = 0.95) -> dict[str, Estimate]:
    """Error of each rival minus the joint forecast's, mean over tasks, paired; above 0 the joint forecast errs less."""
    gains = {}
    for name in studies[0].errors:
        if name != "joint":
            value = np.mean([s.errors[name] - s.errors["joint"] for s in studies])
            draws = np.mean([s.error_draws[name] - s.error_draws["joint"] for s in studies], axis=0)
            gains[name] = _centered(value, draws, level)
    return gains


def _centered(value: float, draws: NDArray, level: float) -> Estimate:
    """The estimate with its draws moved to it: a resample holds the items' noise twice, which lifts every error."""
    return Estimate.from_draws(float(value), draws - np.nanmean(draws) + value, level)


def choice_forecast_quantities(
    by_size: Mapping[str, AccuracyStudy], by_budget: Mapping[str, AccuracyStudy], level: float = 0.95
) -> dict[str, Estimate | float]:
    """Quantities of the claim that laws of the incorrect choices make accuracy predictable.

    Parameters
    ----------
    by_size, by_budget : studies of the tasks that count, with the two largest sizes and the largest budget held out.
    """
    nothing = Estimate(np.nan, np.nan, np.nan, level)
    if not by_size:
        gains = {f"gain_{name}": nothing for name in RIVALS}
        empty = dict.fromkeys(("n_beaten", "coverage", "error_joint_budget", "n_beaten_budget"), np.nan)
        return {"error_joint": nothing, **gains, **empty, "n_families": 0}
    gains, other = (forecast_gains(list(studies.values()), level) for studies in (by_size, by_budget))
    return {
        "error_joint": mean_errors(list(by_size.values()), level)["joint"],
        **{f"gain_{name}": gains[name] for name in RIVALS},
        "n_beaten": sum(gain.value > 0 for gain in gains.values()),
        "coverage": float(np.mean(np.concatenate([study.covered for study in by_size.values()]))),
        "error_joint_budget": mean_errors(list(by_budget.values()), level)["joint"].value,
        "n_beaten_budget": sum(gain.value > 0 for gain in other.values()),
        "n_families": len(by_size),
    }
