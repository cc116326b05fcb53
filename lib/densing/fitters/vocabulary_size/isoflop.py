"""Approach 1: the lower envelope of the loss at equal FLOPs."""

import math
from typing import TYPE_CHECKING

import numpy as np

from densing.checks import check_range
from densing.fitters.bootstrap import cluster_weights
from densing.fitters.vocabulary_size.checkpoints import LOSS, RUN, check_checkpoints
from densing.fitters.vocabulary_size.results import VocabularyResults, summarize_fit
from densing.laws.vocabulary_size import IsoFlopCoefficients

if TYPE_CHECKING:
    import pandas as pd

_GRID = 200  # budgets on which the envelope is read


class IsoFlopVocabulary:
    """Approach 1: the lower envelope of the loss over runs at every budget, then power laws in FLOPs.

    The loss of a run between its checkpoints is interpolated in ln C. At each of 200 budgets, evenly spaced
    in ln C over all measured ones, the run with the lowest loss is read; linear interpolation between sizes
    or vocabularies could not go below it. ln N_v = k_v + e_v·ln C is fitted by Huber regression (delta
    0.001), ln N_nv with the exponent 0.5 fixed.

    Parameters
    ----------
    min_flops : budgets below are left out.
    draws, seed : of the bootstrap over runs; 0 draws for none.
    """

    def __init__(self, *, min_flops: float = 0.0, draws: int = 1000, seed: int = 0) -> None:
        check_range("min_flops", min_flops, 0)
        check_range("draws", draws, 0, integer=True)
        check_range("seed", seed, 0, integer=True)
        self.min_flops, self.draws, self.seed = min_flops, draws, seed

    def fit(self, frame: "pd.DataFrame") -> VocabularyResults:
        """Fit to checkpoints; see the module for the columns.

        Raises
        ------
        InputError : missing columns, fewer than two sizes or three vocabularies.
        """
        frame = check_checkpoints(frame)
        runs = [run.sort_values("flops") for _, run in frame.groupby(RUN)]
        low = max(self.min_flops, float(frame["flops"].min()))
        budgets = np.linspace(math.log(low), math.log(float(frame["flops"].max())), _GRID)
        losses = np.array(
            [np.interp(budgets, np.log(run["flops"]), run[LOSS], left=np.inf, right=np.inf) for run in runs]
        )
        n_nv = np.log([float(run["params_non_vocab"].iloc[0]) for run in runs])
        n_v = np.log([float(run["params_vocab"].iloc[0]) for run in runs])

        weights = (
            cluster_weights(np.arange(len(runs)), self.draws, self.seed)
            if self.draws
            else np.zeros((0, len(runs)))
        )
        present = np.concatenate([np.ones((1, len(runs)), bool), weights > 0])
        best = np.stack([np.where(row[:, None], losses, np.inf).argmin(axis=0) for row in present])
        reached = np.stack([np.isfinite(losses[row]).any(axis=0) for row in present])
        k_v, e_v = _huber_lines(budgets, n_v[best], reached)
        k_nv = [
            float(np.median((n_nv[row] - 0.5 * budgets)[seen]))
            for row, seen in zip(best, reached, strict=True)
        ]
        found = [IsoFlopCoefficients(*map(float, row)) for row in zip(k_nv, k_v, e_v, strict=True)]
        residuals = (k_v[0] + e_v[0] * budgets - n_v[best[0]])[reached[0]]
        return summarize_fit(1, found[0], tuple(found[1:]), len(frame), len(runs), residuals)


def _huber_lines(
    x: np.ndarray, y: np.ndarray, used: np.ndarray, delta: float = 1e-3
) -> tuple[np.ndarray, np.ndarray]:
    """Intercepts and slopes (B,) of least Huber loss of y (B, n) against x (n,), by reweighted least squares."""
    weights = used.astype(float)
    slope = np.zeros(len(y))
    for _ in range(300):
        total = weights.sum(axis=1)
        x_mean, y_mean = (weights * x).sum(axis=1) / total, (weights * y).sum(axis=1) / total
        deviation = x - x_mean[:, None]
        before, slope = slope, (weights * deviation * y).sum(axis=1) / (weights * deviation**2).sum(axis=1)
        if np.allclose(slope, before, rtol=1e-9, atol=0):
            break
        residual = np.abs(y - y_mean[:, None] - slope[:, None] * deviation)
        weights = used * np.minimum(1.0, delta / np.maximum(residual, 1e-300))
    return y_mean - slope * x_mean, slope
