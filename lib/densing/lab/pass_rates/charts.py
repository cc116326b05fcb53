"""Charts of pass rates. Colours are those of the style in force (C0, C1, ...)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from densing.fitters.task_scaling.estimator import TaskScalingLaw
from densing.fitters.task_scaling.stopped import expected_stopped_rate, mean_rate
from densing.lab.pass_rates.items import law_counts
from densing.lab.pass_rates.plan import task_title
from densing.lab.pass_rates.study import law_band
from densing.laws.capability.task_scaling import log_minus_log

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GRAY, _DARK = "0.5", "0.15"


def bias_chart(simulated: Mapping[int, tuple[NDArray, NDArray, NDArray]]) -> "Figure":
    """Mean of passes over samples, divided by the true rate, against the rate: theory and simulation.

    Parameters
    ----------
    simulated : number of passes to rates, means over the true rate and their standard errors.
    """
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.2, 3.4))
    fine = np.geomspace(1e-5, 0.9, 200)
    for i, (passes, (rate, mean, error)) in enumerate(simulated.items()):
        curve = expected_stopped_rate(fine, passes) / fine
        ax.plot(fine, curve, color=f"C{i}")
        ax.errorbar(rate, mean, yerr=2 * error, fmt="o", ms=4, color=f"C{i}")
        label = "stop at the first pass" if passes == 1 else f"{passes} passes"
        # over the left end of its curve, the lowest one under it
        below = i == len(simulated) - 1
        ax.annotate(
            label, (fine[8], curve[8]), xytext=(0, -14 if below else 5), textcoords="offset points",
            color=f"C{i}", fontsize=9.5,
        )  # fmt: skip
    ax.axhline(1, color=_GRAY, lw=1, ls=":")
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="true pass rate",
        ylabel="mean of passes / samples\nover the true rate",
    )
    ax.set_ylim(0.85, 16)
    ax.set_yticks([1, 1.5, 2, 3, 5, 10], ["1", "1.5", "2", "3", "5", "10"])
    ax.minorticks_off()
    return fig


def hidden_rates_chart(cells: pd.DataFrame, tasks: Sequence[str]) -> "Figure":
    """Sampled pass rates against size, hollow where greedy decoding solves nothing, and greedy accuracy below.

    Parameters
    ----------
    cells : from `greedy_cells`. tasks : at most five of them.
    """
    import matplotlib.pyplot as plt

    fig, (ax, low) = plt.subplots(
        2, 1, figsize=(5.2, 5.0), sharex=True, gridspec_kw={"height_ratios": (3, 1.15)}
    )
    ends = []
    for i, task in enumerate(tasks):
        own = cells[cells["task"] == task]
        size, rate, colour = own["n_parameters"], own["rate"].where(own["rate"] > 0), f"C{i}"
        ax.plot(size, rate, color=colour, lw=1.2)
        bars = [(own["rate"] - own["lower"]).clip(0), (own["upper"] - own["rate"]).clip(0)]
        ax.errorbar(size, rate, yerr=bars, fmt="none", color=colour, lw=1)
        silent = own["greedy_passes"] == 0
        for chosen, face in ((silent, "white"), (~silent, colour)):
            ax.plot(size[chosen], rate[chosen], "o", color=colour, mfc=face, ms=5.5)
        greedy = own["greedy_passes"] / own["greedy_n"]
        low.plot(size, greedy, "o-", color=colour, lw=1.2, ms=4)
        if rate.notna().any():
            ends.append((rate.dropna().iloc[-1], task_title(task), colour))
    ax.set(yscale="log", xscale="log", ylabel="pass rate, sampled")
    ax.set_ylim(top=2 * ax.get_ylim()[1])
    _labels(ax, cells["n_parameters"].max(), ends)
    low.set(xlabel="parameters without embeddings", ylabel="greedy\naccuracy")
    low.axhline(0, color=_GRAY, lw=1)
    low.set_ylim(-0.1 * low.get_ylim()[1], 1.1 * low.get_ylim()[1])
    low.set_xlim(cells["n_parameters"].min() / 1.5, 7 * cells["n_parameters"].max())
    return fig


def _labels(ax: "Axes", x: float, ends: Sequence[tuple[float, str, str]]) -> None:
    """Names at the right ends of lines, moved apart on a logarithmic axis."""
    if not ends:
        return
    low, high = np.log(ax.get_ylim())
    gap, ends = 0.07 * (high - low), sorted(ends)
    wanted = np.log([value for value, _, _ in ends])
    steps = gap * np.arange(len(ends))
    # no two closer than the gap, and together as near to their lines as that allows
    places = np.maximum.accumulate(wanted - steps) + steps
    places -= (places - wanted).mean()
    for place, (_, text, colour) in zip(places, ends, strict=True):
        ax.annotate(
            text, (x, np.exp(place)), xytext=(8, 0), textcoords="offset points", color=colour, va="center",
            fontsize=9.5, annotation_clip=False,
        )  # fmt: skip


def task_law_chart(
    items: pd.DataFrame, tasks: Sequence[str], fitted: Sequence[str], *, columns: int = 2
) -> "Figure":
    """F = ln(-ln rate) against size, a panel a task: the line through the fitted sizes with its band, others hollow.

    Parameters
    ----------
    items : from `pass_items`. tasks : a panel each. fitted : sizes that the line is fitted to.
    """
    import matplotlib.pyplot as plt

    rows = -(-len(tasks) // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(5.2, 0.6 + 1.75 * rows), sharex=True, squeeze=False)
    for ax, task in zip(axes.flat, tasks, strict=False):
        fit = TaskScalingLaw().fit(law_counts(items, task, fitted, exact=True))
        every = TaskScalingLaw().fit(law_counts(items, task, exact=True))
        size, F = every.table.size, every.F
        fine = np.geomspace(size.min() / 1.3, 1.3 * size.max(), 50)
        line, low, high = law_band(fit, fine)
        ax.fill_between(fine, low, high, color="C0", alpha=0.15, lw=0)
        ax.plot(fine, line, color="C0")
        seen = np.isin(size, fit.table.sizes)
        ax.plot(size[seen], F[seen], "o", color=_DARK, ms=4)
        ax.plot(size[~seen], F[~seen], "o", color="C3", mfc="white", ms=4.5)
        # high F is a low rate: the axis is turned so that better stands higher
        span = F.max() - F.min()
        ax.set_ylim(F.max() + 0.25 * span + 0.1, F.min() - 0.45 * span - 0.1)
        ax.set_xscale("log")
        ax.annotate(task_title(task), (0.04, 0.96), xycoords="axes fraction", va="top", fontsize=10)
    for ax in axes.flat[len(tasks) :]:
        ax.set_visible(False)
    for ax in axes[:, 0]:
        ax.set_ylabel("F")
    fig.supxlabel("parameters without embeddings", fontsize=11)
    return fig


def sampled_exact_chart(items: pd.DataFrame, *, level: float = 0.95) -> "Figure":
    """Sampled mean rate of each task under each member against the exact one, over all decades.

    Parameters
    ----------
    items : from `pass_items`. level : of the bars.
    """
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.2, 4.2))
    points = []
    for _, own in items[items["log_p"].notna()].groupby(["task", "size", "seed"]):
        rate = mean_rate(own["passes"], own["samples"], own["censored"], level)
        points.append((np.exp(own["log_p"]).mean(), rate.value, rate.lower, rate.upper))
    exact, value, lower, upper = np.array(points).T
    some = value > 0
    ends = [exact[some].min() / 2 if some.any() else 1e-6, 1.0]
    ax.plot(ends, ends, color=_GRAY, lw=1)
    bars = [np.maximum(value - lower, 0)[some], np.maximum(upper - value, 0)[some]]
    ax.errorbar(exact[some], value[some], yerr=bars, fmt="o", ms=2.5, lw=0.7, color="C0", alpha=0.6)
    shown = ~some & (exact > ends[0])
    if shown.any():
        ax.plot(exact[shown], upper[shown], "v", ms=4, color="C3", alpha=0.7)
        ax.annotate("nothing passed", (ends[0], 2 * upper[shown].max()), color="C3", fontsize=9.5)
    ax.set(xscale="log", yscale="log", xlabel="exact pass rate", ylabel="sampled pass rate")
    return fig


def rate_forecast_chart(forecasts: pd.DataFrame) -> "Figure":
    """Forecast against observed rates of the held-out sizes, where the fitted sizes passed anything at all.

    Laws of instances (with bars) and of test sets, and the last fitted rate carried forward.

    Parameters
    ----------
    forecasts : from `rate_forecasts`.
    """
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.2, 4.4))
    law = forecasts[(forecasts["way"] == "instance") & (forecasts["rate"] > 0)]
    shown = {way: own for way, own in forecasts[forecasts["task"].isin(law["task"])].groupby("way")}
    ends = [0.4 * law["observed"].min(), 1.0] if len(law) else [1e-6, 1.0]
    ax.plot(ends, ends, color=_GRAY, lw=1)
    bars = [law["rate"] - law["lower"], law["upper"] - law["rate"]]
    ax.errorbar(law["observed"], law["rate"], yerr=bars, fmt="none", color="C0", lw=1, alpha=0.5)
    for marker, (size, some) in zip("os", law.groupby("size", sort=False), strict=False):
        ax.plot(some["observed"], some["rate"], marker, color="C0", ms=5, label=f"instances, {size}")
    for way, marker, colour, name in (
        ("test set", "D", "C2", "test set"),
        ("carried forward", "x", "C3", "carried forward"),
    ):
        own = shown.get(way, law)
        ax.plot(own["observed"], own["rate"], marker, color=colour, mfc="none", ms=5, label=name)
    ax.set(xscale="log", yscale="log", xlabel="observed pass rate (exact)", ylabel="forecast pass rate")
    ax.set_xlim(ends[0], 1.5)
    ax.set_ylim(ends[0] / 30, 1.5)
    ax.legend(loc="lower right")
    return fig


def curvature_chart(every: pd.DataFrame) -> "Figure":
    """Curvature of F of every task with its interval; filled where it is significant after Holm's correction.

    Parameters
    ----------
    every : from `law_study`.
    """
    import matplotlib.pyplot as plt

    own = every.sort_values("curvature", ascending=False, ignore_index=True)
    fig, ax = plt.subplots(figsize=(5.2, 1.2 + 0.21 * len(own)))
    for row in own.itertuples():
        significant = row.p_holm < 0.05
        colour = ("C3" if row.curvature < 0 else "C2") if significant else _GRAY
        ax.plot([row.lower, row.upper], [row.Index] * 2, color=colour, lw=1.3)
        ax.plot(row.curvature, row.Index, "o", color=colour, mfc=colour if significant else "white", ms=5)
    ax.axvline(0, color=_DARK, lw=1)
    ax.set_yticks(range(len(own)), [task_title(task) for task in own["task"]], fontsize=9)
    ax.grid(False, axis="y")
    # one wide interval would hide all others
    ends = own[["lower", "upper"]].abs().max(axis=1)
    reach = 1.05 * min(ends.max(), max(4 * ends.median(), 1.2 * own["curvature"].abs().max()))
    ax.set_xlim(-reach, reach)
    ax.set_xlabel("curvature of F:  faster than the law  ←  0  →  slower")
    return fig


def published_law_chart(rates: Mapping[str, pd.DataFrame], tasks: Sequence[str]) -> "Figure":
    """F of published accuracies above chance against size, with a line for each counting of the parameters.

    Parameters
    ----------
    rates : label of a counting to rates from `pythia_rates`. tasks : a panel each.
    """
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, len(tasks), figsize=(5.2, 2.9), sharex=True)
    for ax, task in zip(np.atleast_1d(axes), tasks, strict=True):
        for i, table in enumerate(rates.values()):
            own = table[(table["task"] == task) & (table["rate"] > 0)]
            x, F = np.log(own["n_parameters"]), log_minus_log(own["rate"])
            ax.plot(own["n_parameters"], F, "o", ms=3.5, color=f"C{2 * i}", mfc="white" if i else f"C{2 * i}")
            fine = np.geomspace(own["n_parameters"].min(), own["n_parameters"].max(), 20)
            ax.plot(
                fine,
                np.polyval(np.polyfit(x, F, 1), np.log(fine)),
                color=f"C{2 * i}",
                lw=1.2,
                ls="--" if i else "-",
            )
        ax.set_xscale("log")
        ax.invert_yaxis()
        ax.annotate(task, (0.05, 0.97), xycoords="axes fraction", va="top", fontsize=10)
    np.atleast_1d(axes)[0].set_ylabel("F of accuracy above chance")
    lines = [
        plt.Line2D(
            [], [], color=f"C{2 * i}", ls="--" if i else "-", marker="o", ms=3.5, mfc="white" if i else None
        )
        for i in range(len(rates))
    ]
    fig.legend(lines, list(rates), loc="outside upper center", ncols=len(rates), fontsize=9)
    fig.supxlabel("parameters", fontsize=11)
    return fig
