"""Charts of stages, correlations and common movement. Colours are those of the style in force (C0, C1, ...)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from densing.evaluation.predictability.correlations import (
    item_correlations,
    permuted_correlations,
    survival,
)
from densing.lab.elusive.items import TaskScores
from densing.lab.elusive.stage_study import StageStudy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GRAY, DARK = "0.55", "0.15"
STAGE_NAMES = {
    "log_p_vocab": "log p",
    "p_vocab": "p",
    "p_choices": "p among choices",
    "brier": "Brier score",
    "accuracy": "accuracy",
}
STAGE_COLORS = {"log_p_vocab": "C0", "p_vocab": "C5", "p_choices": "C1", "brier": "C4", "accuracy": "C3"}


def telling_task(tasks: Mapping[str, TaskScores], tokens: float) -> TaskScores:
    """The task whose items' log p follows size most closely (median |Spearman|), under its models of one budget."""
    at_budget = [task.by_size(tokens) for task in tasks.values()]
    return max(
        at_budget, key=lambda task: np.nanmedian(np.abs(item_correlations(task.scores, "log_p_vocab")))
    )


def telling_items(task: TaskScores) -> dict[str, int]:
    """Four items, by what becomes of them: accuracy rises, p_choices falls, accuracy wavers, accuracy stays 0.

    In all of them the right choice's log p rises with compute. A kind of which there is no item is left out.
    """
    scores = task.scores
    rising = item_correlations(scores, "log_p_vocab") > 0.5
    accuracy = item_correlations(scores, "accuracy")
    shares = item_correlations(scores, "p_choices", constant_items="zero")
    never = (scores.stage("accuracy") == 0).all(axis=0)
    gained = item_correlations(scores, "log_p_vocab", "pearson", constant_items="zero")
    found = {
        "rises": np.where(rising, accuracy, np.nan),
        "falls": np.where(rising & (accuracy < 0), -shares, np.nan),
        "wavers": np.where(rising, -np.abs(accuracy), np.nan),
        "never right": np.where(rising & never, gained, np.nan),
    }
    chosen: dict[str, int] = {}
    for kind, values in found.items():
        values = values.copy()
        values[list(chosen.values())] = np.nan
        if not np.isnan(values).all():
            chosen[kind] = int(np.nanargmax(values))
    return chosen


