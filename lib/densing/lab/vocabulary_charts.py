"""Charts of the vocabulary chapter. Colours are those of the style in force (C0, C1, ...)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from densing.fitters.vertex import QuadraticOptimum
from densing.fitters.vocabulary_size.results import VocabularyResults
from densing.lab.vocabulary import LADDER, VOCABULARY_SIZES
from densing.laws.vocabulary_size import optimal_vocabulary, tokens_per_character

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GRAY, _DARK = "0.5", "0.15"
_PUBLISHED = (33e6, 1.13e9)  # non-vocabulary parameters of the published runs
_LLAMA2 = 32_000


def growth_chart(fits: Mapping[str, VocabularyResults], runs: pd.DataFrame) -> "Figure":
    """Optimal vocabulary parameters against size with 95 % bands, and the best published run of each size.

    Parameters
    ----------
    fits : label to results of approach 1 or 2.
    runs : the published checkpoints.
    """
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots()
    sizes = np.geomspace(33e6, 300e9, 50)
    labels = ((24, "left", (6, -14)), (28, "right", (-8, 14)))
    for i, ((name, fit), (place, side, shift)) in enumerate(zip(fits.items(), labels, strict=True)):
        found = [fit.optimal_vocabulary(n, width=1.0) for n in sizes]
        centre = np.array([estimate.value for estimate in found])
        ax.fill_between(
            sizes, [e.lower for e in found], [e.upper for e in found], color=f"C{2 * i}", alpha=0.15, lw=0
        )
        ax.plot(sizes, centre, color=f"C{2 * i}")
        ax.annotate(
            name,
            (sizes[place], centre[place]),
            xytext=shift,
            textcoords="offset points",
            color=f"C{2 * i}",
            ha=side,
        )
    _slope_one(ax, sizes, 3.146e6 / 33e6, place=36)
    last = runs.loc[runs.groupby(["params_non_vocab", "vocab_size"])["flops"].idxmax()]
    best = last.loc[last.groupby("params_non_vocab")["unigram_normalised_loss_nats"].idxmin()]
    ax.plot(best["params_non_vocab"], best["params_vocab"], "o", color=_DARK)
    ax.set(
        xscale="log", yscale="log", xlabel="non-vocabulary parameters", ylabel="optimal vocabulary parameters"
    )
    return fig


def prediction_chart(fits: Mapping[str, VocabularyResults], at: float = 70e9) -> "Figure":
    """Optimal entries against size under several parametric fits, the value at one size marked.

    Parameters
    ----------
    fits : label to results of approach 3; a label "x, ..." has the colour of "x" and a dashed line.
    at : non-vocabulary parameters where the values are written.
    """
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots()
    sizes = np.geomspace(33e6, 499e9, 160)
    colours: dict[str, str] = {}
    for name, fit in fits.items():
        kind = name.partition(",")[0]
        colour = colours.setdefault(kind, f"C{len(colours)}")
        values = [optimal_vocabulary(n, coefficients=fit.coefficients) for n in sizes]
        marked = optimal_vocabulary(at, coefficients=fit.coefficients)
        ax.plot(sizes, values, "-" if kind == name else "--", color=colour, lw=1.4)
        ax.plot(at, marked, "o", color=colour, ms=4)
        ax.annotate(
            f"{marked / 1e3:.0f}K",
            (at, marked),
            xytext=(5, -10) if kind == name else (-4, 6),
            textcoords="offset points",
            color=colour,
            ha="left" if kind == name else "right",
            fontsize=9,
        )
    for i, (kind, colour) in enumerate(colours.items()):
        ax.annotate(kind, (0.97, 0.05 + 0.07 * i), xycoords="axes fraction", color=colour, ha="right")
    ax.axhline(_LLAMA2, color=_GRAY, lw=1, ls=":")
    ax.annotate("Llama 2: 32K", (3.6e7, 1.06 * _LLAMA2), color=_GRAY, fontsize=9)
    ax.axvspan(*_PUBLISHED, color=_GRAY, alpha=0.12, lw=0)
    ax.annotate("published runs", (0.02, 0.94), xycoords="axes fraction", color=_DARK, fontsize=9)
    ax.set(
        xscale="log", yscale="log", xlabel="non-vocabulary parameters", ylabel="optimal vocabulary, entries"
    )
    return fig


def ladder_chart(
    ladder: pd.DataFrame, optima: Mapping[str, QuadraticOptimum], metric: str, label: str
) -> "Figure":
    """The metric against vocabulary at every rung, with quadratics and their vertices."""
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.2, 4.2))
    fine = np.geomspace(VOCABULARY_SIZES[0], VOCABULARY_SIZES[-1], 200)
    for (size, optimum), colour in zip(optima.items(), _colours(), strict=False):
        rung = ladder[ladder["size"] == size]
        ax.plot(rung["vocab_size"], rung[metric], "o", ms=3.5, color=colour)
        curve = optimum.predict(fine)
        ax.plot(fine, curve, color=colour, lw=1.3)
        if optimum.bracketed:
            low = float(optimum.predict(optimum.optimum.value))
            ax.plot([optimum.optimum.lower, optimum.optimum.upper], [low, low], color=_DARK, lw=1.4)
            ax.plot(optimum.optimum.value, low, "v", color=_DARK, ms=6)
        text = f"{size}, {LADDER[size].budget:.0e} FLOPs"
        ax.annotate(
            text,
            (fine[-1], curve[-1]),
            xytext=(4, 0),
            textcoords="offset points",
            color=colour,
            fontsize=9,
            va="center",
        )
    ax.set(xscale="log", xlabel="vocabulary, entries", ylabel=label)
    _entries(ax)
    ax.set_xlim(250, 3.6 * VOCABULARY_SIZES[-1])
    return fig


def own_growth_chart(optima: Mapping[str, QuadraticOptimum], n_nv: np.ndarray, width: np.ndarray) -> "Figure":
    """Our optima as vocabulary parameters against size, and the released IsoFLOP line extended to them."""
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots()
    n_nv, width = np.asarray(n_nv, float), np.asarray(width, float)
    values = (
        np.array([[o.optimum.value, o.optimum.lower, o.optimum.upper] for o in optima.values()]).T * width
    )
    ax.errorbar(n_nv, values[0], yerr=[values[0] - values[1], values[2] - values[0]], fmt="o", color="C3")
    wide = np.geomspace(1e4, 2e9, 50)
    line = np.array([optimal_vocabulary(n, approach=1, width=1.0) for n in wide])
    ax.plot(wide, line, color="C0")
    ax.axvspan(*_PUBLISHED, color=_GRAY, alpha=0.12, lw=0)
    _slope_one(ax, wide, values[0][0] / n_nv[0], place=28)
    ax.annotate(
        "released IsoFLOP line",
        (wide[24], line[24]),
        xytext=(10, -14),
        textcoords="offset points",
        color="C0",
    )
    ax.annotate("our optima", (0.03, 0.36), xycoords="axes fraction", color="C3")
    ax.set(
        xscale="log", yscale="log", xlabel="non-vocabulary parameters", ylabel="optimal vocabulary parameters"
    )
    return fig


def two_losses_chart(ladder: pd.DataFrame) -> "Figure":
    """Means over seeds of both losses above their smallest value, one line a rung."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(2, 1, figsize=(5.2, 5.0), sharex=True)
    labels = {
        "unigram_normalized_loss": "$L_u$ above its\nminimum, nats a token",
        "bits_per_character": "bits per character\nabove their minimum",
    }
    means = ladder.groupby(["size", "vocab_size"], sort=False)[list(labels)].mean().reset_index()
    for i, ((size, group), colour) in enumerate(
        zip(means.groupby("size", sort=False), _colours(), strict=False)
    ):
        axes[0].annotate(size, (0.4, 0.88 - 0.12 * i), xycoords="axes fraction", color=colour)
        for ax, metric in zip(axes, labels, strict=True):
            values = group[metric] - group[metric].min()
            ax.plot(group["vocab_size"], values, "o-", color=colour, lw=1.3, ms=4)
    for ax, label in zip(axes, labels.values(), strict=True):
        ax.set(xscale="log", ylabel=label)
        ax.set_xlim(250, 1.6 * VOCABULARY_SIZES[-1])
    axes[1].set_xlabel("vocabulary, entries")
    _entries(axes[1])
    return fig


