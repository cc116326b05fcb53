"""Charts of densities and their trends. Colours are those of the style in force (C0, C1, ...)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from densing.fitters.bootstrap import Estimate
from densing.fitters.trends.fit import TrendResults
from densing.fitters.trends.records import record_frontier, running_maximum
from densing.lab.published.curves import ORIGIN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DOUBLINGS_PER_YEAR = 365.25 / np.log(2)
_GRAY, _DARK = "0.5", "0.15"
_MONTHS = (1.5, 2, 3, 4, 6, 9, 12)


def density_chart(frame: pd.DataFrame, lines: Mapping[str, TrendResults], unit: str) -> "Figure":
    """Densities by release date, records circled, with trend lines labelled at their right end.

    Mixtures of experts are hollow points.

    Parameters
    ----------
    frame : as `published_density` returns it.
    lines : label to trend; the first and the last are shown with their interval.
    unit : what density 1 means, for the axis.
    """
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.2, 4.0))
    hollow = frame["is_moe"]
    record = record_frontier(frame["day"], frame["ln_density"], same_day="every")
    when, height = frame["release_date"], frame["density"]
    ax.scatter(when[~hollow], height[~hollow], s=16, color=_GRAY, lw=0)
    ax.scatter(when[hollow], height[hollow], s=18, facecolor="none", edgecolor=_GRAY)
    ax.scatter(when[record], height[record], s=52, facecolor="none", edgecolor="C3", lw=1.2)
    grid = np.linspace(frame["day"].min() - 15, frame["day"].max() + 20, 60)
    dates = ORIGIN + pd.to_timedelta(grid, unit="D")
    labels = []
    for k, (label, trend) in enumerate(lines.items()):
        color = ("C3", "C2", "C0", "C4")[k % 4]
        value, low, high = np.exp(trend.predict(grid))
        ax.plot(dates, value, ("-", "--", "-.", ":")[k % 4], color=color)
        if k in (0, len(lines) - 1):
            ax.fill_between(dates, low, high, color=color, alpha=0.13, lw=0)
        labels.append((np.log(value[-1]), f"{label}\n{trend.doubling_months:.1f} months", color))
    ax.set(
        yscale="log", ylabel=f"capacity density ({unit})", xlabel="release date", xlim=(dates[0], dates[-1])
    )
    ax.set_ylim(np.exp(frame["ln_density"].quantile(0.01)) / 2, None)
    # lines that end together would have their labels on top of each other
    gap = 0.13 * np.log(ax.get_ylim()[1] / ax.get_ylim()[0])
    last = np.inf
    for height, text, color in sorted(labels, reverse=True):
        last = min(height, last - gap)
        ax.annotate(
            text,
            (dates[-1], np.exp(last)),
            (5, 0),
            textcoords="offset points",
            color=color,
            va="center",
            fontsize=9,
        )
    _half_years(ax)
    _plain_numbers(ax)
    return fig


def null_chart(trends: Mapping[str, TrendResults], limits: tuple[float, float] = (-4, 12)) -> "Figure":
    """Slopes under permuted dates, one panel a trend, with the observed slope and its p.

    Parameters
    ----------
    trends : label to trend, fitted with permutations.
    limits : of the shared axis, doublings per year.
    """
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(len(trends), 1, figsize=(5.2, 2.1 * len(trends)), sharex=True, squeeze=False)
    for ax, color, (label, trend) in zip(axes[:, 0], ("C3", "C0", "C2", "C4"), trends.items(), strict=False):
        null = trend.null_slopes[np.isfinite(trend.null_slopes)] * _DOUBLINGS_PER_YEAR
        ax.hist(null, bins=np.linspace(*limits, 97), color=_GRAY, alpha=0.7)
        ax.axvline(trend.slope_per_day * _DOUBLINGS_PER_YEAR, color=color, lw=2.2)
        ax.annotate(f"{label}:\ntrue order, p = {trend.permutation_p:.2g}", (0.98, 0.72), ha="right",
                    xycoords="axes fraction", color=color)  # fmt: skip
        ax.set(ylabel="shuffles", yticks=[], xlim=limits)
    axes[-1, 0].set_xlabel("slope: doublings of density per year")
    return fig


def specification_chart(curve: pd.DataFrame, published: Sequence[float]) -> "Figure":
    """Sorted doubling times with intervals over a grid that says which choices made each.

    Parameters
    ----------
    curve : as `specification_curve` returns it.
    published : doubling times in months to mark.
    """
    import matplotlib.pyplot as plt

    fig, (ax, below) = plt.subplots(2, 1, figsize=(5.2, 5.8), sharex=True, height_ratios=[3, 2.6])
    place = np.arange(len(curve))
    choices = {
        column: curve.attrs["choices"][column]
        for column in ("reference", "parameters", "estimator", "min_benchmarks")
    }
    colors = dict(zip(choices["estimator"], ("C3", "C0", "C5", "C2"), strict=False))
    for name, color in colors.items():
        rows = (curve["estimator"] == name).to_numpy()
        part = curve[rows]
        ax.vlines(
            place[rows], part["lower"], part["upper"].clip(upper=_MONTHS[-1]), color=color, alpha=0.4, lw=1.2
        )
        ax.plot(place[rows], part["doubling_months"], "o", ms=3, color=color)
    for months in published:
        ax.axhline(months, color=_DARK, lw=0.9, ls=":")
    text = f"published: {' and '.join(f'{m:g}' for m in published)}"
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
    ax.annotate(text, (place[-1], min(published) * 0.96), ha="right", va="top", fontsize=9, bbox=behind)
    ax.set_ylabel("doubling time (months)")
    _months(ax.yaxis, ax.set_yscale, ax.set_ylim)
    marks = [(column, value) for column, values in choices.items() for value in values]
    for row, (column, value) in enumerate(marks):
        chosen = place[(curve[column] == value).to_numpy()]
        color = colors[value] if column == "estimator" else _DARK
        below.plot(chosen, np.full(len(chosen), row), "|", ms=5.5, mew=1.1, color=color)
    labels = [f"≥ {value} scores" if column == "min_benchmarks" else str(value) for column, value in marks]
    below.set(yticks=range(len(marks)), xlabel=f"{len(curve)} specifications, fastest first", xticks=[])
    below.set_yticklabels(labels, fontsize=8.5)
    below.invert_yaxis()
    below.grid(False)
    return fig


def interval_chart(rows: Mapping[str, Mapping[str, Estimate]], reference: float | None = None) -> "Figure":
    """Doubling times with intervals, one row a version of the data and one colour a line.

    Parameters
    ----------
    rows : version to {line: estimate in months}; intervals that reach beyond 14 months are cut there.
    reference : value to mark.
    """
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.2, 1.2 + 0.32 * len(rows)))
    lines = list(next(iter(rows.values())))
    for k, (line, color) in enumerate(zip(lines, ("C3", "C0", "C2"), strict=False)):
        shift = 0.28 * (k - (len(lines) - 1) / 2)
        for row, version in enumerate(rows.values()):
            estimate = version[line]
            ax.plot([estimate.lower, min(estimate.upper, 14)], [row + shift] * 2, color=color, lw=1.6)
            ax.plot(estimate.value, row + shift, "os^"[k], color=color, label=line if row == 0 else None)
    if reference is not None:
        ax.axvline(reference, color=_DARK, lw=0.9, ls=":")
    ax.set(xlabel="doubling time (months)", yticks=range(len(rows)))
    ax.set_yticklabels(list(rows))
    _months(ax.xaxis, ax.set_xscale, ax.set_xlim, last=14)
    ax.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=len(lines))
    ax.invert_yaxis()
    return fig


def forecast_chart(frame: pd.DataFrame, forecast: pd.DataFrame, unit: str) -> "Figure":
    """The largest density so far, and what the record line forecast at several dates.

    Parameters
    ----------
    frame : as `published_density` returns it.
    forecast : as `rolling_forecast` returns it for this frame, with many horizons an origin.
    """
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.2, 4.0))
    steps = np.arange(frame["day"].min(), frame["day"].max() + 1)
    best = np.exp(running_maximum(frame["day"], frame["ln_density"], steps))
    ax.step(ORIGIN + pd.to_timedelta(steps, unit="D"), best, where="post", color=_DARK, lw=2.4)
    colors = plt.matplotlib.colormaps["viridis"](np.linspace(0.0, 0.7, forecast["origin"].nunique()))
    for k, (color, (origin, part)) in enumerate(zip(colors, forecast.groupby("origin"), strict=True)):
        when = ORIGIN + pd.to_timedelta(part["origin"] + part["horizon"], unit="D")
        ax.plot(when, np.exp(part["predicted"]), color=color, lw=1.8)
        ax.fill_between(when, np.exp(part["lower"]), np.exp(part["upper"]), color=color, alpha=0.08, lw=0)
        text = f"{ORIGIN + pd.Timedelta(days=origin):%b %Y}: {part['doubling_months'].iloc[0]:.1f} months"
        ax.annotate(text, (0.03, 0.88 - 0.06 * k), xycoords="axes fraction", color=color, fontsize=9)
    ax.annotate("doubling time as fitted in", (0.03, 0.94), xycoords="axes fraction", fontsize=9)
    ax.annotate("densest model so far", (ORIGIN + pd.to_timedelta(steps[-1] - 6, unit="D"), best[-2]), (0, -5),
                textcoords="offset points", ha="right", va="top", fontsize=9)  # fmt: skip
    ax.set(yscale="log", ylabel=f"largest capacity density ({unit})", xlabel="date")
    ax.set_ylim(best.min() / 2, np.exp(forecast["predicted"].max()) * 2)
    _half_years(ax)
    _plain_numbers(ax)
    return fig


def _half_years(ax: "Axes") -> None:
    from matplotlib.dates import DateFormatter, MonthLocator

    ax.xaxis.set_major_locator(MonthLocator((1, 7)))
    ax.xaxis.set_major_formatter(DateFormatter("%b\n%Y"))


def _months(axis, set_scale, set_limits, last: float = 12) -> None:
    from matplotlib.ticker import FixedLocator, FormatStrFormatter, NullLocator

    set_scale("log")
    set_limits(1.4, last)
    axis.set_major_locator(FixedLocator(_MONTHS))
    axis.set_major_formatter(FormatStrFormatter("%g"))
    axis.set_minor_locator(NullLocator())


def _plain_numbers(ax: "Axes") -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    ax.yaxis.set_minor_locator(NullLocator())
