"""Chart of the book's own members under the law of over-training. Colours are those of the style in force."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from densing.fitters.overtraining.results import OverTrainingResults
from densing.lab.family.ladder_charts import labels_apart, size_colours
from densing.lab.over_training.own_members import LOSS, fitted_members
from densing.laws.loss.overtraining import overtraining

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def members_chart(family: pd.DataFrame, members: pd.DataFrame, fit: OverTrainingResults) -> "Figure":
    """Losses of the book's own family against tokens, the law fitted to its smallest members, and what it predicts.

    Parameters
    ----------
    family : rows of the reference family. members : from `forecast_members`. fit : the law, from `fit_members`.
    """
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.2, 3.9))
    runs = family[family["size"].isin(members["size"]) | fitted_members(family)]
    colours = size_colours(runs.sort_values("n_parameters")["size"].unique().tolist())
    budgets = sorted(family["tokens"].unique())
    ends = {}
    for size, own in runs.groupby("size"):
        params, first = own["n_parameters"].iloc[0], own["tokens"].min()
        used = own[fitted_members(own)]
        means = used.groupby("tokens")[LOSS].mean()
        ax.plot(means.index, means, "o", color=colours[size], ms=5.5)
        fitted = means.index.max() if len(means) else first
        ahead = members.loc[members["size"] == size, "tokens"].max()  # nan if it is not predicted
        for low, high, style in ((first, fitted, "-"), (fitted, ahead, ":")):
            if high > low:
                tokens = np.geomspace(low, high, 60)
                losses = _law(fit, params, tokens)
                ax.plot(tokens, losses, style, color=colours[size], lw=1.4)
                ends[size] = (high, losses[-1])
    beside = 1.06 ** members.groupby("tokens").cumcount()  # where several are predicted at one budget
    for row, tokens in zip(members.itertuples(), members["tokens"] * beside, strict=True):
        reach = [[row.loss_hat - row.loss_lower], [row.loss_upper - row.loss_hat]]
        ax.errorbar(tokens, row.loss_hat, yerr=reach, fmt="none", ecolor="C3", lw=1.6, capsize=4)
        ax.plot(tokens, row.loss, "o", mfc="white", mec=colours[row.size], mew=1.8, ms=8, zorder=4)
    ax.set(xscale="log", xlabel="training tokens", ylabel="bits per byte")
    ax.set_xticks(budgets, [f"{tokens / 1e6:g}M" for tokens in budgets])
    ax.minorticks_off()
    for last in sorted({x for x, _ in ends.values()}):
        beyond = 1.12 if last == max(budgets) else 0.93  # of the rings
        labels_apart(ax, {size: (beyond * x, y) for size, (x, y) in ends.items() if x == last}, colours)
    ax.set_xlim(right=1.9 * max(budgets))
    return fig


def _law(fit: OverTrainingResults, params: float, tokens: np.ndarray) -> np.ndarray:
    return overtraining(6 * params * tokens, tokens / params, **fit.loss.params)
