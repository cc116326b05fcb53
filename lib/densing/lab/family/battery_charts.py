"""Charts of the battery's scores over the ladder. Colours are those of the style in force."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from densing.lab.family.grades import DECADES
from densing.lab.family.ladder_charts import size_colours
from densing.lab.yardstick.rows import METRIC

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GRAY, _DARK = "0.5", "0.15"
_LEAST_RATE = 1e-5


def pass_rate_chart(runs: pd.DataFrame, families: Sequence[str], floor: Collection[str] = ()) -> "Figure":
    """Pooled pass rates of generation families against the loss, a panel each, blind rates in gray.

    Parameters
    ----------
    runs : branches with <family>_score and <family>_blind. families : in the order of the panels.
    floor : families at the floor: their panels say so, and scores beyond the blind ones are not counted there.
    """
    fig, axes = _panels(len(families), columns=3, height=1.35)
    rates = runs[[f"{family}_{name}" for family in families for name in ("score", "blind")]].to_numpy()
    low = max(_LEAST_RATE, 0.5 * float(rates[rates > 0].min()))
    for ax, family in zip(axes, families, strict=False):
        ax.plot(runs[METRIC], runs[f"{family}_blind"], ".", color=_GRAY, ms=3.5)
        ax.plot(runs[METRIC], runs[f"{family}_score"], ".", color="C0", ms=4.5)
        ax.set(yscale="log", ylim=(low, 2.5))
        ax.set_yticks([rate for rate in (*DECADES[:-1], 1.0) if rate > low])
        ax.minorticks_off()
        _name(ax, family, family in floor)
    fig.supxlabel("bits per byte (better to the right)", fontsize=11)
    fig.supylabel("pass rate", fontsize=11)
    return fig


def accuracy_chart(runs: pd.DataFrame, families: Sequence[str], floor: Collection[str] = ()) -> "Figure":
    """Accuracies of choice families against the loss, a panel each, blind accuracies in gray, chance dotted.

    Parameters
    ----------
    runs, families, floor : as for `pass_rate_chart`.
    """
    fig, axes = _panels(len(families), columns=3, height=1.5)
    scores = runs[[f"{family}_score" for family in families]]
    for ax, family in zip(axes, families, strict=False):
        ax.axhline(0.25, color=_DARK, ls=":", lw=1)
        ax.plot(runs[METRIC], runs[f"{family}_blind"], ".", color=_GRAY, ms=3.5)
        ax.plot(runs[METRIC], runs[f"{family}_score"], ".", color="C0", ms=4.5)
        ax.set_ylim(0.1, max(0.5, 1.08 * float(np.nanmax(scores))))
        _name(ax, family, family in floor)
    fig.supxlabel("bits per byte (better to the right)", fontsize=11)
    fig.supylabel("accuracy", fontsize=11)
    return fig


def decades_chart(rates: pd.DataFrame, families: Sequence[str]) -> "Figure":
    """Pass rate of every size and grade, a row a family; those that the blind rate explains are gray.

    Parameters
    ----------
    rates : from `resolved_rates`. families : rows, from above.
    """
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.2, 0.34 * len(families) + 1.5))
    sizes = rates.sort_values("n_parameters")["size"].unique().tolist()
    colours = size_colours(sizes)
    for at, family in enumerate(families):
        own = rates[(rates["family"] == family) & (rates["rate"] >= _LEAST_RATE)]
        lift = 0.5 * (np.array([sizes.index(size) for size in own["size"]]) / max(len(sizes) - 1, 1) - 0.5)
        found = own["resolved"].to_numpy(bool)
        ax.plot(own["rate"][~found], (at - lift)[~found], "x", color="0.7", ms=3.5, mew=0.9)
        shades = [colours[size] for size in own["size"][found]]
        ax.scatter(own["rate"][found], (at - lift)[found], c=shades, s=15, lw=0, zorder=3)
    ax.set(xscale="log", xlim=(_LEAST_RATE, 1.3), xlabel="pass rate")
    ax.set_xticks(DECADES)
    ax.set_yticks(range(len(families)), families)
    ax.set_ylim(len(families) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    ax.minorticks_off()
    for k, size in enumerate((sizes[0], sizes[-1])):
        ax.annotate(
            size, (0.02 + 0.16 * k, 1.02), xycoords="axes fraction", color=colours[size], fontsize=9.5
        )
    ax.annotate(
        "not above blind", (0.98, 1.02), xycoords="axes fraction", color=_GRAY, fontsize=9.5, ha="right"
    )
    return fig


def _panels(count: int, *, columns: int, height: float):
    import matplotlib.pyplot as plt

    lines = -(-count // columns)
    fig, grid = plt.subplots(
        lines, columns, figsize=(5.2, height * lines + 0.5), sharex=True, sharey=True, squeeze=False
    )
    axes = grid.ravel()
    for ax in axes[count:]:
        ax.set_visible(False)
    axes[0].invert_xaxis()
    return fig, axes


def _name(ax, family: str, floor: bool) -> None:
    text = f"{family} (floor)" if floor else family
    ax.annotate(
        text, (0.05, 0.9), xycoords="axes fraction", fontsize=9, va="top", color=_GRAY if floor else _DARK
    )
