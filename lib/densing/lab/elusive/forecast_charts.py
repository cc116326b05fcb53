"""Charts of forecasts of accuracy, of averaging, and of published runs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from densing.evaluation.predictability.correlations import aggregate_correlations
from densing.evaluation.predictability.drops import distractor_medians
from densing.evaluation.predictability.stages import ChoiceScores
from densing.lab.elusive.accuracy_forecasts import AccuracyStudy, mean_errors
from densing.lab.elusive.charts import DARK, GRAY, STAGE_COLORS, STAGE_NAMES
from densing.lab.elusive.items import TaskScores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METHOD_NAMES = {
    "joint": "joint law of all choices",
    "logistic_compute": "logistic in compute",
    "logistic_loss": "logistic in loss",
    "power_law": "power law of the error",
    "two_step": "two steps in N and D",
    "correct_only": "law of the right choice only",
    "carry_forward": "nearest fitted cell",
}


def forecast_errors_chart(studies: Sequence[AccuracyStudy], level: float = 0.95) -> "Figure":
    """Mean absolute error of held-out accuracy by method, with intervals; a small dot for each task."""
    import matplotlib.pyplot as plt

    errors = mean_errors(studies, level)
    fig, ax = plt.subplots(figsize=(5.2, 3.4))
    order = [name for name in METHOD_NAMES if name in errors]
    for row, name in enumerate(order):
        color, one = ("C0" if name == "joint" else DARK), errors[name]
        ax.plot(
            [100 * s.errors[name] for s in studies],
            np.full(len(studies), row),
            ".",
            color=GRAY,
            ms=6,
            mec="none",
        )
        ax.plot([100 * one.lower, 100 * one.upper], [row, row], color=color, lw=1.6)
        ax.plot(100 * one.value, row, "o", color=color, ms=8)
    ax.set_yticks(range(len(order)), [METHOD_NAMES[name] for name in order])
    ax.invert_yaxis()
    ax.set_xlim(left=0)
    ax.set_xlabel("mean absolute error of accuracy (points)")
    ax.grid(axis="y", visible=False)
    return fig


def averaging_chart(
    tasks: Mapping[str, TaskScores],
    made_up: ChoiceScores,
    kind: str = "spearman",
    *,
    stages: Sequence[str] = ("log_p_vocab", "p_choices", "accuracy"),
    draws: int = 100,
    seed: int = 0,
) -> "Figure":
    """|Correlation| with compute of means over n items (left), and of single items against k incorrect choices (right).

    Parameters
    ----------
    tasks : whose correlations are averaged.
    made_up : scores with more incorrect choices than the tasks have.
    kind, stages, draws, seed : as `aggregate_correlations`.
    """
    import matplotlib.pyplot as plt

    fig, (left, right) = plt.subplots(1, 2, figsize=(5.2, 3.3), sharey=True, width_ratios=(1.2, 1))
    counts = _steps(min(task.scores.shape[1] for task in tasks.values()), (1, 3, 10, 30, 100, 300, 1000))
    for stage in stages:
        found = [
            aggregate_correlations(task.scores, stage, counts, kind, draws=draws, seed=seed)
            for task in tasks.values()
        ]
        medians = np.mean([np.nanmedian(np.abs(one), axis=1) for one in found], axis=0)
        left.plot(counts, medians, "o-", color=STAGE_COLORS[stage], label=STAGE_NAMES[stage])
    left.set(
        xscale="log",
        xlabel="items averaged",
        ylabel=f"median |{kind.capitalize()}| with compute",
        ylim=(0, 1.02),
    )
    ticks: set[int] = set()
    for label, several, style in (
        ("made-up items", [made_up], {"color": STAGE_COLORS["p_choices"], "marker": "o"}),
        ("the tasks", [task.scores for task in tasks.values()], {"color": DARK, "marker": "s"}),
    ):
        most = min(int(scores.wrong.sum(axis=1).min()) for scores in several)
        ks = _steps(most, (1, 2, 4, 8, 16, 31))
        ticks |= set(ks)
        medians = [distractor_medians(scores, ks, kind, repeats=3, seed=seed) for scores in several]
        right.plot(ks, np.mean(medians, axis=(0, 2)), label=label, **style)
    right.set(xscale="log", xlabel="incorrect choices")
    right.set_xticks(sorted(ticks), [str(k) for k in sorted(ticks)])
    right.minorticks_off()
    for ax in (left, right):
        ax.legend(fontsize=8.5, loc="lower right")
    return fig


def _steps(most: int, steps: Sequence[int]) -> list[int]:
    """Steps up to `most`, which is the last of them."""
    return sorted({step for step in steps if step < most} | {most})


def published_chart(table: pd.DataFrame) -> "Figure":
    """|Spearman| with compute of bits per byte of the right answer and of accuracy, one row a task set.

    Parameters
    ----------
    table : of `check_olmo_ladder`.
    """
    import matplotlib.pyplot as plt

    table = table.sort_values("difference", ascending=False, ignore_index=True)
    fig, ax = plt.subplots(figsize=(5.2, 0.235 * len(table) + 1.2))
    rows = np.arange(len(table))
    ax.hlines(rows, table["accuracy"], table["bits"], color=GRAY, lw=1.2)
    ax.plot(table["bits"], rows, "o", color="C0", ms=6, label="bits per byte of the right answer")
    ax.plot(table["accuracy"], rows, "o", color="C3", ms=6, mfc="white", label="accuracy")
    ax.set_yticks(rows, [_task_label(row.task, row.benchmark) for row in table.itertuples()], fontsize=9)
    ax.invert_yaxis()
    ax.set_xlabel("|Spearman| with compute, 30 runs")
    ax.grid(axis="y", visible=False)
    fig.legend(loc="outside lower center", ncols=2)
    return fig


def _task_label(task: str, benchmark: str) -> str:
    if not task.startswith("mmlu_"):
        return f"{benchmark}, {task.rsplit('_', 1)[1]}"
    group, split = task.removeprefix("mmlu_").rsplit("_", 1)
    return f"{benchmark} {group.replace('_', ' ')}, {split}"
