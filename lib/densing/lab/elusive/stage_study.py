"""One task's loss of correlation from stage to stage, what freezing gives back, and the summaries that claims need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from densing.evaluation.predictability.correlations import item_correlations
from densing.evaluation.predictability.drops import PATH, StageDrops, frozen_medians, stage_drops
from densing.evaluation.predictability.movement import choice_covariation, margin_variance
from densing.evaluation.predictability.resampling import Resampled, resample_items, weighted_median
from densing.evaluation.predictability.stages import NORMALIZATIONS, STAGES
from densing.fitters.bootstrap import Estimate
from densing.lab.elusive.items import TaskScores

Quantity = Estimate | float


@dataclass(frozen=True, eq=False)
class StageStudy:
    """What was measured on one task.

    Attributes
    ----------
    task : its scores.
    drops : by kind of correlation, constant items dropped. drops_zero : the same, constant items counting 0.
    brier : median |Spearman| of the Brier score.
    frozen : medians of p_vocab, p_choices and frozen p_choices (Pearson, everything frozen).
    without_trend, without_scatter : the same with Spearman, incorrect choices without their trend or their scatter.
    covariation : median over items of the correlation and of the slope of log p incorrect on log p right.
    negative_share : share of items in which that correlation is negative.
    variance_left : median item's variance of the log odds over that of log p of the right choice.
    variance_share : median item's share of the variance of the log odds that is due to incorrect choices; below 0 where
        they cancel what the right one does.
    """

    task: TaskScores
    drops: dict[str, StageDrops]
    drops_zero: dict[str, StageDrops]
    brier: float
    frozen: Resampled
    without_trend: Resampled
    without_scatter: Resampled
    covariation: Resampled
    negative_share: float
    variance_left: float
    variance_share: float

    def degrades(self, kinds: Sequence[str] = ("spearman", "pearson"), *, zero: bool = False) -> bool:
        """Whether every drop has an interval above 0: three for Pearson, the last two for rank correlations."""
        drops = self.drops_zero if zero else self.drops
        return all(
            drop.lower > 0
            for kind in kinds
            for stage, drop in drops[kind].drops.items()
            if kind == "pearson" or stage != "p_vocab"
        )


def study_stages(task: TaskScores, *, draws: int = 1000, seed: int = 0) -> StageStudy:
    """Measure one task: drops under both correlations and both conventions, counterfactuals, common movement.

    Parameters
    ----------
    task : under at least four scales, at least 20 items.
    draws, seed : of the bootstrap over items (by cluster) and training seeds.
    """
    scores = task.scores
    labels = {"models": task.seeds, "items": task.clusters.astype(str), "draws": draws, "seed": seed}
    both, parts = ("spearman", "pearson"), margin_variance(scores)

    def covariation(chosen: NDArray) -> NDArray:
        return np.stack(choice_covariation(scores.select(models=chosen)))

    def medians(values: NDArray, weights: NDArray) -> NDArray:
        return np.stack([weighted_median(row, weights) for row in values], axis=1)

    return StageStudy(
        task,
        {kind: stage_drops(scores, PATH, kind, **labels) for kind in both},
        {kind: stage_drops(scores, PATH, kind, constant_items="zero", **labels) for kind in both},
        float(np.nanmedian(np.abs(item_correlations(scores, "brier")))),
        frozen_medians(scores, "pearson", **labels),
        frozen_medians(scores, "spearman", "trend", **labels),
        frozen_medians(scores, "spearman", "scatter", **labels),
        resample_items(covariation, medians, **labels),
        float(np.mean(choice_covariation(scores)[0] < 0)),
        float(np.nanmedian(parts.margin / parts.correct)),
        float(np.nanmedian(parts.incorrect_share)),
    )


def degradation_summary(studies: Sequence[StageStudy]) -> dict[str, Quantity]:
    """Quantities of the claim that every stage weakens the correlation, over the tasks that count."""
    share = lambda test: float(np.mean([test(study) for study in studies])) if studies else np.nan  # noqa: E731
    return {
        "share_degrading": share(lambda s: s.degrades()),
        "share_spearman": share(lambda s: s.degrades(("spearman",))),
        "share_pearson": share(lambda s: s.degrades(("pearson",))),
        "share_constants_zero": share(lambda s: s.degrades(zero=True)),
        "spearman_log_p_vocab": share(lambda s: s.drops["spearman"].medians["log_p_vocab"].value),
        "spearman_p_choices": share(lambda s: s.drops["spearman"].medians["p_choices"].value),
        "spearman_brier": share(lambda s: s.brier),
        "spearman_accuracy": share(lambda s: s.drops["spearman"].medians["accuracy"].value),
        "constant_share": share(lambda s: s.drops["spearman"].constant_shares["accuracy"]),
        "n_families": len(studies),
    }


def mechanism_summary(studies: Sequence[StageStudy], level: float = 0.95) -> dict[str, Quantity]:
    """Quantities of the claim that the movement of incorrect choices does the damage, over the tasks that count."""
    falling = [s for s in studies if loss_resolved(s.frozen, level)]
    return {
        "recovered": recovered_share([s.frozen for s in falling], level),
        "n_falling": len(falling),
        "variance_left": float(np.mean([s.variance_left for s in studies])) if studies else np.nan,
        "variance_share": float(np.mean([s.variance_share for s in studies])) if studies else np.nan,
        "recovered_trend": recovered_share([s.without_trend for s in studies], level),
        "recovered_scatter": recovered_share([s.without_scatter for s in studies], level),
        "n_families": len(studies),
    }


def covariation_summary(studies: Sequence[StageStudy], level: float = 0.95) -> dict[str, Quantity]:
    """Quantities of the claim that right and incorrect choices rise together, over the tasks that count."""
    mean = lambda values: float(np.mean(values)) if studies else np.nan  # noqa: E731
    return {
        "share_positive": mean([s.covariation.estimate(0, level).lower > 0 for s in studies]),
        "median_correlation": mean([s.covariation.value[0] for s in studies]),
        "median_slope": mean([s.covariation.value[1] for s in studies]),
        "share_negative_items": mean([s.negative_share for s in studies]),
        "n_families": len(studies),
    }


def recovered_share(frozen: Sequence[Resampled], level: float = 0.95) -> Estimate:
    """Share of the fall from p_vocab to p_choices that freezing recovers, over tasks drawn together.

    Parameters
    ----------
    frozen : from `frozen_medians` with one seed and as many draws each; none gives nan.
    """
    if not frozen:
        return Estimate(np.nan, np.nan, np.nan, level)
    value = sum(one.value for one in frozen)
    draws = sum(one.draws for one in frozen)
    share = lambda m: (m[..., 2] - m[..., 1]) / (m[..., 0] - m[..., 1])  # noqa: E731
    with np.errstate(invalid="ignore", divide="ignore"):
        return Estimate.from_draws(float(share(value)), share(draws), level)


def loss_resolved(frozen: Resampled, level: float = 0.95) -> bool:
    """Whether the fall from p_vocab to p_choices, from `frozen_medians`, has an interval above 0."""
    fall = lambda m: m[..., 0] - m[..., 1]  # noqa: E731
    return Estimate.from_draws(float(fall(frozen.value)), fall(frozen.draws), level).lower > 0


def normalization_medians(tasks: Mapping[str, TaskScores], kind: str = "spearman") -> pd.DataFrame:
    """Median |correlation| by normalisation (rows) and stage (columns), mean over tasks.

    Parameters
    ----------
    tasks : by name. Normalisations for which one of them lacks lengths or neutral likelihoods are left out.
    kind : of the correlation.
    """
    has = {"raw": "log_p", "byte": "n_bytes", "token": "n_tokens", "neutral": "neutral"}
    rows = {
        normalize: _medians(list(tasks.values()), kind, normalize)
        for normalize in NORMALIZATIONS
        if all(getattr(task.scores, has[normalize]) is not None for task in tasks.values())
    }
    return pd.DataFrame(rows, index=list(STAGES)).T.rename_axis("normalize")


def scale_axis_medians(
    tasks: Mapping[str, TaskScores], size: str, tokens: float, kind: str = "spearman"
) -> pd.DataFrame:
    """Median |correlation| by scale (rows: compute, N at fixed D, D at fixed N) and stage, mean over tasks.

    Parameters
    ----------
    tasks : of a ladder, by name.
    size, tokens : what is held fixed.
    kind : of the correlation.
    """
    rows = {"compute": _medians(list(tasks.values()), kind, "raw")}
    for label, column, fixed, value in (
        (f"parameters at {tokens:.3g} tokens", "n_parameters", "tokens", tokens),
        (f"tokens at {size}", "tokens", "size", size),
    ):
        some = []
        for task in tasks.values():
            chosen = (task.models[fixed] == value).to_numpy()
            some.append(task.take(chosen, task.models[column].to_numpy(float)[chosen]))
        rows[label] = _medians(some, kind, "raw")
    return pd.DataFrame(rows, index=list(STAGES)).T.rename_axis("scale")


def _medians(tasks: Sequence[TaskScores], kind: str, normalize: str) -> list[float]:
    return [
        float(
            np.mean(
                [
                    np.nanmedian(np.abs(item_correlations(task.scores, stage, kind, normalize=normalize)))
                    for task in tasks
                ]
            )
        )
        for stage in STAGES
    ]
