"""Charts of how the family is trained and what its losses are. Colours are those of the style in force."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from densing.lab.family.rate_trials import LOSS, PeakRateLaw
from densing.lab.reference.planned import FINAL, WARMUP_SHARE
from densing.lab.reference.recipe import BUDGETS, DECAY_SHARE, REFERENCE_TOKENS, WARMUP_TOKENS
from densing.training.schedules import cosine, wsd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GRAY, _DARK = "0.5", "0.15"


def size_colours(sizes: list[str]) -> dict[str, tuple]:
    """A colour for each size, dark for small ones."""
    import matplotlib.pyplot as plt

    # without the palest end, which a white page swallows
    shades = plt.get_cmap("viridis")(np.linspace(0, 0.85, len(sizes)))
    return dict(zip(sizes, map(tuple, shades), strict=True))


def schedule_chart() -> "Figure":
    """Rate against tokens: the trunk, the branches that leave it, and one planned run."""
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.2, 2.9))
    leave = (1 - DECAY_SHARE) * BUDGETS[-1]
    ax.plot([0, WARMUP_TOKENS / 1e6, leave / 1e6], [0, 1, 1], color="C0", lw=2.4)
    for budget in BUDGETS:
        tokens = np.linspace((1 - DECAY_SHARE) * budget, budget, 60)
        rate = wsd(budget, warmup_tokens=WARMUP_TOKENS, decay_tokens=DECAY_SHARE * budget)
        ax.plot(tokens / 1e6, [rate(t) for t in tokens], color="C3", lw=1.8)
    planned = cosine(REFERENCE_TOKENS, warmup_tokens=WARMUP_SHARE * REFERENCE_TOKENS, final=FINAL)
    tokens = np.linspace(0, REFERENCE_TOKENS, 200)
    ax.plot(tokens / 1e6, [planned(t) for t in tokens], "--", color=_GRAY, lw=1.3)
    ax.annotate("trunk", (5.6, 1.0), xytext=(0, 5), textcoords="offset points", color="C0", ha="center")
    ax.annotate("branch for\n8M tokens", (7.62, 0.42), xytext=(-8, 0), textcoords="offset points", color="C3",
                ha="right", va="center")  # fmt: skip
    ax.annotate("cosine planned\nfor 4M", (2.1, 0.8), color=_GRAY, va="center")
    ax.set(xlabel="tokens seen, millions", ylabel="rate over peak rate", ylim=(0, 1.14), xlim=(0, 8.2))
    ax.set_xticks([budget / 1e6 for budget in BUDGETS], ["0.5", "1", "2", "4", "8"])
    return fig


def peak_rate_chart(trials: pd.DataFrame, law: PeakRateLaw) -> "Figure":
    """Loss against peak rate for each size tried, with the quadratic through three points and its vertex.

    Parameters
    ----------
    trials : from `rate_trials`. law : fitted to them.
    """
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.2, 3.4))
    for k, (size, optimum) in enumerate(law.optima.items()):
        own = trials[trials["size"] == size].sort_values("rate")
        best = optimum.optimum.value
        fine = np.geomspace(best / 2.6, best * 2.6, 60)
        ax.plot(own["rate"], own[LOSS], "o", color=f"C{k}")
        ax.plot(fine, optimum.predict(fine), color=f"C{k}", lw=1.2)
        ax.plot(best, optimum.predict(best), "v", color=_DARK, ms=7)
        ax.annotate(f"{size}: {best:.2g}", (best, float(optimum.predict(best))), xytext=(0, -15),
                    textcoords="offset points", color=f"C{k}", ha="center")  # fmt: skip
    ax.set(xscale="log", xlabel="peak learning rate", ylabel="bits per byte (development split)")
    ticks = sorted(trials["rate"].unique())
    ax.set_xticks(ticks, [f"{rate:g}" for rate in ticks])
    ax.minorticks_off()
    ax.margins(y=0.12)
    return fig


def reference_ladder_chart(curves: pd.DataFrame) -> "Figure":
    """Loss against tokens: trunks as lines, decays as hooks, branches as dots, one colour a size.

    Parameters
    ----------
    curves : from `ladder_curves`.
    """
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.2, 4.3))
    colours = size_colours(curves.sort_values("n_parameters")["size"].unique().tolist())
    for size, colour in colours.items():
        own = curves[curves["size"] == size]
        trunk = own[own["kind"] == "trunk"].sort_values("tokens")
        ax.plot(trunk["tokens"], trunk["loss"], color=colour, lw=1.0, alpha=0.65)
        for _, decay in own[own["kind"] == "decay"].groupby("budget"):
            decay = decay.sort_values("tokens")
            ax.plot(decay["tokens"], decay["loss"], color=colour, lw=1.8)
            ax.plot(decay["tokens"].iloc[-1], decay["loss"].iloc[-1], "o", color=colour, ms=4.5)
        last = own.sort_values("tokens").iloc[-1]
        ends = own[own["tokens"] == last["tokens"]]["loss"]
        ax.annotate(size, (last["tokens"], ends.min()), xytext=(7, 0), textcoords="offset points", color=colour,
                    va="center", fontsize=9.5)  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="tokens seen", ylabel="bits per byte (reported split)")
    low, high = curves["loss"].min(), curves["loss"].max()
    ticks = [t for t in (1.4, 1.6, 1.8, 2.0, 2.4, 2.8, 3.2, 4.0, 5.0) if 0.95 * low <= t <= high]
    ax.set_yticks(ticks, [f"{t:g}" for t in ticks])
    ax.set_xticks([5e4, 1e5, *BUDGETS], ["50K", "100K", "0.5M", "1M", "2M", "4M", "8M"])
    ax.minorticks_off()
    ax.set_xlim(right=2.1 * curves["tokens"].max())
    return fig


def law_residual_chart(residuals: pd.DataFrame) -> "Figure":
    """Cells over the law that was fitted without the largest size and budget, in per cent, one line a size.

    Parameters
    ----------
    residuals : from `law_residuals`.
    """
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.2, 3.8))
    order = residuals.sort_values("n_parameters")["size"].unique().tolist()
    colours = size_colours(order)
    ax.axhspan(-1, 1, color=_GRAY, alpha=0.12, lw=0)
    ax.axhline(0, color=_GRAY, lw=1)
    ends = {}
    for size, own in residuals.groupby("size"):
        own = own.sort_values("tokens")
        colour, values = colours[size], 100 * own["residual"]
        ax.plot(own["tokens"], values, color=colour, lw=1.1)
        out = own["held_out"] | own["left_out"]
        ax.plot(own["tokens"][~out], values[~out], "o", color=colour, ms=5.5)
        ax.plot(own["tokens"][out], values[out], "o", mfc="white", mec=colour, mew=1.6, ms=6.5)
        ends[size] = (own["tokens"].iloc[-1], values.iloc[-1])
    labels_apart(ax, ends, colours)
    ax.set(xscale="log", xlabel="tokens", ylabel="observed over law − 1, %")
    budgets = sorted(residuals["tokens"].unique())
    ax.set_xticks(budgets, [f"{budget / 1e6:g}M" for budget in budgets])
    ax.minorticks_off()
    ax.set_xlim(right=2.0 * max(budgets))
    return fig


def labels_apart(ax, ends: dict[str, tuple[float, float]], colours: dict[str, tuple]) -> None:
    """Labels right of the last points, moved apart where they would overlap.

    Parameters
    ----------
    ax : with a linear vertical axis. ends : name to its last point. colours : by name.
    """
    low, high = ax.get_ylim()
    step = 0.062 * (high - low)
    names = sorted(ends, key=lambda name: ends[name][1])
    heights = np.array([ends[name][1] for name in names])
    for _ in range(200):
        gaps = np.diff(heights)
        close = np.flatnonzero(gaps < step - 1e-9)
        if not len(close):
            break
        for k in close:
            push = (step - (heights[k + 1] - heights[k])) / 2
            heights[k] -= push
            heights[k + 1] += push
    right = max(x for x, _ in ends.values())
    for name, height in zip(names, heights, strict=True):
        ax.annotate(name, (right * 1.12, height), color=colours[name], va="center", fontsize=9.5)
