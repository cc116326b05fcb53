"""How much correlation with scale is lost from stage to stage, paired by item, and what freezing gives back."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.checks import check_choice, check_choices, check_range
from densing.evaluation.predictability.correlations import (
    CORRELATIONS,
    LEAST_ITEMS,
    check_scales,
    correlate,
    item_correlations,
    stage_values,
)
from densing.evaluation.predictability.resampling import Resampled, resample_items, weighted_median
from densing.evaluation.predictability.stages import STAGES, ChoiceScores
from densing.fitters.bootstrap import Estimate

PATH = ("log_p_vocab", "p_vocab", "p_choices", "accuracy")


@dataclass(frozen=True)
class StageDrops:
    """Median absolute correlations by stage and what is lost between neighbours.

    Attributes
    ----------
    kind : of the correlation.
    medians : by stage, over the items that are not constant there (or over all, constants counting 0).
    drops : by the later stage, median at the stage before minus median there, over the items constant at neither.
    constant_shares : by stage, share of items whose score is the same under all models.
    """

    kind: str
    medians: dict[str, Estimate]
    drops: dict[str, Estimate]
    constant_shares: dict[str, float]


def stage_drops(
    scores: ChoiceScores,
    stages: Sequence[str] = PATH,
    kind: str = "spearman",
    *,
    models: ArrayLike | None = None,
    items: ArrayLike | None = None,
    constant_items: str = "drop",
    normalize: str = "raw",
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> StageDrops:
    """Loss of correlation with compute from each stage to the next.

    Parameters
    ----------
    scores : at least 20 items and four different amounts of compute.
    stages : two or more, in order.
    kind, constant_items, normalize : as `item_correlations`.
    models, items : labels of what is drawn together, as `resample_items`; None: models stay, each item by itself.
    draws, level, seed : of the bootstrap.

    Raises
    ------
    InputError : an unknown name, too few items or scales, or a value out of range.

    References
    ----------
    Schaeffer et al. (2024), arXiv 2406.04391 (stages); the paired intervals are ours.
    """
    check_choices("stages", stages, STAGES)
    check_choice("kind", kind, CORRELATIONS)
    check_choice("constant_items", constant_items, ("drop", "zero"))
    check_range("level", level, 0, 1, open_low=True, open_high=True)
    check_scales(scores, LEAST_ITEMS)
    values = [stage_values(scores, stage, kind, normalize) for stage in stages]
    z = np.log(scores.compute)

    def per_item(chosen: NDArray) -> NDArray:
        found = np.abs([correlate(value[chosen], z[chosen], kind) for value in values])
        return np.nan_to_num(found, nan=0.0) if constant_items == "zero" else found

    def statistic(absolute: NDArray, weights: NDArray) -> NDArray:
        medians = [weighted_median(row, weights) for row in absolute]
        for before, after in zip(absolute, absolute[1:], strict=False):
            both = np.where(np.isnan(before + after), np.nan, 1.0)
            medians.append(weighted_median(before * both, weights) - weighted_median(after * both, weights))
        return np.stack(medians, axis=1)

    found = resample_items(per_item, statistic, **_labels(scores, models, items), draws=draws, seed=seed)
    estimates = [found.estimate(at, level) for at in range(len(found.value))]
    constant = {
        stage: float(np.isnan(correlate(value, z, kind)).mean())
        for stage, value in zip(stages, values, strict=True)
    }
    return StageDrops(
        kind,
        dict(zip(stages, estimates, strict=False)),
        dict(zip(stages[1:], estimates[len(stages) :], strict=True)),
        constant,
    )


def frozen_medians(
    scores: ChoiceScores,
    kind: str = "pearson",
    movement: str = "all",
    *,
    models: ArrayLike | None = None,
    items: ArrayLike | None = None,
    normalize: str = "raw",
    draws: int = 1000,
    seed: int = 0,
) -> Resampled:
    """Median absolute correlations of p_vocab, of p_choices, and of p_choices with frozen incorrect choices.

    The share of the loss that freezing recovers is (third - second) / (first - second). With `movement` "all" and rank
    correlations it is 1 by construction: p_choices then rises with p_vocab in every item.

    Parameters
    ----------
    scores, kind, normalize : as `item_correlations`.
    movement : what is frozen, as `ChoiceScores.freeze_incorrect`.
    models, items, draws, seed : as `stage_drops`.

    Returns
    -------
    Resampled with the three medians; frozen once, on all models.
    """
    check_scales(scores, LEAST_ITEMS)
    frozen = scores.freeze_incorrect(movement)
    values = [
        stage_values(scores, "p_vocab", kind, normalize),
        stage_values(scores, "p_choices", kind, normalize),
        stage_values(frozen, "p_choices", kind, normalize),
    ]
    z = np.log(scores.compute)

    def per_item(chosen: NDArray) -> NDArray:
        return np.abs([correlate(value[chosen], z[chosen], kind) for value in values])

    def statistic(absolute: NDArray, weights: NDArray) -> NDArray:
        return np.stack([weighted_median(row, weights) for row in absolute], axis=1)

    return resample_items(per_item, statistic, **_labels(scores, models, items), draws=draws, seed=seed)


def distractor_medians(
    scores: ChoiceScores, counts: Sequence[int], kind: str = "spearman", *, repeats: int = 5, seed: int = 0
) -> NDArray:
    """(counts, repeats) median absolute correlation of p_choices when each item keeps k of its incorrect choices.

    Parameters
    ----------
    scores, kind : as `item_correlations`.
    counts : numbers of incorrect choices k.
    repeats : random choices for each k.
    seed : of the choices.
    """
    check_range("repeats", repeats, 1, integer=True)
    found = np.empty((len(counts), int(repeats)))
    for row, count in enumerate(counts):
        for column in range(int(repeats)):
            some = scores.resample_distractors(count, seed + column)
            found[row, column] = np.nanmedian(np.abs(item_correlations(some, "p_choices", kind)))
    return found


def _labels(scores: ChoiceScores, models: ArrayLike | None, items: ArrayLike | None) -> dict[str, ArrayLike]:
    return {
        "models": np.zeros(scores.shape[0], int) if models is None else models,
        "items": np.arange(scores.shape[1]) if items is None else items,
    }
