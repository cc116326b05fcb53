"""Figures of a fit on a reader's own table."""

from pathlib import Path
from typing import TYPE_CHECKING

from densing.book.figures import PALETTE, figure_style

if TYPE_CHECKING:
    from densing.fitters import ScalingLawResults


def draw_fit(found: "ScalingLawResults", folder: Path) -> list[Path]:
    """Write fitted.png (observed against fitted) and residuals.png (residuals against fitted) into `folder`."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    fitted = found.fittedvalues
    log = found.scale == "log"
    observed = fitted * np.exp(found.resid) if log else fitted + found.resid
    with figure_style():
        first, axes = plt.subplots()
        ends = [min(fitted.min(), observed.min()), max(fitted.max(), observed.max())]
        axes.plot(ends, ends, color=PALETTE["gray"], lw=1, label="observed = fitted")
        axes.plot(fitted, observed, "o", color=PALETTE["blue"], ms=4, alpha=0.6)
        if log:
            axes.set(xscale="log", yscale="log")
        axes.set(xlabel=f"fitted {found.columns['y']}", ylabel=f"observed {found.columns['y']}")
        axes.legend()
        second, axes = plt.subplots()
        axes.axhline(0, color=PALETTE["gray"], lw=1)
        axes.plot(
            fitted, 100 * found.resid if log else found.resid, "o", color=PALETTE["blue"], ms=4, alpha=0.6
        )
        label = "observed over fitted, % (log)" if log else "observed minus fitted"
        axes.set(xlabel=f"fitted {found.columns['y']}", ylabel=label)
        if log:
            axes.set_xscale("log")
        paths = [folder / "fitted.png", folder / "residuals.png"]
        for figure, path in zip((first, second), paths, strict=True):
            figure.savefig(path, metadata={"Software": None})
            plt.close(figure)
    return paths