def stages_chart(task: TaskScores, items: Mapping[str, int], label: str = "training compute") -> "Figure":
    """Items (columns) followed through the stages (rows): log p of all choices, then what is made of it.

    Parameters
    ----------
    task : under models to show, a line through the means of equal scale.
    items : title to index, from `telling_items`.
    label : of the horizontal axis.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    rows = ("log_p_vocab", "p_vocab", "p_choices", "accuracy")
    fig, axes = plt.subplots(len(rows), len(items), figsize=(5.2, 5.4), sharex=True, squeeze=False)
    scale = task.scores.compute
    for column, (title, item) in enumerate(items.items()):
        one = task.scores.select(items=[item])
        axes[0, column].set_title(title, fontsize=10)
        axes[0, column].yaxis.set_major_locator(MaxNLocator(4, integer=True))
        for choice in np.flatnonzero(one.wrong[0]):
            _means(axes[0, column], scale, one.log_p[:, 0, choice], GRAY, lw=0.9)
        for row, stage in enumerate(rows):
            ax, values = axes[row, column], one.stage(stage)[:, 0]
            if stage == "p_vocab":  # relative to its largest, since items differ by orders of magnitude
                values = values / values.max()
            ax.plot(scale, values, ".", color=STAGE_COLORS[stage], ms=3, alpha=0.5, mec="none")
            _means(ax, scale, values, STAGE_COLORS[stage], lw=1.8)
            ax.set_xscale("log")
            ax.tick_params(labelsize=8)
            ax.minorticks_off()
            if row:
                ax.set_ylim(-0.08, 1.08)
                ax.set_yticks([0, 0.5, 1], ["0", "", "1"] if column == 0 else ["", "", ""])
    for row, text in enumerate(("log p\n(nats)", "p\n(relative)", "p among\nchoices", "accuracy")):
        axes[row, 0].set_ylabel(text, fontsize=9.5)
    fig.supxlabel(label, fontsize=11)
    fig.align_ylabels(axes[:, 0])
    return fig


def survival_chart(
    tasks: Mapping[str, TaskScores],
    kind: str = "spearman",
    stages: Sequence[str] = ("log_p_vocab", "p_choices", "accuracy"),
    *,
    constant_items: str = "drop",
    normalize: str = "raw",
    draws: int = 40,
    seed: int = 0,
) -> "Figure":
    """Share of items whose |correlation| with compute exceeds a threshold, one panel a task, what chance gives in gray.

    Parameters
    ----------
    tasks : by name. kind, stages, constant_items, normalize : as `item_correlations`.
    draws, seed : of the permutations of the scales, jointly over items, for the 95 % band of p_choices.
    """
    fig, panels = _panels(list(tasks))
    grid = np.linspace(0, 1, 101)
    for name, task in tasks.items():
        ax = panels[name]
        null = permuted_correlations(
            task.scores,
            "p_choices",
            kind,
            cells=task.scores.compute,
            normalize=normalize,
            draws=draws,
            seed=seed,
        )
        curves = np.array([survival(np.abs(row), grid) for row in null])
        ax.fill_between(
            grid, *np.quantile(curves, [0.025, 0.975], axis=0), color="0.85", lw=0, label="by chance"
        )
        for stage in stages:
            found = item_correlations(
                task.scores, stage, kind, constant_items=constant_items, normalize=normalize
            )
            ax.plot(grid, survival(np.abs(found), grid), color=STAGE_COLORS[stage], label=STAGE_NAMES[stage])
        ax.set(xlim=(0, 1), ylim=(0, 1.02))
        ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        ax.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    _below(fig, panels, f"|{kind.capitalize()} correlation| with compute exceeds", "share of items")
    return fig


def frozen_chart(studies: Mapping[str, StageStudy]) -> "Figure":
    """Median |Pearson| correlation of p_vocab, p_choices, and p_choices with frozen incorrect choices, by task."""
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.2, 0.55 * len(studies) + 1.5))
    marks = (
        (STAGE_NAMES["p_vocab"], "o", STAGE_COLORS["p_vocab"]),
        (STAGE_NAMES["p_choices"], "s", STAGE_COLORS["p_choices"]),
        (f"{STAGE_NAMES['p_choices']}, incorrect ones frozen", "D", "C2"),
    )
    for row, study in enumerate(studies.values()):
        for at, (label, marker, color) in enumerate(marks):
            one = study.frozen.estimate(at)
            y = row + (at - 1) * 0.22
            ax.plot([one.lower, one.upper], [y, y], color=color, lw=1.4)
            ax.plot(one.value, y, marker, color=color, ms=7, label=label if row == 0 else None)
    ax.set_yticks(range(len(studies)), [name.replace(" (", "\n(") for name in studies])
    ax.invert_yaxis()
    ax.set_xlabel("median |Pearson correlation| with ln compute")
    ax.grid(axis="y", visible=False)
    fig.legend(loc="outside upper center", ncols=3, columnspacing=1.2, handletextpad=0.2)
    return fig


def arrows_chart(tasks: Mapping[str, TaskScores], items: int = 40, seed: int = 0) -> "Figure":
    """Log p of the right choice (across) and mean log p of the incorrect ones (up), from least to most compute.

    Parameters
    ----------
    tasks : by name. items : arrows in each panel, drawn at random. seed : of the draw.
    """
    fig, panels = _panels(list(tasks))
    for name, task in tasks.items():
        ax, scores = panels[name], task.scores
        rng = np.random.default_rng(seed)
        chosen = np.sort(rng.permutation(scores.shape[1])[:items])
        right = scores.stage("log_p_vocab")[:, chosen]
        wrong = np.where(scores.wrong, scores.log_p, np.nan)[:, chosen]
        wrong = np.nanmean(wrong, axis=2)
        ends = [scores.compute == value for value in (scores.compute.min(), scores.compute.max())]
        (x0, x1), (y0, y1) = ([values[end].mean(axis=0) for end in ends] for values in (right, wrong))
        color = np.where(y1 > y0, "C1", "C0")
        units = {"angles": "xy", "scale_units": "xy", "scale": 1}
        ax.quiver(x0, y0, x1 - x0, y1 - y0, color=color, width=0.006, headwidth=5, **units)
        low, high = min(x0.min(), x1.min(), y0.min(), y1.min()), max(x0.max(), x1.max(), y0.max(), y1.max())
        margin = 0.05 * (high - low)
        ax.plot([low, high], [low, high], color=GRAY, lw=0.9, ls=":", zorder=0)
        ax.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin))
    _below(
        fig, panels, "log p of the right choice (nats)", "mean log p of incorrect ones (nats)", legend=False
    )
    return fig


def _means(ax: "Axes", scale: NDArray, values: NDArray, color: str, **style: float) -> None:
    different, place = np.unique(scale, return_inverse=True)
    ax.plot(different, np.bincount(place, values) / np.bincount(place), color=color, **style)


def _panels(names: Sequence[str]) -> tuple["Figure", dict[str, "Axes"]]:
    import matplotlib.pyplot as plt

    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    size = (5.2, 1.75 * rows + 1.0 if columns > 1 else 3.6)
    fig, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for ax in axes.ravel()[len(names) :]:
        ax.set_visible(False)
    panels = dict(zip(names, axes.ravel(), strict=False))
    for name, ax in panels.items():
        ax.set_title(name, fontsize=10.5)
    return fig, panels


def _below(fig: "Figure", panels: Mapping[str, "Axes"], across: str, up: str, *, legend: bool = True) -> None:
    fig.supxlabel(across, fontsize=11)
    fig.supylabel(up, fontsize=11)
    if legend:
        handles, labels = next(iter(panels.values())).get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside upper center", ncols=2)
