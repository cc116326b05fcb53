"""Correlation of item scores with scale: every item at once, its distribution, and what chance gives."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.checks import check_choice, check_range
from densing.errors import InputError
from densing.evaluation.predictability.stages import STAGES, ChoiceScores

CORRELATIONS = ("spearman", "pearson", "kendall")
LEAST_SCALES = 4
LEAST_ITEMS = 20
_FLAT = 1e-12  # a score that varies less than this, relative to its size, is constant


def item_correlations(
    scores: ChoiceScores,
    stage: str,
    kind: str = "spearman",
    *,
    constant_items: str = "drop",
    normalize: str = "raw",
) -> NDArray:
    """Correlation of every item's score with ln compute over the models.

    Parameters
    ----------
    scores : of at least four different amounts of compute.
    stage : one of "log_p_vocab", "p_vocab", "p_choices", "brier", "accuracy".
    kind : "spearman", "pearson" or "kendall" (tau-b).
    constant_items : what an item gets whose score is the same under all models: "drop" nan, "zero" 0.
    normalize : as `ChoiceScores.normalized`.

    Returns
    -------
    (items,) correlations in [-1, 1].

    Raises
    ------
    InputError : an unknown name, or fewer than four different amounts of compute.

    References
    ----------
    Schaeffer et al. (2024), arXiv 2406.04391, section 4.
    """
    check_choice("constant_items", constant_items, ("drop", "zero"))
    check_scales(scores)
    found = correlate(stage_values(scores, stage, kind, normalize), np.log(scores.compute), kind)
    return np.nan_to_num(found, nan=0.0) if constant_items == "zero" else found


def permuted_correlations(
    scores: ChoiceScores,
    stage: str,
    kind: str = "spearman",
    *,
    cells: ArrayLike | None = None,
    normalize: str = "raw",
    draws: int = 200,
    seed: int = 0,
) -> NDArray:
    """Correlations after the scales have changed places, jointly for all items: what chance gives with these items.

    Parameters
    ----------
    scores, stage, kind, normalize : as `item_correlations`.
    cells : (models,) labels of models that are replicates of one scale and move together; None: each by itself.
    draws : permutations.
    seed : of the permutations.

    Returns
    -------
    (draws, items); nan at constant items.
    """
    check_scales(scores)
    check_range("draws", draws, 1, integer=True)
    n = scores.shape[0]
    cell = np.unique(np.arange(n) if cells is None else np.asarray(cells), return_inverse=True)[1]
    if cell.shape != (n,):
        raise InputError(f"cells: shape {cell.shape}, must be one label a model ({n})")
    z = np.log(scores.compute)
    of_cell = np.bincount(cell, z) / np.bincount(cell)
    if not np.allclose(of_cell[cell], z):
        raise InputError("cells: models of one cell must have the same compute")
    rng = np.random.default_rng(seed)
    labels = rng.permuted(np.tile(of_cell, (int(draws), 1)), axis=1)[:, cell]
    return correlate(stage_values(scores, stage, kind, normalize), labels, kind)


def aggregate_correlations(
    scores: ChoiceScores,
    stage: str,
    counts: Sequence[int],
    kind: str = "spearman",
    *,
    normalize: str = "raw",
    draws: int = 200,
    seed: int = 0,
) -> NDArray:
    """Correlation with ln compute of the mean score of n random items: how far averaging repairs single items.

    Parameters
    ----------
    scores, stage, kind, normalize : as `item_correlations`.
    counts : numbers of items n, each at most the number there is; drawn without replacement.
    draws : random sets of items for each n.
    seed : of the sets.

    Returns
    -------
    (counts, draws); nan where the mean is constant.
    """
    check_scales(scores)
    check_range("draws", draws, 1, integer=True)
    for count in counts:
        check_range("counts", count, 1, scores.shape[1], integer=True)
    check_choice("kind", kind, CORRELATIONS)
    values = scores.stage(stage, normalize)
    rng = np.random.default_rng(seed)
    places = np.argsort(rng.random((int(draws), scores.shape[1])), axis=1)
    z = np.log(scores.compute)
    means = [values[:, places[:, : int(count)]].mean(axis=2) for count in counts]
    return np.stack([correlate(mean, z, kind) for mean in means])


def survival(x: ArrayLike, grid: ArrayLike) -> NDArray:
    """Complementary cumulative distribution: share of the defined values of `x` that are above each point of `grid`.

    Parameters
    ----------
    x : values; nan are left out.
    grid : (points,).
    """
    x = np.asarray(x, float).ravel()
    x = np.sort(x[~np.isnan(x)])
    if not len(x):
        raise InputError("x: holds no defined value")
    return 1 - np.searchsorted(x, np.asarray(grid, float), side="right") / len(x)


def correlate(values: NDArray, scale: NDArray, kind: str) -> NDArray:
    """Correlations of the columns of `values` (models, items) with `scale`, (models,) or (draws, models).

    Returns
    -------
    (items,) or (draws, items); nan where a column or the scale is constant.
    """
    check_choice("kind", kind, CORRELATIONS)
    values, scale = np.asarray(values, float), np.asarray(scale, float)
    rows = np.atleast_2d(scale)
    flat = np.ptp(values, axis=0) <= _FLAT * np.abs(values).max(axis=0)
    if kind != "pearson":
        from scipy.stats import rankdata

        values, rows = rankdata(values, axis=0), rankdata(rows, axis=1)
    found = _kendall(values, rows) if kind == "kendall" else _standard(rows, 1) @ _standard(values, 0)
    found = np.where(flat, np.nan, np.clip(found, -1, 1))
    return found[0] if scale.ndim == 1 else found


def stage_values(scores: ChoiceScores, stage: str, kind: str, normalize: str = "raw") -> NDArray:
    """(models, items) numbers with the stage's correlations, in a form that neither underflows nor saturates.

    p_vocab is taken relative to the item's largest; for rank correlations p_choices is taken as log odds.
    """
    check_choice("stage", stage, STAGES)
    check_choice("kind", kind, CORRELATIONS)
    if stage == "p_vocab":
        values = scores.stage("log_p_vocab", normalize)
        return np.exp(values - values.max(axis=0)) if kind == "pearson" else values
    if stage == "p_choices" and kind != "pearson":
        return scores.log_odds(normalize)
    return scores.stage(stage, normalize)


def check_scales(scores: ChoiceScores, items: int = 1) -> None:
    """Refuse scores of fewer than four different amounts of compute, or of fewer than `items` items."""
    if scores.scales == 1:
        raise InputError(
            f"compute: all {scores.shape[0]} models have {scores.compute[0]:g}; nothing can follow it"
        )
    if scores.scales < LEAST_SCALES:
        raise InputError(f"compute: {scores.scales} different values, must be at least {LEAST_SCALES}")
    if scores.shape[1] < items:
        raise InputError(f"log_p: {scores.shape[1]} items, must be at least {items}")


def _standard(values: NDArray, axis: int) -> NDArray:
    centered = values - values.mean(axis=axis, keepdims=True)
    length = np.sqrt((centered**2).sum(axis=axis, keepdims=True))
    with np.errstate(invalid="ignore", divide="ignore"):  # what is constant has no direction
        return centered / length


def _kendall(ranks: NDArray, rows: NDArray) -> NDArray:
    """tau-b from the signs of all pairs of models."""
    # differences of ranks and sums of a few thousand signs are exact in single precision
    ranks, rows = ranks.astype(np.float32), rows.astype(np.float32)
    same_order, untied = np.zeros((len(rows), ranks.shape[1])), np.zeros(ranks.shape[1])
    for model in range(len(ranks) - 1):
        signs = np.sign(ranks[model + 1 :] - ranks[model])
        same_order += np.sign(rows[:, model + 1 :] - rows[:, model : model + 1]) @ signs
        untied += np.abs(signs).sum(axis=0)
    first, second = np.triu_indices(len(ranks), 1)
    scale_untied = (rows[:, first] != rows[:, second]).sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return same_order / np.sqrt(untied * scale_untied)
