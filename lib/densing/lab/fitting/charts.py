"""Charts and tables of what the fitter does. Colours are those of the style in force (C0, C1, ...)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from densing.fitters.scaling.baselines import NAIVE_RULES
from densing.fitters.scaling.results import ScalingLawResults

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GRAY, _DARK = "0.5", "0.15"
_SMALLEST = 1e-12  # excess that is drawn as such
_LABELS = {
    "chinchilla": "Chinchilla",
    "overtraining": "Chinchilla, equal exponents",
    "kaplan_nd": "Kaplan, size and data",
    "power_constant": "power of compute, with floor",
    "power": "power of compute",
    "largest run carried forward": "dearest run carried forward",
    "straight line in log-log": "straight line in log-log",
    "power law through the last three sizes": "last three sizes",
}
_COLORS = dict(zip(_LABELS, ("C0", "C5", "C2", "C4", "C1", _GRAY, _DARK, "C3"), strict=True))


def exponents_chart(draws: np.ndarray, best: tuple[float, float], printed: tuple[float, float]) -> "Figure":
    """Resampled pairs of exponents (B, 2), their optimum, and a printed pair."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots()
    axes.plot(*draws.T, ".", color="C0", ms=3, alpha=0.4)
    axes.plot(*best, "o", color=_DARK, ms=6)
    axes.text(0.386, 0.43, "optimum and\nits resamples", color="C0")
    axes.plot(*printed, "X", color="C3", ms=9)
    axes.text(printed[0] + 0.005, printed[1] - 0.004, "printed by\nHoffmann et al.", color="C3")
    axes.plot([0.27, 0.42], [0.27, 0.42], "--", color=_GRAY, lw=1)
    axes.text(0.273, 0.312, "equal\nexponents", color=_GRAY)
    axes.set(
        xlabel="exponent of size, α", ylabel="exponent of data, β", xlim=(0.27, 0.42), ylim=(0.265, 0.46)
    )
    return fig


def trace_chart(trace: pd.DataFrame) -> "Figure":
    """Excess of the best objective so far against wall time, a step line a method, a dot at its end."""
    import matplotlib.pyplot as plt

    looks = {
        "numeric": ("published,\nnumeric gradients", "C3", (1.2, 3e-7)),
        "analytic": ("published,\nanalytic gradients", "C1", (4, 1.5e-10)),
        "batched": ("this library", "C0", (1.3e-3, 1e-7)),
    }
    fig, axes = plt.subplots()
    for kind, part in trace.groupby("kind"):
        name, color, place = looks[kind]
        excess = part["excess"].clip(lower=_SMALLEST)
        axes.step(part["wall_s"], excess, where="post", color=color)
        axes.plot(part["wall_s"].iloc[-1], excess.iloc[-1], "o", color=color)
        axes.text(*place, name, color=color)
    axes.set(xscale="log", yscale="log", xlim=(8e-4, 300))
    axes.set(xlabel="wall time, s", ylabel="objective above the optimum, relative")
    return fig


def coverage_chart(coverage: pd.DataFrame, data_sets: int) -> "Figure":
    """Coverage of each quantity by three kinds of interval, with its binomial interval; `coverage_table` makes it."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(figsize=(5.2, 3.8))
    axes.axvspan(0.90, 0.98, color="C2", alpha=0.12, lw=0)
    axes.axvline(0.95, color=_GRAY, lw=1)
    height = np.arange(len(coverage))[::-1]
    looks = (
        ("percentile", "percentile", 0.22, "C0"),
        ("bca", "BCa", 0.0, "C1"),
        ("wald", "curvature", -0.22, _GRAY),
    )
    for method, label, shift, color in looks:
        share = coverage[method]
        error = 1.96 * np.sqrt(share * (1 - share) / data_sets)
        axes.errorbar(share, height + shift, xerr=error, fmt="o", color=color, label=label)
    axes.set(xlabel="share of 95 % intervals that hold the truth", xlim=(0.84, 1.0))
    axes.set_yticks(height, ["A", "B", "E", "α", "β", "loss at 10 times\nthe compute"])
    axes.legend(loc="lower left")
    return fig


def error_chart(errors: pd.DataFrame) -> "Figure":
    """Held-out error against compute cut with 95 % bars; rows of `extrapolation_error`, naive rules dashed."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(figsize=(5.2, 4.4))
    for name, label in _LABELS.items():
        part = errors[errors["model"] == name].sort_values("cut")
        axes.errorbar(
            part["cut"],
            100 * part["mae_rel"],
            196 * part["mae_rel_se"],
            ls="--" if name in NAIVE_RULES else "-",
            color=_COLORS[name],
            label=label,
            marker="o",
            ms=3,
            elinewidth=0.8,
        )
    axes.set(xscale="log", yscale="log", ylabel="mean absolute error, %")
    axes.set_xlabel("compute cut, FLOPs: fitted below, judged above")
    axes.set_yticks([0.5, 1, 2, 5, 10], ["0.5", "1", "2", "5", "10"])
    axes.minorticks_off()
    fig.legend(loc="outside lower center", ncols=2, fontsize=8.5)
    return fig


def constants_table(
    fit: ScalingLawResults, published: Mapping[str, Mapping[str, float]] | None = None
) -> pd.DataFrame:
    """Fitted parameters with 95 % intervals, beside published ones: column title to values by name."""
    ends = fit.conf_int(0.95)
    columns = {
        "Parameter": list(fit.params.index),
        "Estimate": [f"{value:.5g}" for value in fit.params],
        "95 % interval": [f"{lower:.4g} to {upper:.4g}" for lower, upper in ends.to_numpy()],
    }
    for title, values in (published or {}).items():
        columns[title] = [f"{values[name]:.5g}" for name in fit.params.index]
    return pd.DataFrame(columns)


def speed_table(speed: pd.DataFrame) -> pd.DataFrame:
    """Medians over rounds of both methods' times, how many times slower the baseline is, and arriving starts."""
    rows = []
    for kind, part in speed.groupby("kind", sort=False):
        ratio = part["ratio_wall"]
        slower = f"{ratio.median():.0f} ({ratio.min():.0f} to {ratio.max():.0f})"
        rows.append((f"published, {kind} gradients", "baseline", part, slower, part["baseline_agreement"]))
    rows.append(("this library", "ours", speed, "1", speed["start_agreement"]))
    return pd.DataFrame(
        {
            "Method": [row[0] for row in rows],
            "Wall time, s": [f"{part[f'{who}_wall_s'].median():.3g}" for _, who, part, _, _ in rows],
            "Processor time, s": [f"{part[f'{who}_cpu_s'].median():.3g}" for _, who, part, _, _ in rows],
            "Times slower (range)": [row[3] for row in rows],
            "Starts that arrive": [f"{row[4].median():.1%}" for row in rows],
        }
    )
