"""Chart of the two steps and their inverse. Colours are those of the style in force (C0, C1, ...)."""

from typing import TYPE_CHECKING

import numpy as np

from densing.lab.yardstick.rows import REFERENCE_TOKENS
from densing.lab.yardstick.score_study import ScoreStudy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def two_step_chart(study: ScoreStudy, task: str) -> "Figure":
    """Answer loss against size and score against answer loss, and the way back from a score to an effective size.

    The two panels share the axis of the loss. Arrows start at the mean score of a size that was not fitted, reach the
    curve of the second step, cross to the curve of the first and end at the effective size.

    Parameters
    ----------
    study : from `score_study`. task : one of its tasks.
    """
    import matplotlib.pyplot as plt

    reference = study.reference(task, draws=100)
    loss, score = f"{task}_conditional_loss", f"{task}_score"
    fig, (left, right) = plt.subplots(1, 2, figsize=(5.2, 3.6), sharey=True, width_ratios=[1.25, 1])
    at = study.fitted[study.fitted["tokens"] == REFERENCE_TOKENS]
    held = study.held_out.groupby("size", sort=False)[["n_parameters", loss, score]].mean()
    back = {
        size: (reference.invert(row[score])[0], reference.loss_of(row[score])[0])
        for size, row in held.iterrows()
    }
    largest = max([held["n_parameters"].max(), *(size for size, _ in back.values() if np.isfinite(size))])
    sizes = np.geomspace(at["n_parameters"].min() / 1.4, 1.6 * largest, 100)
    left.set(xscale="log", xlim=(sizes[0], sizes[-1]))
    left.plot(sizes, reference.predict_loss(sizes, REFERENCE_TOKENS), color="C0")
    losses = np.linspace(0.93 * min(held[loss].min(), at[loss].min()), 1.03 * study.fitted[loss].max(), 100)
    right.plot(_score(reference, losses), losses, color="C0")
    right.plot(study.fitted[score], study.fitted[loss], "o", ms=3, color="0.6", mew=0)
    for ax, column in ((left, "n_parameters"), (right, score)):
        ax.plot(at[column], at[loss], "o", ms=4.5, color="C0", mew=0)
    for k, (size, row) in enumerate(held.iterrows()):
        color = ("C1", "C3")[k % 2]
        runs = study.held_out[study.held_out["size"] == size]
        left.plot(runs["n_parameters"], runs[loss], "D", ms=4.5, color=color, mew=0)
        right.plot(runs[score], runs[loss], "D", ms=4.5, color=color, mew=0)
        found, answer = back[size]
        if np.isfinite(found) and found > 0:
            _way_back(left, right, found, answer, row[score], losses[0], color)
            text = f"{size}: reads\n{_count(found)}"
        else:
            text = f"{size}: no\neffective size"
        left.annotate(text, (0.97, 0.97 - 0.15 * k), xycoords="axes fraction", ha="right", va="top", color=color,
                      fontsize=9)  # fmt: skip
    left.set(xlabel="parameters N", ylabel="loss of the answers (nats a token)")
    right.set(xlabel=f"score on {task}")
    left.set_ylim(losses[0], losses[-1])
    return fig


def _way_back(
    left: "Axes", right: "Axes", size: float, loss: float, score: float, bottom: float, color: str
) -> None:
    from matplotlib.patches import ConnectionPatch

    style = {"arrowstyle": "-|>", "color": color, "lw": 1.1, "shrinkA": 0, "shrinkB": 0}
    right.annotate("", (score, loss), (score, bottom), arrowprops=style)
    across = ConnectionPatch((score, loss), (size, loss), "data", "data", axesA=right, axesB=left, **style)
    right.figure.add_artist(across)
    left.annotate("", (size, bottom), (size, loss), arrowprops=style)


def _score(reference, losses: np.ndarray) -> np.ndarray:
    from densing.laws.capability.sigmoid import loss_to_score

    return loss_to_score(losses, **reference.scores.levels)


def _count(size: float) -> str:
    return f"{size / 1e6:.2g} million" if size < 1e8 else f"{size:.1g}"
