"""Chart of the variants' densities. Colours are those of the style in force (C0, C1, ...)."""

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LABELS = {
    "data": ("0.45", "o", "another text"),
    "parameters": ("C0", "o", "N: weights kept"),
    "bits": ("C3", "D", "N: bits / 16"),
}


def variant_density_chart(ratios: pd.DataFrame) -> "Figure":
    """Density over the parent's with 95 % intervals, one row a variant; thin ends are the Holm-adjusted intervals.

    Parameters
    ----------
    ratios : from `density_ratios`.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    fig, ax = plt.subplots(figsize=(5.2, 1.3 + 0.36 * len(ratios)))
    seen = set()
    for place, row in enumerate(ratios.itertuples()):
        color, marker, label = _LABELS[row.account]
        ax.plot([row.lower_holm, row.upper_holm], [place] * 2, color=color, lw=0.9)
        ax.plot([row.lower, row.upper], [place] * 2, color=color, lw=2.4)
        ax.plot(row.ratio, place, marker, color=color, label=None if label in seen else label, ls="none")
        seen.add(label)
    ax.axvline(1, color="0.15", lw=0.9, ls=":")
    low, high = 0.9 * ratios["lower_holm"].min(), 1.1 * ratios["upper_holm"].max()
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 4, 8) if low <= t <= high or t in (0.5, 1, 2)]
    ax.set(
        xscale="log", xlabel="density (parent = 1)", yticks=range(len(ratios)), ylim=(len(ratios) - 0.5, -0.5)
    )
    ax.set_xlim(min(low, 0.45), max(high, 2.2))
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_yticklabels([f"{row.title}\n({row.parent})" for row in ratios.itertuples()], fontsize=9)
    ax.legend(loc="lower center", bbox_to_anchor=(0.35, 1.0), ncols=3, fontsize=8.5, handletextpad=0.2)
    return fig


def describe_ratios(ratios: pd.DataFrame) -> str:
    """The chart of `variant_density_chart` in words: which variants are denser than their parents, which less.

    Parameters
    ----------
    ratios : from `density_ratios`.
    """
    groups: dict[str, list[str]] = {"less dense": [], "denser": [], "not told apart": []}
    for row in ratios.itertuples():
        side = "less dense" if row.upper_holm < 1 else "denser" if row.lower_holm > 1 else "not told apart"
        groups[side].append(f"{row.title} ({row.ratio:.2f})")
    told = [f"{side}: {', '.join(titles)}" for side, titles in groups.items() if titles]
    return f"One row a variant, a line at the parent's density. By the Holm-adjusted intervals {'; '.join(told)}."
