"""Tables of stages, forecasts and published runs, ready to be shown."""

from collections.abc import Mapping, Sequence

import pandas as pd
from numpy.typing import ArrayLike

from densing.evaluation.predictability.drops import StageDrops, stage_drops
from densing.evaluation.predictability.stages import ChoiceScores
from densing.fitters.bootstrap import Estimate
from densing.lab.elusive.accuracy_forecasts import AccuracyStudy, forecast_gains, mean_errors
from densing.lab.elusive.charts import STAGE_NAMES
from densing.lab.elusive.forecast_charts import METHOD_NAMES
from densing.lab.elusive.items import TaskScores
from densing.lab.elusive.planted import planted_scores
from densing.lab.elusive.stage_study import StageStudy


def drops_table(studies: Mapping[str, StageStudy | StageDrops], kind: str = "spearman") -> pd.DataFrame:
    """Medians of |correlation| by stage and the drops between stages with their intervals, one row a task.

    Rank correlations of p are those of log p, and have no column.

    Parameters
    ----------
    studies : by name, studies or the drops themselves.
    kind : of the correlation, where studies are given.
    """
    rows = []
    for name, study in studies.items():
        found = study.drops[kind] if isinstance(study, StageStudy) else study
        stages = [stage for stage in found.medians if found.kind == "pearson" or stage != "p_vocab"]
        row = {"task": name} | {STAGE_NAMES[stage]: f"{found.medians[stage].value:.2f}" for stage in stages}
        row |= {f"drop to {STAGE_NAMES[stage]}": f"{found.drops[stage]:.2f}" for stage in stages[1:]}
        rows.append(row | {"constant": f"{found.constant_shares['accuracy']:.0%}"})
    return pd.DataFrame(rows)


def counted_table(tasks: Mapping[str, TaskScores], above_blind: Mapping[str, Estimate]) -> pd.DataFrame:
    """What every task has, and whether it counts.

    Parameters
    ----------
    tasks, above_blind : by name, from `task_scores` and `counted_tasks`.
    """
    return pd.DataFrame(
        {
            "task": name,
            "models": task.scores.shape[0],
            "items": task.scores.shape[1],
            "ties": f"{_ties(task.scores):.2%}",
            "accuracy above blind": f"{above_blind[name]:.3f}",
            "counts": "yes" if above_blind[name].lower > 0 else "no",
        }
        for name, task in tasks.items()
    )


def planted_control_table(
    compute: ArrayLike, items: int = 2_000, *, draws: int = 100, seed: int = 0
) -> pd.DataFrame:
    """Drops of made-up items with known laws, whose incorrect choices move with compute or stand still.

    Parameters
    ----------
    compute : (models,). items : how many. draws : of the bootstrap. seed : of items and draws.
    """
    drops = {
        text: stage_drops(
            planted_scores(compute, items=items, incorrect=how, seed=seed), draws=draws, seed=seed
        )
        for text, how in (("incorrect choices move", "vary"), ("incorrect choices stand still", "fixed"))
    }
    return drops_table(drops)


def medians_table(medians: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Medians of rank correlations by stage (columns) of several comparisons, one after the other, as text.

    Parameters
    ----------
    medians : what is varied, to its table from `normalization_medians` or `scale_axis_medians`.
    """
    parts = [
        table.drop(columns="p_vocab")  # its ranks are those of log p
        .rename(columns=STAGE_NAMES)
        .map("{:.2f}".format)
        .rename_axis("choice")
        .reset_index()
        for table in medians.values()
    ]
    for name, part in zip(medians, parts, strict=True):
        part.insert(0, "varied", [name] + [""] * (len(part) - 1))
    return pd.concat(parts, ignore_index=True)


def movement_table(studies: Mapping[str, StageStudy]) -> pd.DataFrame:
    """How incorrect choices move with the right one, and how much of its movement is left in the log odds, by task."""
    return pd.DataFrame(
        {
            "task": name,
            "correlation": f"{study.covariation.estimate(0):.2f}",
            "slope": f"{study.covariation.estimate(1):.2f}",
            "negative": f"{study.negative_share:.0%}",
            "variance left": f"{study.variance_left:.2f}",
        }
        for name, study in studies.items()
    )


def accuracy_gains_table(
    by_size: Sequence[AccuracyStudy], by_budget: Sequence[AccuracyStudy]
) -> pd.DataFrame:
    """Mean absolute errors of held-out accuracy by method, and what the joint forecast gains on each, in points.

    Parameters
    ----------
    by_size, by_budget : studies with the largest sizes, and with the largest budget held out.
    """
    sides = [(mean_errors(studies), forecast_gains(studies)) for studies in (by_size, by_budget)]
    rows = []
    for method in (name for name in METHOD_NAMES if name in sides[0][0]):
        row = {"method": METHOD_NAMES[method]}
        for title, (errors, gains) in zip(("largest sizes", "largest budget"), sides, strict=True):
            row[f"error, {title}"] = f"{100 * errors[method].value:.2f}"
            row[f"gain, {title}"] = _points(gains[method]) if method in gains else ""
        rows.append(row)
    return pd.DataFrame(rows)


def _ties(scores: ChoiceScores) -> float:
    """Share of models and items whose accuracy depends on how equally likely choices are counted."""
    return float((scores.stage("accuracy") != scores.stage("accuracy", ties="share")).mean())


def _points(one: Estimate) -> str:
    return f"{100 * one.value:+.2f} [{100 * one.lower:+.2f}, {100 * one.upper:+.2f}]"
