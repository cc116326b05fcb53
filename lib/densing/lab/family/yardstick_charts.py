"""Charts of what the yardstick can tell apart. Colours are those of the style in force."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from densing.lab.family.planned_runs import PlannedComparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GRAY, _DARK = "0.5", "0.15"


def planned_chart(comparison: PlannedComparison, margin: float = 0.01) -> "Figure":
    """Branch minus planned run: every pair, the means of the cells, and the mean of all with its interval.

    Parameters
    ----------
    comparison : from `compare_planned`. margin : shaded to either side of 0, bits per byte.
    """
    import matplotlib.pyplot as plt

    cells = comparison.cells
    fig, ax = plt.subplots(figsize=(5.2, 0.5 * len(cells) + 1.7))
    ax.axvspan(-1e3 * margin, 1e3 * margin, color=_GRAY, alpha=0.12, lw=0)
    ax.axvline(0, color=_GRAY, lw=1)
    labels = []
    for place, cell in enumerate(cells.itertuples()):
        own = comparison.pairs
        own = own[(own["size"] == cell.size) & (own["tokens"] == cell.tokens)]
        ax.plot(1e3 * own["difference"], np.full(len(own), place), "o", mfc="none", mec="C0", ms=6)
        ax.plot([1e3 * cell.difference] * 2, [place - 0.25, place + 0.25], color="C0", lw=2.2)
        labels.append(f"{cell.size}, {cell.tokens / 1e6:g}M")
    found, row = comparison.difference, len(cells)
    ax.plot([1e3 * found.lower, 1e3 * found.upper], [row, row], color="C3", lw=2.4)
    ax.plot(1e3 * found.value, row, "D", color="C3", ms=6)
    ax.set_yticks(range(row + 1), [*labels, "mean"])
    ax.set_ylim(row + 0.6, -0.6)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("branch minus planned run, 0.001 bits per byte")
    return fig


def calibration_chart(sizes: pd.DataFrame, runs: pd.DataFrame) -> "Figure":
    """Density intervals of held-out sizes and runs around 1; those that miss it stand out.

    Parameters
    ----------
    sizes, runs : from `leave_one_size_out` and `leave_one_run_out`.
    """
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.2, 0.17 * (len(sizes) + len(runs)) + 1.3))
    ax.axvline(1, color=_GRAY, lw=1.2)
    place, labels = 0.0, []
    for frame, colour in ((sizes, "C0"), (runs, "C2")):
        for row in frame.itertuples():
            shade = colour if row.covers else "C3"
            # an interval without an end is cut where the axis ends
            upper = min(row.rho_upper, 1e3)
            ax.plot([max(row.rho_lower, 1e-3), upper], [place, place], color=shade, lw=2.2)
            ax.plot(row.rho, place, "o" if row.covers else "X", color=shade, ms=5)
            labels.append((place, row.held_out))
            place += 1
        place += 1
    ax.set_yticks([at for at, _ in labels], [name for _, name in labels], fontsize=8.5)
    ax.set_ylim(place - 0.5, -0.8)
    ends = pd.concat([sizes, runs])[["rho_lower", "rho_upper"]].replace([np.inf, 0], np.nan)
    reach = float(np.nanmax(np.abs(np.log(ends.to_numpy()))))
    limit = np.exp(min(1.08 * reach, np.log(4)))
    ax.set(xscale="log", xlabel="density ρ of the held-out member", xlim=(1 / limit, limit))
    ticks = (0.8, 0.9, 1, 1.1, 1.25) if limit < 1.5 else (0.25, 0.5, 0.7, 1, 1.4, 2, 4)
    ticks = [t for t in ticks if 1 / limit <= t <= limit]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()
    ax.grid(axis="y", visible=False)
    return fig


def resolution_chart(resolution: pd.DataFrame, planned: float = 0.23) -> "Figure":
    """Half width of the interval of ln rho against size, on other data orders and on the family's.

    Parameters
    ----------
    resolution : from `resolution`. planned : half width of the planning simulation, drawn as a line.
    """
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.2, 3.3))
    x = resolution["n_parameters"]
    ax.axhline(planned, color=_GRAY, ls=":", lw=1.2)
    ax.annotate("planned limit", (x.iloc[0], planned), xytext=(0, 4), textcoords="offset points", color=_GRAY)
    ax.plot(x, resolution["unpaired"], "o-", color="C0", label="other data orders")
    ax.plot(x, resolution["paired"], "s--", color="C1", ms=4.5, label="the family's orders")
    ax.set(xscale="log", xlabel="parameters outside embeddings", ylabel="half width of ln ρ")
    ax.set_ylim(0, 1.2 * max(planned, resolution["unpaired"].max()))
    ax.set_xticks(x, [str(size).removeprefix("d") for size in resolution["size"]])
    ax.minorticks_off()
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    # the same width as a ratio of sizes
    right = ax.secondary_yaxis("right", functions=(lambda h: 100 * np.expm1(h), lambda p: np.log1p(p / 100)))
    right.set_ylabel("smallest difference of density, %")
    return fig
