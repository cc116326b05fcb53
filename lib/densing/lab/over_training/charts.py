"""Charts of over-training. Colours are those of the style in force (C0, C1, ...)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from densing.fitters.overtraining.interaction import MultiplierInteraction
from densing.fitters.overtraining.results import OverTrainingResults
from densing.lab.over_training.rivals import SubsetStudy
from densing.lab.over_training.runs import small_runs, targets_of
from densing.laws.loss.overtraining import overtraining, price_of_multiplier, size_ratio_of_multiplier

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GRAY, _DARK = "0.5", "0.15"
_LEVELS = (5, 10, 20, 40, 80, 160, 320, 640)


def parallel_lines_chart(runs: pd.DataFrame, fit: OverTrainingResults) -> "Figure":
    """Reducible loss against compute, coloured by tokens per parameter, with the law's lines for M = 20 and 640.

    Parameters
    ----------
    runs : of one training set, from `over_trained_runs`.
    fit : the law, fitted to the runs whose role is "five".
    """
    import matplotlib.pyplot as plt
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    fig, ax = plt.subplots(figsize=(5.2, 3.9))
    # without the palest end, which a white page swallows
    dark = LinearSegmentedColormap.from_list("", plt.get_cmap("viridis")(np.linspace(0, 0.88, 64)))
    floor, shades = fit.loss.params["e"], {"cmap": dark, "norm": LogNorm(5, 640)}
    for role, style in (
        ("other", {"s": 26, "edgecolors": "none"}),
        ("five", {"s": 52, "edgecolors": _DARK, "linewidths": 1.4}),
        ("target", {"s": 110, "edgecolors": "C3", "linewidths": 2.0}),
    ):
        part = runs[runs["role"] == role]
        style |= shades | {"c": part["multiplier"], "zorder": 3}
        points = ax.scatter(part["flops"], part["loss"] - floor, **style)
    flops = np.geomspace(8e15, 1.6e22, 50)
    for multiplier, at, shift in ((20, 14, (-56, -12)), (640, 0, (8, 2))):
        curve = overtraining(flops, multiplier, **fit.loss.params) - floor
        ax.plot(flops, curve, color=shades["cmap"](shades["norm"](multiplier)), lw=1.3)
        ax.annotate(f"M = {multiplier}", (flops[at], curve[at]), xytext=shift, textcoords="offset points")
    # the over-trained target's label stands above its line, the large one's below
    sides = (((16, 46), "bottom"), ((-12, -4), "top"))
    for row, (shift, side) in zip(targets_of(runs).itertuples(), sides, strict=True):
        text = f"{row.params / 1e9:.1f}B,\n{row.tokens / 1e9:.0f}B tokens"
        place = {"xytext": shift, "textcoords": "offset points", "ha": "right", "va": side}
        ax.annotate(text, (row.flops, row.loss - floor), fontsize=9.5, **place)
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="training compute C (FLOPs)",
        ylabel="reducible loss L − E (nats per token)",
    )
    ax.set_ylim(0.42, 5.2)
    _ticks(ax.yaxis, (0.5, 1, 2, 4))
    bar = fig.colorbar(points, ax=ax, label="tokens per parameter M", pad=0.02)
    _ticks(bar.ax.yaxis, (5, 20, 80, 320))
    return fig


def loss_error_chart(
    runs: pd.DataFrame, fit: OverTrainingResults, targets: pd.DataFrame, level: float = 0.95
) -> "Figure":
    """Mean error against loss, the fitted curve with its band, and the two targets with their chained intervals.

    Parameters
    ----------
    runs, fit : as for `parallel_lines_chart`.
    targets : from `forecast_targets`.
    """
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.2, 3.7))
    x = np.linspace(2.2, 6.2, 200)
    _band(ax, x, fit.error.law.value(fit.error.bootstrap_params, x[None]), level, "C0")
    ax.plot(x, fit.error.predict({"L": x}), color="C0")
    other, used = runs[runs["role"] == "other"], runs[runs["role"].isin(["five", "sixth"])]
    ax.plot(other["loss"], other["error"], "o", mfc="none", mec=_GRAY, ms=4.5, label="other small runs")
    ax.plot(used["loss"], used["error"], "o", color="C0", ms=7, label="the six runs of the fit")
    seen = {"mfc": "none", "mec": "C3", "mew": 1.8, "ms": 11, "zorder": 4}
    ax.plot(targets["loss"], targets["error"], "o", label="large runs, observed", **seen)
    reach = {}
    for axis, name in (("xerr", "loss"), ("yerr", "error")):
        ends = targets[[f"{name}_ci_lower", f"{name}_ci_upper"]].to_numpy()
        reach[axis] = np.abs(ends - targets[[f"{name}_hat"]].to_numpy()).T
    style = {"fmt": "x", "color": _DARK, "ms": 7, "mew": 1.8, "lw": 1, "zorder": 5}
    ax.errorbar(targets["loss_hat"], targets["error_hat"], **reach, **style, label="predicted, with interval")
    ax.set(
        xlabel="C4 loss (nats per token)",
        ylabel="mean top-1 error, 17 tasks",
        xlim=(2.2, 6.2),
        ylim=(0.35, 0.9),
    )
    ax.legend(loc="lower right")
    return fig


def multiplier_slopes_chart(
    test: MultiplierInteraction, runs: pd.DataFrame, titles: Mapping[str, str]
) -> "Figure":
    """Slopes of ln(L - E) on ln C at each multiplier; hollow at multipliers that took no part in `test`.

    Parameters
    ----------
    runs : of all training sets.
    titles : training set to its name in the legend.
    """
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.2, 3.4))
    for number, (side, name) in enumerate(zip(_sides(titles), titles, strict=True)):
        part = test.slopes[test.slopes["table"] == name]
        reach = np.abs(part[["lower", "upper"]].to_numpy().T - part["slope"].to_numpy())
        style = {"color": f"C{number}", "lw": 1, "label": titles[name]}
        ax.errorbar(part["multiplier"] * side, part["slope"], reach, fmt="o", **style)
        small = small_runs(runs[runs["training_set"] == name])
        for multiplier, few in small.groupby("planned_multiplier"):
            if multiplier < 0.99 * part["multiplier"].min():
                slope = np.polyfit(np.log(few["flops"]), np.log(few["loss"] - test.floors[name]), 1)[0]
                ax.plot(multiplier * side, slope, "o", mfc="white", color=f"C{number}")
    ax.set(
        xscale="log",
        xlabel="tokens per parameter M",
        ylabel="slope of ln(L − E) on ln C",
        ylim=(-0.18, -0.06),
    )
    _ticks(ax.xaxis, _LEVELS)
    ax.legend(ncol=3, loc="upper center", columnspacing=1, handletextpad=0.3)
    return fig


def subset_errors_chart(studies: Mapping[str, SubsetStudy], published: Mapping[str, float]) -> "Figure":
    """Histograms of the forecast errors of all subsets, and the published choices.

    Parameters
    ----------
    studies : name of a training set to its study.
    published : name to the error of the published five, per cent.
    """
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.2, 3.7))
    edges = np.geomspace(0.2, 64, 59)
    for number, (name, study) in enumerate(studies.items()):
        # shares of all subsets; the few beyond the axis are not drawn
        heights = 100 * np.histogram(study.errors, edges)[0] / len(study.errors)
        label = f"{name}: median {np.median(study.errors):.1f} %"
        ax.stairs(heights, edges, color=f"C{number}", lw=1.8, label=label)
        height = heights[np.searchsorted(edges, published[name]) - 1]
        ax.plot(published[name], height, "v", color=f"C{number}", mec=_DARK, ms=10, zorder=4)
    ax.axvline(5, color=_GRAY, ls=":", lw=1.2)
    ax.set(xscale="log", ylim=(0, None), ylabel="share of subsets (%)")
    ax.set_xlabel("error of the loss forecast, larger of two runs (%)")
    _ticks(ax.xaxis, (0.5, 1, 2, 5, 10, 20, 50))
    ax.legend(loc="upper left", handlelength=1.2, fontsize=9.5)
    return fig


def neighbouring_designs_chart(designs: Mapping[str, pd.DataFrame], published: float = 20) -> "Figure":
    """Errors of the published design moved to other multipliers: median and range over the fifth run's multiplier.

    Parameters
    ----------
    designs : name of a training set to what `neighbouring_designs` found.
    published : the paper's multiplier.
    """
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.2, 3.5))
    for number, (side, name) in enumerate(zip(_sides(designs), designs, strict=True)):
        found = designs[name].groupby("main")["error"].agg(["min", "median", "max"])
        reach = np.abs(found[["min", "max"]].to_numpy().T - found["median"].to_numpy())
        ax.errorbar(
            found.index * side, found["median"], reach, fmt="o", color=f"C{number}", lw=1.3, label=name
        )
    ax.axvspan(published / 1.17, published * 1.17, color=_GRAY, alpha=0.15, lw=0)
    ax.annotate("published", (published, 0.115), ha="center")
    ax.set(xscale="log", yscale="log", ylim=(0.1, 80), xlabel="multiplier M of the four sizes")
    ax.set_ylabel("error of the loss forecast (%)")
    _ticks(ax.xaxis, _LEVELS)
    _ticks(ax.yaxis, (0.1, 0.3, 1, 3, 10, 30))
    ax.legend(ncol=3, loc="upper center", handletextpad=0.2, columnspacing=1)
    return fig


def overtraining_cost_chart(
    fit: OverTrainingResults, params_small: np.ndarray, params_optimal: float
) -> "Figure":
    """Training and serving FLOPs of smaller models of equal loss, over those of the compute-optimal one."""
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.2, 3.7))
    served = np.geomspace(1e9, 1e14, 200)
    whole = fit.overtraining_cost(params_optimal, params_optimal).iloc[0]
    colors = ("C3", "C0", "C2", "C4", "C5", "C1")
    for row, color in zip(
        fit.overtraining_cost(params_small, params_optimal).itertuples(), colors, strict=False
    ):
        cost = fit.lifetime_cost(row.params, params_optimal, served)
        ax.fill_between(served, cost["lower"], cost["upper"], color=color, alpha=0.15, lw=0)
        ax.plot(served, cost["ratio"], color=color)
        ax.plot(row.break_even_tokens, 1, "o", color=color, zorder=4)
        label = f"{row.params / 1e9:g}B, M = {row.multiplier:.0f}"
        place = {"xytext": (0, 5), "textcoords": "offset points"}
        ax.annotate(label, (1.15e9, cost["ratio"][0]), color=color, **place)
    ax.axhline(1, color=_DARK, lw=1.2)
    label = f"{params_optimal / 1e9:g}B, M = {whole['multiplier']:.1f}"
    ax.annotate(label, (8e13, 1), xytext=(0, 5), textcoords="offset points", ha="right")
    ax.set(xscale="log", yscale="log", xlim=(1e9, 1e14), xlabel="tokens served")
    ax.set_ylabel(f"total FLOPs over those of {params_optimal / 1e9:g}B")
    _ticks(ax.yaxis, (0.2, 0.5, 1, 2, 5, 10))
    return fig


def overtraining_efficiency_chart(fit: OverTrainingResults, level: float = 0.95) -> "Figure":
    """Two readings of "efficient" against M: worth in parameters, and training FLOPs for a given loss."""
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.2, 3.5))
    multipliers = np.geomspace(2, 1_500, 120)
    drawn = dict(zip(fit.loss.law.names, fit.loss.bootstrap_params.T[..., None], strict=True))
    at = {name: fit.loss.params[name] for name in ("a", "b", "eta")}
    drawn = {name: drawn[name] for name in at}
    worth = [size_ratio_of_multiplier(multipliers, 20.0, **theta) for theta in (at, drawn)]
    price = [price_of_multiplier(multipliers, **theta) for theta in (at, drawn)]
    labels = (
        (worth, "C0", "density\n(M = 20 is 1)", (26, 0.58)),
        (price, "C3", "price: training\nFLOPs for a loss", (90, 5.2)),
    )
    for (value, draws), color, label, spot in labels:
        _band(ax, multipliers, draws, level, color)
        ax.plot(multipliers, value, color=color)
        ax.annotate(label, spot, color=color)
    ax.set(xscale="log", yscale="log", xlabel="tokens per parameter M", ylabel="ratio")
    _ticks(ax.xaxis, (2, 5, 20, 80, 320, 1_280))
    _ticks(ax.yaxis, (0.2, 0.5, 1, 2, 5, 10))
    return fig


def _sides(sets: Mapping) -> np.ndarray:
    """Factors that set the points of several training sets beside each other on a logarithmic axis."""
    return 1.075 ** (np.arange(len(sets)) - (len(sets) - 1) / 2)


def _band(ax: "Axes", x: np.ndarray, draws: np.ndarray, level: float, color: str) -> None:
    ends = np.quantile(draws, ((1 - level) / 2, (1 + level) / 2), axis=0)
    ax.fill_between(x, *ends, color=color, alpha=0.15, lw=0)


def _ticks(axis, values) -> None:
    """Plain numbers at `values` and nowhere else."""
    axis.set_ticks(values, [f"{v:g}" for v in values])
    axis.set_ticks([], minor=True)
