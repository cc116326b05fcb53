"""Scores of the family's two largest sizes from its five smallest: which tasks count, and how far each rule errs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from densing.checks import check_choice, check_columns
from densing.errors import InputError
from densing.fitters.bootstrap import Estimate, paired_bootstrap
from densing.lab.yardstick.forecasts import RULES, forecast_errors, forecast_scores, forecast_two_step
from densing.lab.yardstick.rows import REFERENCE_TOKENS
from densing.lab.yardstick.two_step import TwoStepReference

CHANCE = 0.25
LEAST_SKILL = 0.05
JUDGED = "d0.4M"
HELD_OUT = 2
_TITLES = {
    "two_step": "two steps",
    "two_step_floor": "with a floor E",
    "one_step": "one step",
    "validation_loss": "by validation loss",
    "carried_forward": "carried forward",
}


@dataclass(frozen=True, eq=False)
class ScoreStudy:
    """Predicted scores of the largest sizes.

    Attributes
    ----------
    tasks : chance or blind rate by task. fitted : rows of the sizes that were fitted, all budgets.
    held_out : rows of the others at the reference budget.
    forecasts : one row a task and held-out size: n_parameters, observed, a column a rule, and two_step_floor, the two
        steps with a floor of the answers' loss.
    """

    tasks: dict[str, float]
    fitted: pd.DataFrame
    held_out: pd.DataFrame
    forecasts: pd.DataFrame

    def reference(self, task: str, *, draws: int = 2_000, seed: int = 0) -> TwoStepReference:
        """Both steps of a task, fitted to the fitted sizes."""
        check_choice("task", task, self.tasks)
        columns = {"score": f"{task}_score", "loss": f"{task}_conditional_loss"}
        return TwoStepReference(draws=draws, seed=seed).fit(self.fitted, chance=self.tasks[task], **columns)

    def quantities(self, *, draws: int = 2_000, seed: int = 0) -> dict[str, Estimate | float]:
        """Mean absolute errors over tasks and sizes; two steps minus one step, with tasks resampled in pairs."""
        by_task = forecast_errors(self.forecasts).drop(index="all")
        two, one = by_task["two_step"].to_numpy(), by_task["one_step"].to_numpy()
        return {
            "error_two_step": float(two.mean()),
            "error_carry_forward": float(by_task["carried_forward"].mean()),
            "error_direct": float(one.mean()),
            "excess_over_direct": paired_bootstrap(two, one, draws=draws, seed=seed),
            "n_tasks": len(by_task),
        }

    @property
    def too_low(self) -> int:
        """Tasks of which the two steps predict too low a score for every held-out size."""
        low = self.forecasts["two_step"] < self.forecasts["observed"]
        return int(low.groupby(self.forecasts["task"]).all().sum())

    def table(self) -> pd.DataFrame:
        """Scores and errors by task, formatted: means over the held-out sizes, the last row over tasks."""
        found = self.forecasts
        rules = [*RULES[:1], "two_step_floor", *RULES[1:]]
        errors = found[rules].sub(found["observed"], axis=0).abs()
        numbers = pd.concat([found[["observed"]], errors], axis=1).groupby(found["task"], sort=False).mean()
        numbers.loc["all"] = numbers.mean()
        text = numbers.map(lambda value: f"{value:.3f}").rename(columns=_TITLES)
        floors = [f"{self.tasks[task]:.3f}" for task in numbers.index[:-1]]
        text.insert(0, "floor", [*floors, ""])
        return text.rename(columns={"observed": "score"}).rename_axis("task").reset_index()


def score_tasks(family: pd.DataFrame, rule: pd.DataFrame | None = None) -> dict[str, float]:
    """Tasks that count, with the floor of their scores.

    A task counts if it left the floor in the family's trial and if the judged size (0.4M, 4 million tokens) answers it
    five points better than chance (choices, mean over seeds) or, in every seed, better than blind (the 95 % interval
    of ln(rate / blind rate) lies above 0). The held-out sizes have no part in this.

    Parameters
    ----------
    family : rows of the reference family: <task>_score, <task>_blind, and for generation <task>_log_ratio_lower.
    rule : from `floor_rule`: family, kind, leaves; None: that of the recorded trial of the family's mixture.

    Returns
    -------
    Task to floor: 0.25 for choices, for generation the mean blind rate of the sizes up to the judged one.

    Raises
    ------
    InputError : the judged size is not among the rows.
    """
    if rule is None:
        from densing.lab.family.study import recorded_floor_rule

        rule = recorded_floor_rule()
    check_columns("rule", rule.columns, ["family", "kind", "leaves"])
    judged = family[(family["size"] == JUDGED) & (family["tokens"] == REFERENCE_TOKENS)]
    if judged.empty:
        raise InputError(f"family: has no {JUDGED} at {REFERENCE_TOKENS:g} tokens")
    fitted = family[family["n_parameters"] <= judged["n_parameters"].max()]
    tasks = {}
    for task, kind in rule.loc[rule["leaves"], ["family", "kind"]].itertuples(index=False):
        if kind == "choice" and judged[f"{task}_score"].mean() >= CHANCE + LEAST_SKILL:
            tasks[task] = CHANCE
        elif kind == "generation" and (judged[f"{task}_log_ratio_lower"] > 0).all():
            tasks[task] = float(fitted[f"{task}_blind"].mean())
    return tasks


def score_study(family: pd.DataFrame, tasks: Mapping[str, float]) -> ScoreStudy:
    """Fit all sizes but the two largest and predict those, at the reference budget, by every rule.

    Parameters
    ----------
    family : rows of the reference family, all budgets. tasks : from `score_tasks`.

    Raises
    ------
    InputError : no task, a missing column, or fewer than four sizes left.
    """
    forecasts = forecast_scores(family, tasks, held_out=HELD_OUT)
    new = np.unique(forecasts["n_parameters"])
    is_new = family["n_parameters"].isin(new)
    fitted, rest = family[~is_new], family[is_new & (family["tokens"] == REFERENCE_TOKENS)]
    with_floor = [
        forecast_two_step(fitted, new, score=f"{task}_score", loss=f"{task}_conditional_loss", chance=chance,
                          constant=True)
        for task, chance in tasks.items()
    ]  # fmt: skip
    return ScoreStudy(dict(tasks), fitted, rest, forecasts.assign(two_step_floor=np.concatenate(with_floor)))