def compression_chart(curve: Mapping[int, float], compression: tuple[float, float, float]) -> "Figure":
    """Tokens per character of a text, its fitted f(V), and the released one."""
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.2, 3.0))
    grid = np.geomspace(min(curve), max(curve), 50)
    own = tokens_per_character(grid, **dict(zip("abc", compression, strict=True)))
    released = tokens_per_character(grid)
    ax.plot(list(curve), list(curve.values()), "o", color="C3")
    ax.plot(grid, own, color="C3", lw=1.2)
    ax.plot(grid, released, "--", color=_GRAY)
    for text, curve_of, colour, shift in (
        ("this text", own, "C3", 8),
        ("released f(V)", released, _GRAY, -18),
    ):
        place = (grid[-1], curve_of[-1])
        ax.annotate(text, place, xytext=(0, shift), textcoords="offset points", color=colour, ha="right")
    ax.set(xscale="log", xlabel="vocabulary, entries", ylabel="tokens a character", ylim=(0, None))
    ax.set_xticks(list(curve), [str(v) for v in curve], rotation=30)
    ax.minorticks_off()
    return fig


def _colours() -> tuple[str, ...]:
    return ("C5", "C2", "C1", "C3")


def _entries(ax: "Axes") -> None:
    ax.set_xticks(VOCABULARY_SIZES, [str(v) for v in VOCABULARY_SIZES], rotation=30)
    ax.minorticks_off()


def _slope_one(ax: "Axes", sizes: np.ndarray, ratio: float, place: int) -> None:
    ax.plot(sizes, ratio * sizes, "--", color=_GRAY, lw=1)
    ax.annotate(
        "slope 1",
        (sizes[place], ratio * sizes[place]),
        xytext=(-6, 4),
        textcoords="offset points",
        color=_GRAY,
        ha="right",
    )
